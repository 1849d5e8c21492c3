
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Which countries' data stays in Europe: the lists, and that what is not known
 * stays there, too.
 */


#define _GNU_SOURCE

#include <stdio.h>
#include <string.h>

#include "place/sgtm_country.h"
#include "unit.h"


static void
check(const char *code, size_t len, int eu)
{
    sgtm_str_t  text;

    text.data = (unsigned char *) code;
    text.len = len;

    unit_ok(sgtm_country_eu(&text) == eu, "\"%.*s\" %s", (int) len, code,
            eu ? "stays" : "may leave");
}


static void
all(const char *codes, int eu)
{
    for ( /* void */ ; *codes; codes += 3) {
        check(codes, 2, eu);
    }
}


int
main(void)
{
    all("AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO "
        "SK SI ES SE IS LI NO GB CH GF GP MQ RE YT MF AX GI GG JE IM EL UK ",
        1);
    all("de De dE gb ", 1);
    all("US CA BR JP CN IN AU NZ RS UA TR RU AL BA MD MC SM VA AD GL FO ZA "
        "XK us QA EG ", 0);

    /* nobody knows */

    all("XX T1 EU AP ZZ AA QM QZ XA A1 11 -- .. ", 1);
    check("", 0, 1);
    check("U", 1, 1);
    check("USA", 3, 1);
    check("US,", 3, 1);
    check("\xf5S", 2, 1);
    check("U\0", 2, 1);

    return unit_done();
}

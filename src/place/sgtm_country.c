
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_country.h"


static int sgtm_country_in(const char *list, unsigned char a,
    unsigned char b);
static int sgtm_country_assigned(unsigned char a, unsigned char b);


/*
 * The EU, with what has a code of its own: Aaland, French Guiana, Guadeloupe,
 * Martinique, Mayotte, Reunion, Saint Martin; Iceland, Liechtenstein, Norway;
 * Gibraltar, Guernsey, the Isle of Man, Jersey, the United Kingdom;
 * Switzerland.
 */

static const char  sgtm_country_europe[] =
    "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEITLTLULVMTNLPLPTROSESISK"
    "AXGFGPMQYTREMF"
    "ISLINO"
    "GIGGIMJEGB"
    "CH"

    /* two of other lists, for Greece and the United Kingdom */
    "ELUK";


/* what says that somebody does not know, or means a region */

static const char  sgtm_country_nobody[] = "AAAPEUOOXXZZ";


int
sgtm_country_eu(const sgtm_str_t *code)
{
    unsigned char  a, b;

    if (code->len != 2) {
        return 1;
    }

    a = code->data[0] & ~0x20;
    b = code->data[1] & ~0x20;

    return !sgtm_country_assigned(a, b)
           || sgtm_country_in(sgtm_country_europe, a, b);
}


static int
sgtm_country_in(const char *list, unsigned char a, unsigned char b)
{
    for ( /* void */ ; *list; list += 2) {
        if ((unsigned char) list[0] == a && (unsigned char) list[1] == b) {
            return 1;
        }
    }

    return 0;
}


/* "XA" to "XZ" and "QM" to "QZ" are anybody's; "XK" is in use for Kosovo */

static int
sgtm_country_assigned(unsigned char a, unsigned char b)
{
    if (a < 'A' || a > 'Z' || b < 'A' || b > 'Z') {
        return 0;
    }

    if ((a == 'X' && b != 'K') || (a == 'Q' && b >= 'M')) {
        return 0;
    }

    return !sgtm_country_in(sgtm_country_nobody, a, b);
}

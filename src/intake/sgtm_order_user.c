
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * User data for enhanced conversions: normalised and hashed here, so that none
 * of it goes on or rests in clear.
 */


#include <string.h>

#include "../hit/sgtm_user_data.h"
#include "sgtm_order_core.h"


/* longer ones are no addresses */
#define SGTM_PERSON_SIZE  256


static void sgtm_person_word(sgtm_str_t *value, unsigned type);
static int sgtm_person_country(const sgtm_str_t *value);


int
sgtm_order_person(sgtm_order_t *order, cJSON *to, const char *name,
    const char *text, unsigned type)
{
    char                      buf[SGTM_PERSON_SIZE + SGTM_USER_HASH + 1];
    size_t                    len;
    sgtm_str_t                value;
    const char               *digits;
    const sgtm_user_field_t  *field;

    value.data = (unsigned char *) (uintptr_t) text;
    value.len = strlen(text);

    field = sgtm_user_field((const unsigned char *) name, strlen(name));

    sgtm_person_word(&value, type);

    if (field == NULL || value.len > SGTM_PERSON_SIZE
        || (type == SGTM_FIELD_EMAIL && strchr(text, '@') == NULL)
        || (type == SGTM_FIELD_PHONE && !sgtm_person_country(&value)))
    {
        return 0;
    }

    len = sgtm_user_value(field, &value, (unsigned char *) buf);

    if (len == 0) {
        return 0;
    }

    buf[len] = '\0';

    /* a person has several addresses and numbers, but one name */

    digits = buf;

    sgtm_order_add(order, to, name,
                   (type == SGTM_FIELD_EMAIL || type == SGTM_FIELD_PHONE)
                   ? cJSON_CreateStringArray(&digits, 1)
                   : cJSON_CreateString(buf));

    return 1;
}


/* of a full name */

static void
sgtm_person_word(sgtm_str_t *value, unsigned type)
{
    size_t  i;

    if (type != SGTM_FIELD_FIRST && type != SGTM_FIELD_LAST) {
        return;
    }

    while (value->len && value->data[value->len - 1] == ' ') {
        value->len--;
    }

    for (i = value->len; i && value->data[i - 1] != ' '; i--) { /* void */ }

    if (type == SGTM_FIELD_LAST) {
        value->data += i;
        value->len = i ? value->len - i : 0;

    } else if (i) {
        value->len = i;
    }
}


/* "+49" or "0049": a number without its country's code is nobody's */

static int
sgtm_person_country(const sgtm_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len && value->data[i] == ' '; i++) { /* void */ }

    return i < value->len
           && (value->data[i] == '+'
               || (value->len - i > 2 && value->data[i] == '0'
                   && value->data[i + 1] == '0'));
}

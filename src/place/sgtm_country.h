
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Which countries' visitors have European law on data.  Plain C11 without
 * nginx.
 */


#ifndef _SGTM_COUNTRY_H_INCLUDED_
#define _SGTM_COUNTRY_H_INCLUDED_


#include "../hit/sgtm_hit.h"


/*
 * Whether a code of two letters (ISO 3166-1, in any case) is one of a country
 * where the GDPR or its like holds: the European Economic Area with the
 * territories that belong to it, the United Kingdom and Switzerland.  So is
 * whatever is no country: an empty text, "XX", "T1", "EU" and other codes of
 * those who do not know.
 */
int sgtm_country_eu(const sgtm_str_t *code);


#endif /* _SGTM_COUNTRY_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The way of processors of any byte order.
 */


#define SGTM_SSE2  0
#define SGTM_LITTLE_ENDIAN  0

#define sgtm_stops_args    unit_stops_args_way
#define sgtm_stops_behind  unit_stops_behind_way
#define sgtm_stops_url     unit_stops_url_way

#include "sgtm_stops.c"
#include "unit_stops.h"


int
main(void)
{
    return unit_stops_main();
}

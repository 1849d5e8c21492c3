
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The way that this processor has.
 */


#include "unit_stops.h"


int
main(void)
{
    return unit_stops_main();
}

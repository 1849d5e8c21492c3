/* The default of Google's consent mode, for the data layer. */

import { attribute, c, TYPES } from '../settings';
import { isCommand, layer, mode } from './queue';

const enum Ms { WAIT = 500 }    /* that Google's tags wait for a banner */

/*
 * The state that the data layer is to begin with, if any: not where the
 * gateway's consent mode is off, or the page says something of its own.
 */
export function defaultState(): unknown {
    const own = attribute('consent');
    const state: any = { wait_for_update: +attribute('wait') || Ms.WAIT };

    if (own == 'off'
        || layer.some((e: any) => isCommand(e, 'consent')
                                  && e[1] == 'default'))
    {
        return 0;
    }

    if (mode != 'off') {
        TYPES.forEach((type, i) => {
            state[type] = c.d[i] == '1' ? 'granted' : 'denied';
        });
    }

    own.replace(/(\w+)=(granted|denied)(?![^,; ])/g,
                (_, type, value) => state[type] = value);

    return Object.keys(state)[1] && state;
}

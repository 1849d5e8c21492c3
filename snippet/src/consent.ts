/*
 * Google's consent mode in the data layer.  Commands there are Arguments
 * objects: Google's scripts ignore an array that looks the same, so it says
 * nothing here either.
 */

import { attribute, type ConsentState, type Settings } from './settings';

const WAIT = 500;       /* ms that Google's tags wait for a banner's update */

interface Command {
    [n: number]: any;
}

function isConsent(entry: unknown): entry is Command {
    return Object.prototype.toString.call(entry) == '[object Arguments]'
           && (entry as Command)[0] == 'consent';
}

/*
 * The default state that the data layer is to begin with, or undefined: the
 * gateway's consent mode is off, or the page says something of its own.
 */
export function defaultState(
    layer: unknown[], tag: Element | null, c: Settings
): ConsentState | undefined {
    const own = attribute(tag, 'consent', /^[a-z_=,; ]+$/);

    if (own == 'off'
        || layer.some((e) => isConsent(e) && e[1] == 'default'))
    {
        return;
    }

    const state: any = c.consent.mode == 'off' ? {} : c.consent.default;

    for (const pair of own.split(/[,; ]+/)) {
        const [type, value] = pair.split('=');

        if (value == 'granted' || value == 'denied') {
            state[type!] = value;
        }
    }

    if (!Object.keys(state).length) {
        return;
    }

    state.wait_for_update = +attribute(tag, 'wait', /^\d{1,5}$/) || WAIT;

    return state;
}

/*
 * Whether the page may store analytics data now.  A default for one region
 * only may not be the visitor's and is left out.
 */
function granted(layer: unknown[]): boolean {
    let result = false;

    for (const entry of layer) {
        const state = isConsent(entry) && entry[2];

        if (state && state.analytics_storage && !state.region) {
            result = state.analytics_storage == 'granted';
        }
    }

    return result;
}

/* calls back once, now or as soon as analytics storage is granted */
export function whenGranted(layer: unknown[], callback: () => void): void {
    if (granted(layer)) {
        callback();
        return;
    }

    const push = layer.push;
    let waiting = true;

    layer.push = function (...entries: unknown[]) {
        const n = push.apply(layer, entries);

        if (waiting && granted(layer)) {
            waiting = false;
            callback();
        }

        return n;
    };
}

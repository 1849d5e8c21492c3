/* How long the page has been looked at: visible and in focus. */

import { d } from '../util';
import { engaged } from './automatic';
import { later, now, on } from './util';

const enum Ms { ENGAGED = 10000 }

let untold = 0;
let whole = 0;
let since = 0;
let timer: any;

/* ms that no event has told yet; told: it does now */
export function engagement(told?: unknown): number {
    const time = now();
    const ms = since && time - since;

    untold += ms;
    whole += ms;
    since = d.visibilityState == 'visible' && d.hasFocus() ? time : 0;

    clearTimeout(timer);

    if (whole >= Ms.ENGAGED) {
        whole = -Infinity;
        later(engaged, 0);

    } else if (since && whole >= 0) {
        timer = later(engagement, Ms.ENGAGED - whole);
    }

    const result = untold;

    if (told === true) {
        untold = 0;
    }

    return result;
}

export function beginEngagement(): void {
    on('focus blur pageshow visibilitychange', engagement);
    engagement();
}

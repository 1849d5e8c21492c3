/*
 * The data layer: what passes into it, and when consent is given in it.
 * Commands there are Arguments objects: Google's scripts ignore an array that
 * looks the same, so it says nothing here either.
 */

import { layerName, setting } from '../settings';
import { w } from '../util';

/* the smallest variant, which asks for a grant in basic mode alone */
declare const SMALL: boolean;

export const name = SMALL ? 'dataLayer' : layerName();
export const layer: any = w[name] ||= [];

export const mode = setting('c', 'mode');

let pending: (() => void) | null;

export const isCommand = (entry: any, what: string): boolean =>
    String(entry) == '[object Arguments]' && entry[0] == what;

/*
 * Whether analytics is granted now; where nobody asks for consent, it is.  A
 * default for one region only may not be the visitor's and is left out.
 */
export function granted(): boolean {
    let result = !SMALL && mode == 'off';

    layer.forEach((entry: any) => {
        const state = isCommand(entry, 'consent') && entry[2];

        if (state?.analytics_storage && !state.region) {
            result = state.analytics_storage == 'granted';
        }
    });

    return result;
}

/* calls back once: now, unless it has to, or as soon as analytics is granted */
export function whenGranted(has: boolean, run: () => void): void {
    if (!has || granted()) {
        pending = null;
        run();

    } else {
        pending = run;
    }
}

/*
 * What becomes of an entry is what by() makes of it.  Google's script puts a
 * push() of its own in the place of ours, so ours has to stay before it.
 */
export function route(by: (entry: any) => unknown[]): void {
    let push = layer.push;

    layer.splice(0, layer.length, ...layer.flatMap(by));

    Object.defineProperty(layer, 'push', {
        configurable: true,
        get: () => {
            const now = push;

            return (...entries: any[]) => {
                const n = now.apply(layer, entries.flatMap(by));

                try {
                    if (pending) {
                        whenGranted(true, pending);
                    }

                } catch (e) {
                    /* no tag, then */
                }

                return n;
            };
        },
        set: (other) => {
            push = other;
        },
    });
}

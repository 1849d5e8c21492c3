/*
 * Google's consent mode: the states of its four types and their code on the
 * wire.
 */

import { attribute, c, pairs, setting, TYPES } from '../settings';
import { now } from './util';

/* places in TYPES */
export const enum Type { AD, ANALYTICS, USER_DATA, PERSONAL }

const enum State { UNSET, DENIED, GRANTED }

const STATES = ['unset', 'denied', 'granted'];

const enum Ms { WAIT = 500, MAX_WAIT = 10000 }

const initial = [0, 0, 0, 0];
const updated = [0, 0, 0, 0];

/* how well a default's region fits: the length of its code */
const fits = [0, 0, 0, 0];

const region = attribute('region') + '-';
const mode = setting('c', 'mode');

/* until when hits wait for a banner to update the default */
export let waiting = 0;

/* the visitor's browser objects to advertising, whatever a banner says */
let objects = !!(navigator as any).globalPrivacyControl;

const update = (type: number): number =>
    objects && type != Type.ANALYTICS ? State.DENIED : updated[type]!;

const state = (type: number): number => update(type) || initial[type]!;

/* what nobody has set is granted, as it is for Google's tags */
export const granted = (type: number): boolean => state(type) != State.DENIED;

export const gcs = (): string =>
    'G1' + '-01'[state(Type.AD)] + '-01'[state(Type.ANALYTICS)];

/* by position: a letter tells the default and the update of its type */
export const gcd = (): string =>
    '13' + TYPES.map((_, i) => 'lptmqunrv'[initial[i]! + 3 * update(i)])
               .join('3')
    + (TYPES.some((_, i) => state(i)) ? '5l1' : '1l1');

/* every type and its state, for the record */
export const record = (): string =>
    TYPES.map((type, i) => type + '=' + STATES[state(i)]).join();

/* basic: nothing leaves and nothing is stored before a grant */
export const silent = (): boolean =>
    mode == 'basic' && !granted(Type.ANALYTICS);

/*
 * How well a default fits: 1 everywhere, else the length of the region that
 * the visitor is in.  Where he is the page doesn't know unless it is told:
 * then what a region denies is denied, and what it grants is not granted.
 */
const fit = (regions: any, denies: boolean): number =>
    !regions ? 1 : Math.max(0, ...[].concat(regions).map((r: string) =>
        region != '-' ? region.startsWith(r + '-') ? r.length : 0
                      : denies ? 2 : 0));

/* "default", "update" or "object"; whether an update has changed anything */
export function consent(action: unknown, to: any): boolean {
    const before = updated.join() + objects;
    const updates = action == 'update';

    objects ||= action == 'object';

    TYPES.forEach((type, i) => {
        const value = STATES.indexOf(to[type]);
        const n = fit(to.region, value == State.DENIED);

        if (value > 0) {
            if (updates) {
                updated[i] = value;

            } else if (n && n >= fits[i]!) {
                fits[i] = n;
                initial[i] = value;
            }
        }
    });

    waiting = updates ? 0 : Math.max(waiting, now()
        + Math.min(to.wait_for_update || 0, Ms.MAX_WAIT));

    return before != updated.join() + objects;
}

/* the tenant's default, then the tag's; the page's takes their place */
export function begin(): void {
    const own = attribute('consent');
    const to: any = { wait_for_update: +attribute('wait') || Ms.WAIT };

    if (mode != 'off') {
        TYPES.forEach((type, i) => {
            to[type] = STATES[c.d[i] == '1' ? State.GRANTED : State.DENIED];
        });
    }

    pairs(own).forEach(([type, value]) => {
        to[type!] = value;
    });

    if (mode != 'off' || own) {
        consent('default', to);
        fits.fill(0);
    }
}

/*
 * Cookies and storage, which may be blocked: then nothing is there and
 * nothing is kept.
 */

import { d, safe, w } from '../util';

/* cookies as far as they could not be set, for this page */
const jar: Record<string, string> = {};

/* what the session remembers, and hits that wait */
export const enum Key { SESSION = '_sgtm', QUEUE = '_sgtm_q' }

const area = (key: Key): Storage =>
    w[key == Key.QUEUE ? 'localStorage' : 'sessionStorage'];

export const get: (key: Key) => any =
    safe((key) => JSON.parse(area(key).getItem(key)!));

/* whether it is kept now; undefined is taken away */
export const put: (key: Key, value?: unknown) => boolean =
    safe((key, value) => {
        area(key)[value ? 'setItem' : 'removeItem'](key, JSON.stringify(value));

        return true;
    });

const real: (name: string) => string | undefined = safe((name) =>
    ('; ' + d.cookie).split(`; ${name}=`)[1]?.split(';')[0]);

export const cookie = (name: string): string => real(name) || jar[name] || '';

/*
 * For the widest domain that the browser allows, as Google's tags do, so that
 * all hosts of a site know their visitor.  An empty value takes it away, from
 * every domain where it may be.
 */
export const setCookie = safe((name: string, value: string) => {
    const labels = location.hostname.split('.');
    const names = labels.map((_: string, i: number) =>
        labels.slice(~i).join('.'));

    jar[name] = value;

    [...names, ''].some((at) => {
        d.cookie = `${name}=${value};path=/;samesite=lax;max-age=`
                   + (value ? 63072e3 : 0) + (at ? ';domain=' + at : '')
                   + (location.protocol == 'https:' ? ';secure' : '');

        return value && real(name) == value;
    });
});

/*
 * What the script knows: the tenant's settings, written by the gateway as
 * JSON, and what the page's own script tag overrides of them.  The keys are
 * short because every page loads them.
 */

import { d, w } from './util';

export interface Settings {
    v: number;                          /* form of the settings: 2 */
    p: string;                          /* prefix: "/metrics/" */
    s: string;                          /* the script's name: "t.js" */
    g: string;                          /* tagging: gtm, gtag, light */
    i: string;                          /* "GTM-…", "G-…", or empty */
    t: string;                          /* enterprise professional starter */
    f: string;                          /* fallback: queue, client, off */
    c: string;                          /* consent mode: off basic advanced */
    d: string;                          /* its defaults, "0000" to "1111" */
    r?: string;                         /* residency: any, eu, auto */
    e?: Record<string, string>;         /* ways of events by name */
}

/* the gateway puts the tenant's settings here */
declare const SGTM_SETTINGS: Settings;

export const c = SGTM_SETTINGS;

/* Google's consent types, in the order of the settings and of the wire */
export const TYPES = ['ad_storage', 'analytics_storage', 'ad_user_data',
                      'ad_personalization'];

export const own = d.currentScript as HTMLScriptElement | null;

/* an attribute data-<name> of the script tag */
export const attribute = (name: string): string =>
    own?.getAttribute('data-' + name) || '';

/* pairs as in "a=b, c=d" */
export const pairs = (text: string): string[][] =>
    text.split(/[,; ]+/).map((pair) => pair.split('='));

export const setting = (key: 't' | 'f' | 'c', name: string): string =>
    attribute(name) || c[key];

/* the data layer's name: not one that something else on the page owns */
export function layerName(): string {
    const name = attribute('layer');

    return /^[a-z_]\w*$/i.test(name)
           && Array.isArray(w[name] ?? [])
           ? name : 'dataLayer';
}

/*
 * The way that the script itself came is the way to the gateway, also where
 * something in front of nginx moves its prefix.  A copy of it from elsewhere
 * does not know the way.
 */
export function gateway(): string {
    const src = (own?.src + '').split(/[?#]/)[0]!;

    return /^https?:/.test(src) && src.endsWith('/' + c.s)
           ? src.slice(0, -c.s.length)
           : location.origin + c.p.replace(/^\/*/, '/');
}

/* Small things that every part of the tracker uses. */

import { attribute, c, layerName, pairs } from '../settings';
import { safe, w, type Run } from '../util';

export type Wire = Record<string, string | number | undefined>;

/* the measurement id: the tag's own or the tenant's */
export const id = [attribute('tag-id'), c.i].find((text) =>
    /^G-[A-Z0-9]{4,20}$/.test(text)) || '';

const name = layerName();

export const layer: any = w[name] ||= [];

export const now = (): number => Date.now();

/* "a=b c=d" */
export const table = (text: string): Map<string, string> =>
    new Map(pairs(text) as any);

/* with the flag u only halves of pairs match, which can't be encoded */
export const enc = (value: unknown): string =>
    encodeURIComponent(String(value).replace(/[\ud800-\udfff]/gu, ''));

/* a query string of what has a value */
export const query = (o: Wire): string =>
    Object.entries(o).filter((pair) => (pair[1] ?? '') !== '')
        .map((pair) => pair.map(enc).join('='))
        .join('&');

/* UUID v4; without TLS there is none, but there is one in a blob's URL */
export const uuid = (): string =>
    crypto.randomUUID?.() || URL.createObjectURL(new Blob()).slice(-36);

/*
 * Names separated by spaces.  All events come by the window on their way down,
 * before the page's own handlers can stop them.
 */
export const on = (names: string, run: Run): void =>
    names.split(' ').forEach((name) =>
        addEventListener(name, safe(run), true));

export const later = (run: Run, ms: number): any => setTimeout(safe(run), ms);

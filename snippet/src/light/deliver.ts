/*
 * Hits on their way: to the gateway, or to Google where tier, consent and
 * residency allow it; kept and sent again when they did not arrive.
 */

import { c, gateway, setting } from '../settings';
import { safe } from '../util';
import { granted, Type } from './consent';
import { get, Key, put } from './store';
import { later, now, on } from './util';
import { kept, recall, remember } from './visit';

const enum Max {
    ANSWER = 10000,                     /* ms */
    AGE = 259200000,                    /* ms: Google takes nothing older */
    DOWN = 60000,                       /* ms: then it is tried again */
    HITS = 50,
    BYTES = 100000,
    FLYING = 60000                      /* browsers let 64k outlive a page */
}

/* as the tier says, or one of the two alone */
export const enum Way { ANY, SERVER, CLIENT }

/* how it leaves: soon, now, or with the page */
export const enum Leave { SOON, NOW, PAGE }

interface Hit {
    w: Way;
    q: string;
    b: string;
    t: number;                          /* when it was made */
}

const base = gateway();
const allowed = !c.r || c.r == 'any';
const starter = allowed && setting('t', 'tier') == 'starter';
const falls = allowed && setting('f', 'fallback') == 'client';

let memory: Hit[] = [];
let flying = 0;                         /* bytes */
let failures = 0;                       /* in a row */
let timer: any;
let gone: boolean;

const online = (): boolean => navigator.onLine !== false;

const consents = (): boolean => granted(Type.ANALYTICS);

/* whether data may leave for Google's own hosts */
export const away = (): boolean => allowed && consents();

const direct = (hit: Hit): boolean =>
    hit.w ? hit.w == Way.CLIENT
          : starter || falls && now() < kept.d && consents();

const url = (hit: Hit): string =>
    (direct(hit) ? 'https://www.google-analytics.com/' : base)
    + 'g/collect?' + hit.q;

/* hits that wait to be sent again, those of closed pages included */
const waiting = (): Hit[] =>
    memory.concat(consents() && get(Key.QUEUE) || [])
          .filter((hit) => hit?.b && now() - hit.t < Max.AGE);

function save(hits: Hit[]): void {
    while (hits.length > Max.HITS || JSON.stringify(hits).length > Max.BYTES) {
        hits.shift();
    }

    memory = consents() && put(Key.QUEUE, hits[0] && hits) ? [] : hits;
}

function keep(hit: Hit): void {
    save([...waiting(), hit]);
    clearTimeout(timer);
    timer = later(retry, Math.min(2 ** failures, 300)
                         * (500 + 1e3 * Math.random()));
}

/* one at a time: the next one follows when it has arrived */
function retry(): void {
    const [hit, ...rest] = waiting();

    if (hit) {
        save(rest);
        send(hit);
    }
}

/* status: 0 for no answer, less for a late one */
const answered = safe((hit: Hit, status: number) => {
    if (status == 200) {
        failures = 0;
        later(retry, 100);
        return;
    }

    /* a browser lets go of it, but it arrives, if anything does */

    if (!status && gone && !failures && online()) {
        return;
    }

    failures++;

    if (falls && !hit.w && consents() && !direct(hit)
        && (status == 503 || !status))
    {
        kept.d = now() + Max.DOWN;
        remember();
        send(hit);

    } else if (!/^4(?!08|29)/.test('' + status)) {

        /* a late one may have arrived: only the gateway can tell */

        hit.w ||= +(status < 0);
        keep(hit);
    }
});

async function send(hit: Hit): Promise<void> {
    const size = hit.b.length;
    const other = direct(hit);
    let status = 0;

    flying += size;

    try {
        const res = await fetch(url(hit), {
            method: 'POST',
            body: hit.b,
            keepalive: flying < Max.FLYING,
            credentials: 'include',
            mode: other ? 'no-cors' : 'cors',
            signal: (AbortSignal as any).timeout?.(Max.ANSWER),
        });

        status = other || res.ok ? 200 : res.status;

    } catch (e: any) {
        status = -(e.name == 'TimeoutError');
    }

    flying -= size;
    answered(hit, status);
}

export function deliver(w_: Way, q: string, b: string, how: Leave): void {
    const hit: Hit = { w: w_, q, b, t: now() };

    /* a page that leaves will not hear whether it has arrived */

    if (how < Leave.PAGE) {
        send(hit);

    } else if (consents() && (failures && !direct(hit) || !online())
               || !navigator.sendBeacon(url(hit), b))
    {
        keep(hit);
    }
}

export function drop(): void {
    memory = [];
    put(Key.QUEUE);
}

export function beginDelivery(): void {
    recall();

    /* a page that goes hears nothing of hits that arrive all the same */

    on('online pagehide pageshow', (e) => {
        gone = e.type == 'pagehide';

        if (!gone) {
            retry();
        }
    });

    later(retry, 2e3 * Math.random());
}

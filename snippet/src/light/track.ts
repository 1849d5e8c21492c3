/* Events, from their making until they are a hit: in order, in batches. */

import { attribute, c } from '../settings';
import { d } from '../util';
import { gcd, gcs, granted, silent, Type, waiting } from './consent';
import { away, deliver, Leave, Way } from './deliver';
import { device } from './device';
import { engagement } from './engagement';
import { id, later, layer, now, query, table, uuid, type Wire } from './util';
import { before, CLICK, touch, visit } from './visit';
import { wire } from './wire';

const enum Max {
    PAUSE = 1000,                       /* ms in which a batch is filled */
    EVENTS = 20,
    BODY = 15000,
    ARGS = 900,                         /* the gateway takes 1024 of a hit */
    WAITING = 100,                      /* events */
    URL = 1000
}

/* as bits: of SERVER and CLIENT */
const WAYS = ['', 'server', 'client', 'both'];

interface Event {
    n: string;
    v: number;                          /* page views until then */
    w: Wire;
}

let queue: Event[] = [];
let timer: any;
let unknown = 0;                        /* answers that hits wait for */
const load = now() % 1e9;               /* this page, for Google */
let hits = 0;

/* what the site has set for all events, and for its user */
export const sets: any = {};
export const shared: Wire = {};
export const user: Wire = {};
export const hints: Wire = {};

/* the page's address and where it was come from */
export const page = { l: '', r: d.referrer };

const ways = new Map([...table(attribute('events')),
                      ...Object.entries(c.e || {})]);

export async function ask(answer: PromiseLike<Wire>, to: Wire): Promise<void> {
    unknown++;

    try {
        Object.assign(to, await answer);

    } catch (e) {
        /* never to be known, then */
    }

    unknown--;
}

export function event(name: string, params: any): void {
    if (!name || !/^[a-z]\w{0,39}$/i.test(name) || ways.get(name) == 'off') {
        return;
    }

    queue.push({
        n: name,
        v: touch(+(name == 'page_view')),
        w: {
            dl: page.l,
            dr: page.r,
            dt: d.title,
            _et: engagement(true) || '',
            ...wire({ ...sets, ...params }),
            'epn.event_timestamp': now(),
        },
    });

    queue.splice(0, queue.length - Max.WAITING);
    timer ||= later(flush, Max.PAUSE);
}

/* an URL without its click ids, in query and fragment */
const cut = (url: any): string =>
    (granted(Type.AD) ? url : url.replace(/([?#])([^?#]*)/g,
        (_: string, sign: string, text: string) => {
            text = text.split('&').filter((pair) => !CLICK.test(pair + '='))
                       .join('&');

            return text && sign + text;

        })).slice(0, Max.URL);

/* how: it leaves soon, now, or with the page */
export function flush(how = Leave.SOON): void {
    const wait = waiting - now();

    clearTimeout(timer);
    timer = 0;

    if (!queue[0] || silent()) {
        return;
    }

    if (!how && (wait > 0 || unknown)) {
        timer = later(flush, Math.max(wait, 50));
        return;
    }

    const data = granted(Type.USER_DATA);
    const [ids, first] = visit();

    const common = query({
        v: 2,
        tid: id,
        _p: load,
        ...ids,
        ...device(hints),
        ...shared,
        ...data ? user : {},
        gcs: gcs(),
        gcd: gcd(),
        npa: +!granted(Type.PERSONAL),
    });

    let fresh = query(first);

    /* the page of the first event stands for all of them */

    let top: string;

    const events = queue.map(({ n, v, w: { dl, dr, dt, uid, ...rest } }) => {
        const at = '&' + query({ dl: cut(dl), dr: cut(dr), dt });
        const line = query({
            en: n,
            ...rest,
            uid: data && ids.sct ? uid : '',
            'epn.page_view_number': before + v,
        });

        top ||= at;

        return { n, l: at == top ? line : line + at };
    });

    queue = [];

    [Way.ANY, Way.SERVER, Way.CLIENT].forEach((way) => {
        let body = '';
        let count = 0;

        const go = (): void => {
            if (body) {
                deliver(way, common + top + '&_s=' + ++hits, body, how);
            }

            body = '';
            count = 0;
        };

        events.forEach(({ n, l }) => {
            const its = WAYS.indexOf(ways.get(n)!);

            if (way ? its > 0 && its & way && (way < Way.CLIENT || away())
                    : its < 1)
            {
                if (count == Max.EVENTS || (body + l).length > Max.BODY
                    || (body + l).split('&').length > Max.ARGS)
                {
                    go();
                }

                body += (body && '\r\n') + l + (fresh && '&' + fresh);
                fresh = '';
                count++;
            }
        });

        go();
    });
}

/* an event of our own; whoever reads the data layer learns its id */
export function tell(name: string, params: any = {}): void {
    params.event_id = uuid();
    layer.push({ sgtm_event: name, event_id: params.event_id });
    event(name, params);
}

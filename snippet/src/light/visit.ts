/*
 * Who visits, and which of his visits it is: the cookies of Google's tags, so
 * that a site can change between them and this script.  Without consent there
 * are ids of this page alone, and nothing is read or written.
 */

import { granted, Type } from './consent';
import { cookie, get, Key, put, setCookie } from './store';
import { id, now, table, uuid, type Wire } from './util';

const enum Name { ID = '_ga' }

const enum Seconds { PAUSE = 1800 }     /* without activity end a session */

const SESSION = '_ga_' + id.slice(2);

/* what an URL tells of an advertisement: name and what follows */
export const CLICK =
    /^(\w*clk?id|[gw]braid|gad_\w+|srsltid|li_fat_id|_gl)=/i;

const CAMPAIGN = table('utm_source=cs utm_medium=cm utm_campaign=cn'
                       + ' utm_term=ck utm_content=cc');

const seconds = (): number => now() / 1e3 | 0;

const landing = new URLSearchParams(location.search);

let recalled = false;

/* page views: of this page, and of those before it in the session */
let views = 0;
export let before = 0;

/* ids of this page alone */
let anonymous: Wire = { cid: uuid(), sid: seconds() };

/* what the session remembers */
const nothing = {
    n: 0,                               /* page views */
    c: {} as Wire,                      /* campaign */
    x: {} as Wire,                      /* click ids */
    r: '',                              /* the consent that was recorded */
    d: 0,                               /* until when the gateway is down */
    e: 0,                               /* engaged */
    t: 0,                               /* the last event, in seconds */
};

export let kept = { ...nothing };

/* everything that this script has stored */
export function forget(): void {
    anonymous = { cid: uuid(), sid: seconds() };
    before = 1 - views;
    kept = { ...nothing, n: 1, t: seconds() };
    setCookie(Name.ID, '');
    setCookie(SESSION, '');
    put(Key.SESSION);
}

export const remember = (): void => {
    if (granted(Type.ANALYTICS)) {
        put(Key.SESSION, kept);
    }
};

/* what pages before this one have left, as soon as it may be read */
export function recall(): void {
    if (!recalled && granted(Type.ANALYTICS)) {
        const old = get(Key.SESSION) || nothing;

        recalled = true;
        before = old.n;
        kept = { ...old, t: kept.t || old.t };
    }
}

/*
 * An event: a session that has rested for too long is another one.  Returns
 * this page's views, to which those before it are added later.
 */
export function touch(more: number): number {
    recall();

    if (seconds() - kept.t > Seconds.PAUSE) {
        before = -views;
        kept.e = 0;
    }

    kept.t = seconds();
    views += more;
    kept.n = before + views;

    return views;
}

/* what is shared by the events of a hit, and what its first one says */
export function visit(): [Wire, Wire] {
    const first: Wire = {};
    const found: Wire = {};
    const time = seconds();

    if (!granted(Type.ANALYTICS)) {
        return [anonymous, first];
    }

    recall();

    landing.forEach((value, name) => {
        const key = CAMPAIGN.get(name);

        if (key) {
            found[key] = value.slice(0, 100);
            kept.c = found;

        } else if (granted(Type.AD) && CLICK.test(name + '=') && name > 'a') {

            /* all but the linker's _gl, which has another id in it */

            kept.x = { ...kept.x, ['ep.' + name]: value.slice(0, 200) };
        }
    });

    /* "GA1.1.<id>" */

    let cid = cookie(Name.ID).split('.').slice(2).join('.');

    if (!cid) {
        first._fv = 1;
        cid = uuid();
        setCookie(Name.ID, 'GA1.1.' + cid);
    }

    /* "GS2.1.s<sid>$o<sct>$g<seg>$t<last>$…", once "GS1.1.<sid>.<sct>.…" */

    const old = cookie(SESSION).match(
        /^GS\d\.\d\.s?(\d+)[.$]o?(\d+)[.$]g?(\d)[.$]t?(\d+)(\$.*)?/) || [];

    let sid = +old[1]!;
    let sct = +old[2]! || 0;

    if (!(time - +old[4]! < Seconds.PAUSE)) {
        first._ss = 1;
        sid = time;
        sct++;
        old[3] = '0';
    }

    const seg = kept.e || kept.n > 1 ? 1 : old[3];

    setCookie(SESSION, `GS2.1.s${sid}$o${sct}$g${seg}$t${time}${old[5] || ''}`);
    remember();

    return [{
        cid, sid, sct, seg,
        ...kept.c,
        ...kept.x,
        'ep.is_first_visit': sct == 1,
    } as any, first];
}

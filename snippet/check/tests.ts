/*
 * The tests, in order.  Each says what it found and, unless all is well, what
 * to do.
 */

import { forbidden } from './policy';

export type Level = 'ok' | 'warn' | 'fail' | 'skip';

export interface Finding {
    level: Level;
    text: string;
    todo?: string;
}

export interface Settings {
    p: string;          /* the prefix, as nginx has it */
    s: string;          /* the script's name below it */
    g: 'gtm' | 'gtag' | 'light';
    i: string;          /* the id that the script works with; may be empty */
    t: string;          /* the tier */
    f: string;          /* the fallback */
    c: 'off' | 'basic' | 'advanced';
    d: string;          /* the default of consent, by type */
}

/* what the gateway knows of this browser's requests */
export interface State {
    id: string;         /* a measurement id, or empty */
    consent: string;    /* by type: "1" granted, "0" denied, "-" not set */
    gpc: boolean;       /* Sec-GPC, where it counts */
    queued: boolean;    /* sgtm_delivery queued */
    probe: boolean;     /* the cookie that this page has set came along */
    cookies: string[];  /* names of those that the tagging server may see */
}

export interface Test {
    id: string;
    title: string;
    run: (c: Check) => Promise<Finding>;
}

const GRANTED = 'gcs=G111&gcd=13t3t3t3t5l1';
const DENIED = 'gcs=G100&gcd=13p3p3p3p5l1';

/* the same client for all checks of all sites: reports have one at most */
const CLIENT = '1000000001.1000000001';

const PROBE = 'sgtm_check';
const TIMEOUT = 15000;

/* what a policy forbids is told to a page a little later */
export const reported = (): Promise<void> =>
    new Promise((done) => { setTimeout(done, 50); });

const ok = (text: string): Finding => ({ level: 'ok', text });
const warn = (text: string, todo: string): Finding =>
    ({ level: 'warn', text, todo });
const fail = (text: string, todo: string): Finding =>
    ({ level: 'fail', text, todo });
const skip = (text: string): Finding => ({ level: 'skip', text });

export class Check {
    /* the way that this page came is the way to the gateway */
    readonly base = new URL('.', location.href);
    readonly violations: string[] = [];
    before: State | undefined;
    after: State | undefined;

    constructor(readonly settings: Settings) {}

    fetch(path: string, init: RequestInit = {}): Promise<Response> {
        return fetch(new URL(path, this.base), {
            cache: 'no-store',
            redirect: 'manual',
            signal: AbortSignal.timeout(TIMEOUT),
            ...init,
        });
    }

    async state(query: string): Promise<State> {
        const res = await this.fetch(`check/state?${query}`);

        if (!res.ok) {
            throw new Error(`check/state was answered ${res.status}`);
        }

        return await res.json() as State;
    }
}

function kilobytes(res: Response, text: string): string {
    const length = res.headers.get('content-length');
    const encoding = res.headers.get('content-encoding');

    return ((+(length || text.length)) / 1000).toFixed(1) + ' kB'
           + (encoding ? ` in ${encoding}` : '');
}

async function script(c: Check): Promise<Finding> {
    const name = c.settings.s;
    const res = await c.fetch(name);
    const text = await res.text();

    if (res.type === 'opaqueredirect') {
        return fail(`\`${name}\` is redirected.`,
                    'Take the redirect (to another host, to https, to a '
                    + 'slash at the end) away from the gateway\'s prefix.');
    }

    if (res.status !== 200) {
        return fail(`\`${name}\` was answered ${res.status}.`,
                    'Another location may take it, often one for `\\.js$`: '
                    + `write \`location ^~ ${c.settings.p}\`, so that regular `
                    + 'expressions come after it.');
    }

    const type = res.headers.get('content-type') || '';

    if (!/javascript/.test(type) || !text.includes('"v":2')) {
        return fail(`\`${name}\` is not the gateway's script but ${type}.`,
                    'Something in front of nginx, or another location, '
                    + 'answers instead of it.');
    }

    if (!c.settings.i) {
        return fail('The script is served, but has no id to work with.',
                    'Name the site\'s ids by `sgtm_container` and '
                    + '`sgtm_tag_id`, or in the tenant\'s record. '
                    + '`sgtm_tagging light` wants one that begins with `G-`.');
    }

    const age = /max-age=(\d+)/.exec(res.headers.get('cache-control') || '');
    const etag = res.headers.get('etag');

    const again = etag && await c.fetch(name, {
        headers: { 'If-None-Match': etag }
    });

    if (!age || +age[1]! > 60 || !again || again.status !== 304) {
        return warn('The script is served, but is not kept as it should be: '
                    + `Cache-Control "${res.headers.get('cache-control')}", `
                    + `ETag ${etag || 'missing'}.`,
                    'A cache or CDN in front of nginx changes these headers, '
                    + 'or an `expires` or `etag off` holds for the location: '
                    + 'a change of settings reaches visitors late.');
    }

    return ok(`${c.settings.g} for \`${c.settings.i}\`, tier ${c.settings.t}: `
              + `${kilobytes(res, text)}, checked anew after ${age[1]} s.`);
}

function query(c: Check, id: string): string {
    const now = Date.now();

    return new URLSearchParams({
        v: '2',
        tid: id,
        cid: CLIENT,
        sid: String(Math.floor(now / 1000)),
        _p: String(now),
        _s: '1',
        _dbg: '1',
        ul: navigator.language.toLowerCase(),
        dl: c.base.href + 'check',
        dt: document.title,
        en: 'sgtm_check',
        'ep.debug_mode': '1',
        'ep.traffic_type': 'internal',
        'ep.event_id': `check.${now}.${Math.floor(Math.random() * 1e9)}`,
    }) + '&' + GRANTED;
}

const REASONS: Record<string, string> = {
    duplicate: 'It was taken for a duplicate: see the key of `sgtm_dedup`.',
    limited: 'It was over `sgtm_rate_limit`: wait, or raise the rate.',
    filtered: 'The tenant\'s record routes the event another way, or a bot '
              + 'was seen in this browser.',
    denied: 'The gateway did not read the consent of the hit as granted: see '
            + '"Consent is read" below.',
};

function unsent(res: Response, text: string): Finding {
    const todo: Record<number, string> = {
        403: 'Its first word says what is wrong. `origin`: something in front '
             + 'of nginx changes Host, or the page is of another host that '
             + '`sgtm_origins` has to name. `tid`: `sgtm_tag_id` has not this '
             + 'id.',
        404: 'No tenant has this host, or the prefix is another one.',
        413: '`sgtm_max_body` is smaller than a hit.',
        429: REASONS['limited']!,
        502: 'See nginx\'s error log. `SSL` in it: the name in '
             + '`sgtm_endpoint`, or `proxy_ssl_trusted_certificate`. '
             + '`refused`: the address of `proxy_pass`. `too big header`: '
             + '`proxy_buffer_size`.',
        503: 'The tagging server is away, and the fallback is `client`, or '
             + 'the spool is full: see nginx\'s error log.',
        504: 'The tagging server did not answer in time: see its own log, '
             + 'and `proxy_read_timeout`.',
    };

    return fail(`The hit was answered ${res.status}`
                + (text && text.length < 200 && !text.includes('<')
                   ? `: ${text.trim()}.` : '.'),
                todo[res.status]
                || 'The error logs of nginx and of the tagging server say '
                   + 'more.');
}

async function hit(c: Check): Promise<Finding> {
    document.cookie = `${PROBE}=1; Max-Age=60; Path=/; SameSite=Lax`
                      + (location.protocol === 'https:' ? '; Secure' : '');

    c.before = await c.state(GRANTED);

    if (!c.before.id) {
        return skip('There is no measurement id (`G-`) among the tag ids, so '
                    + 'no hit can be sent: what the container sends to has to '
                    + 'be in `sgtm_tag_id`, too.');
    }

    const start = performance.now();
    const res = await c.fetch('g/collect?' + query(c, c.before.id),
                              { method: 'POST' });
    const text = await res.text();
    const time = Math.round(performance.now() - start);

    c.after = await c.state(GRANTED);

    const what = res.headers.get('sgtm-disposition');
    const where = `\`${c.before.id}\`, answered ${res.status} in ${time} ms`;

    if (res.status < 200 || res.status > 299) {
        return unsent(res, text);
    }

    switch (what) {

    case 'forwarded':
        return ok(`The tagging server took it: ${where}.`);

    case 'queued':
        return c.before.queued
               ? ok(`It is kept, and sent on from the queue: ${where}.`)
               : warn(`It is kept in the queue: ${where}.`,
                      'The tagging server did not take it. Nothing is lost, '
                      + 'but see nginx\'s error log.');

    case null:
        return warn(`It was answered by somebody: ${where}.`,
                    'The gateway did not mark the answer. A preview session '
                    + 'of this browser passes unread (end it and check '
                    + 'again), or something in front of nginx answers.');

    default:
        return fail(`It was not sent on (${what}, `
                    + `${res.headers.get('sgtm-reason')}): ${where}.`,
                    REASONS[what] || 'See nginx\'s error log.');
    }
}

/* names, each as code */
const names = (list: string[]): string =>
    list.map((name) => `\`${name}\``).join(', ');

async function cookies(c: Check): Promise<Finding> {
    document.cookie = `${PROBE}=; Max-Age=0; Path=/`;

    const { before, after } = c;

    if (!before) {
        return skip('The gateway could not be asked.');
    }

    if (!before.probe) {
        return fail('A cookie that this page has set did not come to the '
                    + 'gateway.',
                    'This browser blocks cookies here, or something in front '
                    + 'of nginx removes them: it has to leave Cookie and '
                    + 'Set-Cookie alone below the prefix.');
    }

    const all = after ? after.cookies : before.cookies;
    const fresh = all.filter((name) => !before.cookies.includes(name));
    const known = all.filter((name) => /^(_ga|_gcl|FP)/.test(name));

    if (location.protocol !== 'https:') {
        return warn('Cookies reach the gateway, but this page came over http.',
                    'The tagging server\'s cookies are Secure: serve the site '
                    + 'over https.');
    }

    if (fresh.length) {
        return ok(`The tagging server's answer has set ${names(fresh)}.`);
    }

    if (known.length) {
        return ok(`This browser has ${names(known)} already.`);
    }

    return warn('Cookies reach the gateway, but the tagging server has set '
                + 'none.',
                'That is right if its GA4 client leaves ids to JavaScript. '
                + 'For cookies that last in Safari choose "Server managed" '
                + 'there; a cookie of another name has to be in '
                + '`sgtm_cookies`.');
}

const TYPES = ['ad_storage', 'analytics_storage', 'ad_user_data',
               'ad_personalization'];

const granted = (consent: string): string =>
    names(TYPES.filter((_, i) => consent[i] === '1'));

const denied = (consent: string): string =>
    names(TYPES.filter((_, i) => consent[i] !== '1'));

async function consent(c: Check): Promise<Finding> {
    const { c: mode, d } = c.settings;

    if (mode === 'off') {
        return warn('The consent mode is off: signals are counted, and '
                    + 'nothing is removed from hits.',
                    'Where consent is needed, `sgtm_consent_mode basic` or '
                    + '`advanced` enforces it.');
    }

    const [yes, no, none] = await Promise.all([
        c.state(GRANTED), c.state(DENIED), c.state('gcs=G1--'),
    ]);

    const words = `The mode is ${mode}; without a signal `
                  + (granted(d) || 'nothing') + ' is granted.';

    if (no.consent !== '0000') {
        return fail('A denial was not read as one.',
                    '`sgtm_consent_source` has neither `gcd` nor `gcs` before '
                    + 'what grants it.');
    }

    if (yes.gpc) {
        return ok(words + ' This browser sends Global Privacy Control, which '
                  + 'denies what is for ads.');
    }

    if (yes.consent !== '1111') {
        return warn(`Not read as granted: ${denied(yes.consent)}. ${words}`,
                    'That is right if `sgtm_consent_source` names a source of '
                    + 'your own that has not granted it. Otherwise it needs '
                    + '`gcd` and `gcs`.');
    }

    if (none.consent === '1111' && /0/.test(d)) {
        return warn('A hit without a signal counts as granted.',
                    'A source of your own grants it for this browser; see '
                    + '`sgtm_consent_source`.');
    }

    return ok(`A grant and a denial are told apart. ${words}`);
}

const POLICY: Record<string, string> = {
    nonce: '`script-src` trusts nonces alone: the tag that loads the script '
           + 'needs the page\'s nonce',
    'script-src': "`script-src` needs `'self'`",
    'connect-src': "`connect-src` needs `'self'`",
    'trusted-types': '`trusted-types` needs `sgtm`',
};

async function policy(c: Check): Promise<Finding> {
    let header: string | null = null;

    try {
        const res = await fetch('/', { cache: 'no-store' });

        header = res.headers.get('content-security-policy');

    } catch (e) {
        /* a policy may forbid this, too */
    }

    await reported();

    if (c.violations.length) {
        return fail(`This page violated ${c.violations.length}: `
                    + c.violations.slice(0, 3).join('; ') + '.',
                    'A policy that nginx or something in front of it adds to '
                    + 'this page forbids the gateway: allow `\'self\'` for '
                    + '`script-src`, `connect-src` and `style-src`.');
    }

    const lacks = header ? forbidden(header, location) : [];

    if (lacks.length) {
        return warn('None here, but the site\'s policy forbids what the '
                    + 'script needs.',
                    lacks.map((what) => POLICY[what]).join('; ')
                    + '. `sgtm_csp` adds it to pages that nginx serves.');
    }

    return ok(header
              ? 'None, and the policy of the site\'s front page allows the '
                + 'script and its hits.'
              : 'None; the site\'s front page has no policy.');
}

async function preview(c: Check): Promise<Finding> {
    const res = await c.fetch('gtm/debug');

    if (res.type === 'opaqueredirect' || res.status < 400) {
        return ok('The preview server answers: '
                  + (res.status ? `${res.status}.` : 'it redirects to it.'));
    }

    if (res.status >= 500) {
        return fail(`\`gtm/debug\` was answered ${res.status}.`,
                    'The tagging server can\'t be reached, or not its preview '
                    + 'server: see nginx\'s error log, and '
                    + '`PREVIEW_SERVER_URL` of the tagging server.');
    }

    return warn(`\`gtm/debug\` was answered ${res.status}.`,
                res.status === 404
                ? 'The tagging server knows no preview: set its '
                  + '`PREVIEW_SERVER_URL`, or ignore this if you debug '
                  + 'elsewhere.'
                : 'The tagging server answers. Whether it lets you in is '
                  + 'between it and Tag Manager.');
}

export const TESTS: Test[] = [
    { id: 'script', title: 'The script is served', run: script },
    { id: 'hit', title: 'A hit is accepted', run: hit },
    { id: 'cookies', title: 'Cookies are set', run: cookies },
    { id: 'consent', title: 'Consent is read', run: consent },
    { id: 'policy', title: 'No policy is violated', run: policy },
    { id: 'preview', title: 'Preview can be reached', run: preview },
];

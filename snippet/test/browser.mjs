/*
 * As much of a browser as the light tracker touches, with a clock that tests
 * turn: cookies with domains, storage that may be blocked, a network whose
 * answers are given here.
 */

import vm from 'node:vm';
import { webcrypto } from 'node:crypto';
import { bundle } from '../build.mjs';

const script = bundle('light');

export const TIME = Date.UTC(2026, 10, 20, 12);

export const settings = (over = {}) => ({
    v: 2, p: '/metrics/', s: 't.js', g: 'light', i: 'G-ABC1234567',
    t: 'enterprise', f: 'queue', c: 'off', d: '0000', r: 'any', ...over,
});

export const GRANT = {
    ad_storage: 'granted', analytics_storage: 'granted',
    ad_user_data: 'granted', ad_personalization: 'granted',
};

const turn = () => new Promise((done) => setImmediate(done));


/* bound, since a page's global object is not the one that is made here */
function listeners() {
    const all = new Map();

    return {
        addEventListener(name, run) {
            all.set(name, [...all.get(name) || [], run]);
        },

        dispatch(name, event = {}) {
            [...all.get(name) || []].forEach((run) =>
                run({ type: name, ...event }));
        },
    };
}


/* cookies as browsers keep them: a public suffix ("example") has none */
class Cookies {
    all = new Map();
    writes = [];
    reads = 0;

    constructor(host, blocked) {
        this.host = host;
        this.blocked = blocked;
    }

    read() {
        this.reads++;
        this.check();

        return [...this.all.values()].map(([name, value]) => `${name}=${value}`)
                                     .join('; ');
    }

    write(text) {
        this.check();
        this.writes.push(text);

        const [pair, ...attributes] = text.split(';');
        const [name, value] = pair.split('=');
        const of = Object.fromEntries(attributes.map((a) => a.split('=')));
        const domain = of.domain || '';

        if (domain && (!domain.includes('.')
                       || !`.${this.host}`.endsWith(`.${domain}`)))
        {
            return;
        }

        if (of['max-age'] === '0') {
            this.all.delete(`${name};${domain}`);

        } else {
            this.all.set(`${name};${domain}`, [name, value, of]);
        }
    }

    check() {
        if (this.blocked) {
            throw new Error('SecurityError');
        }
    }

    find(name) {
        return [...this.all.values()].find((c) => c[0] === name);
    }

    get(name) {
        return this.find(name)?.[1];
    }
}


class Area {
    data = new Map();
    touched = 0;

    getItem(key) {
        this.touched++;

        return this.data.has(key) ? this.data.get(key) : null;
    }

    setItem(key, value) {
        this.touched++;

        if (this.full) {
            throw new Error('QuotaExceededError');
        }

        this.data.set(key, String(value));
    }

    removeItem(key) {
        this.data.delete(key);
    }
}


export class Browser {

    now = TIME;
    timers = [];
    hits = [];                  /* { kind, url, body, init }, in order */
    answer = () => 204;         /* of a hit: a status, "fail" or "late" */
    beacons = true;             /* whether sendBeacon takes them */
    work = [];

    constructor({
        url = 'https://shop.example/', referrer = '', before = '',
        cookies = '', local = {}, session = {}, blocked = false,
        readyState = 'complete', navigator = {}, window = {},
    } = {}) {
        this.location = new URL(url);
        this.cookies = new Cookies(this.location.hostname, blocked);
        this.local = new Area();
        this.session = new Area();

        for (const pair of cookies ? cookies.split('; ') : []) {
            this.cookies.all.set(`${pair.split('=')[0]};shop.example`,
                                 [...pair.split('='), {}]);
        }

        for (const [area, data] of [[this.local, local],
                                    [this.session, session]])
        {
            for (const [k, v] of Object.entries(data)) {
                area.data.set(k, JSON.stringify(v));
            }
        }

        this.document = Object.assign(listeners(), {
            readyState,
            referrer,
            title: 'A page',
            visibilityState: 'visible',
            focused: true,
            frames: [],
            hasFocus: () => this.document.focused,
            querySelectorAll: () => this.document.frames,
            documentElement: { scrollHeight: 4000 },
            currentScript: null,
        });

        Object.defineProperties(this.document, {
            baseURI: { get: () => this.location.href },
            cookie: {
                get: () => this.cookies.read(),
                set: (text) => this.cookies.write(text),
            },
        });

        const go = (_state, _title, to) => {
            this.location.href = new URL(to ?? '', this.location.href).href;
        };

        const w = Object.assign(listeners(), {
            document: this.document,
            location: this.location,
            history: { pushState: go, replaceState: go },
            navigator: {
                language: 'de-DE',
                sendBeacon: (to, body) => {
                    if (this.beacons) {
                        this.hits.push({ kind: 'beacon', url: to, body });
                    }

                    return this.beacons;
                },
                ...navigator,
            },
            screen: { width: 1920, height: 1080 },
            innerWidth: 1200,
            innerHeight: 800,
            devicePixelRatio: 2,
            scrollY: 0,
            crypto: {
                randomUUID: () => webcrypto.randomUUID(),
                subtle: {
                    digest: (...args) => {
                        const hash = webcrypto.subtle.digest(...args);

                        this.work.push(hash);

                        return hash;
                    },
                },
            },
            URL, URLSearchParams, TextEncoder, Blob,
            AbortSignal: { timeout: (ms) => ({ ms }) },
            setTimeout: (run, ms = 0) => {
                const timer = { run, at: this.now + ms };

                this.timers.push(timer);

                return timer;
            },
            clearTimeout: (timer) => {
                this.timers = this.timers.filter((t) => t !== timer);
            },
            fetch: (to, init) => this.#fetch(to, init),
            __now: () => this.now,
            ...window,
        });

        for (const name of ['local', 'session']) {
            Object.defineProperty(w, `${name}Storage`, {
                get: () => {
                    if (blocked) {
                        throw new Error('SecurityError');
                    }

                    return this[name];
                },
            });
        }

        this.window = w;
        this.context = vm.createContext(w);
        this.run('window = globalThis; Date.now = __now;'
                 + 'gtagStub = function () { dataLayer.push(arguments) };');
        this.run(before);
    }

    async #fetch(url, init) {
        const hit = { kind: 'fetch', url, body: init.body, init };

        this.hits.push(hit);
        await turn();

        const status = this.answer(hit);

        if (status === 'fail') {
            throw new TypeError('Failed to fetch');
        }

        if (status === 'late') {
            throw Object.assign(new Error('late'), { name: 'TimeoutError' });
        }

        return { ok: status < 300, status };
    }

    run(text) {
        return vm.runInContext(text, this.context);
    }

    load(c = settings(), attributes = {},
         src = 'https://shop.example/metrics/t.js')
    {
        this.document.currentScript = {
            src,
            getAttribute: (name) => attributes[name] ?? null,
        };

        this.run(script.head
                 + (typeof c === 'string' ? c : JSON.stringify(c))
                 + script.tail);
        this.document.currentScript = null;

        return this;
    }

    /* time goes by, with all that happens in it */
    async pass(ms) {
        const end = this.now + ms;

        for (;;) {
            for (let i = 0; i < 8; i++) {
                await turn();
            }

            const next = this.timers.filter((t) => t.at <= end)
                                    .sort((a, b) => a.at - b.at)[0];

            if (!next) {
                this.now = end;

                return this;
            }

            this.timers = this.timers.filter((t) => t !== next);
            this.now = Math.max(this.now, next.at);
            next.run();
        }
    }

    /* what takes real time: hashes are made in other threads */
    async settle() {
        do {
            await Promise.all(this.work.splice(0));

            for (let i = 0; i < 8; i++) {
                await turn();
            }

        } while (this.work.length);
    }

    call(name, ...args) {
        this.window.__args = args;
        this.run(`${name}.apply(null, __args)`);
    }

    gtag(...args) {
        this.call('gtag', ...args);
    }

    dispatch(name, event) {
        this.window.dispatch(name, event);
    }

    hide() {
        this.document.visibilityState = 'hidden';
        this.dispatch('visibilitychange');
    }

    show() {
        this.document.visibilityState = 'visible';
        this.dispatch('visibilitychange');
    }

    /* all events, each with the parameters of its hit */
    get events() {
        return this.hits.flatMap(({ url, body, kind }) =>
            body.split('\r\n').map((line) => ({
                '@': kind,
                '@url': url.split('?')[0],
                ...Object.fromEntries(new URLSearchParams(url.split('?')[1])),
                ...Object.fromEntries(new URLSearchParams(line)),
            })));
    }

    get names() {
        return this.events.map((e) => e.en);
    }

    /* the last event of that name */
    event(name) {
        return this.events.filter((e) => e.en === name).pop();
    }
}


/* an element as far as events of it are looked at */
export function element(nodeName, attributes = {}, more = {}) {
    return {
        nodeName,
        id: attributes.id || '',
        textContent: '',
        closest: () => null,
        getAttribute: (name) => attributes[name] ?? null,
        ...more,
    };
}

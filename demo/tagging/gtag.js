/*
 * The demo's stand-in for Google's gtag/js, which can't be had without a
 * network.  It is not Google's code and does not replace it: it reads the data
 * layer and sends GA4 hits with the protocol's parameters, just enough of it
 * to show what a gateway does with them.
 *
 * As Google's tag in consent mode "advanced" does, it sends hits without
 * consent as well, with ids of this page only, and neither reads nor writes a
 * cookie for them.
 */

(function () {
    'use strict';

    const TYPES = ['ad_storage', 'analytics_storage', 'ad_user_data',
                   'ad_personalization'];

    /* by default and update: none, denied, granted */
    const LETTERS = { '': ['l', 'm', 'n'], denied: ['p', 'q', 'r'],
                      granted: ['t', 'u', 'v'] };

    const YEAR = 365 * 86400;
    const BATCH = 300;          /* ms that events wait for each other */

    const layer = window.dataLayer = window.dataLayer || [];
    const page = random() + random().slice(0, 3);
    const began = Date.now();

    const initial = {};
    const update = {};
    const settings = {};

    const ids = { cid: '', sid: '', count: 1 };
    const queue = [];

    let tag = '';
    let hits = 0;
    let waits = 0;              /* for the banner's answer, until then */
    let timer = 0;
    let updated = false;


    function random() {
        return String(Math.floor(1e8 + Math.random() * 9e8));
    }

    function now() {
        return Math.floor(Date.now() / 1000);
    }

    function cookie(name) {
        const pair = document.cookie.split('; ')
                             .find((c) => c.startsWith(name + '='));

        return pair ? pair.slice(name.length + 1) : '';
    }

    function setCookie(name, value, age) {
        document.cookie = name + '=' + value + '; Path=/; SameSite=Lax; '
                          + 'Max-Age=' + age;
    }


    function granted(type) {
        return (update[type] || initial[type] || 'granted') == 'granted';
    }

    function gcs() {
        return 'G1' + [TYPES[0], TYPES[1]].map((type) => {
            return !update[type] && !initial[type] ? '-' : +granted(type);
        }).join('');
    }

    function gcd() {
        const [a, b, c, d] = TYPES.map((type) => {
            const state = ['denied', 'granted'].indexOf(update[type]) + 1;

            return LETTERS[initial[type] || ''][state];
        });

        return '13' + a + '3' + b + '3' + c + '2' + d + '5l1';
    }


    /* ids: of the cookies with consent, of this page without */

    function identify() {
        const name = '_ga_' + tag.slice(2);
        const first = !ids.cid;

        ids.cid = ids.cid || random() + '.' + now();
        ids.sid = ids.sid || String(now());

        if (!granted('analytics_storage')) {
            return first ? ['_fv=1', '_ss=1', '_nsi=1'] : ['_nsi=1'];
        }

        const stored = cookie('_ga').split('.').slice(2).join('.');
        const session = /^GS2\.1\.s(\d+)\$o(\d+)/.exec(cookie(name));

        ids.cid = stored || ids.cid;

        if (session) {
            ids.sid = session[1];
            ids.count = +session[2];
        }

        setCookie('_ga', 'GA1.1.' + ids.cid, 395 * 86400);
        setCookie(name, 'GS2.1.s' + ids.sid + '$o' + ids.count + '$g1$t'
                        + now() + '$j60$l0$h0', 395 * 86400);

        return [].concat(stored ? [] : '_fv=1', session ? [] : '_ss=1');
    }

    /* the click's id and the browser's, for ads */

    function linkAds() {
        const id = new URLSearchParams(location.search).get('gclid');

        if (!granted('ad_storage')) {
            return;
        }

        if (!cookie('_gcl_au')) {
            setCookie('_gcl_au', '1.1.' + random() + '.' + now(), YEAR / 4);
        }

        if (/^[\w-]+$/.test(id || '')) {
            setCookie('_gcl_aw', 'GCL.' + now() + '.' + id, YEAR / 4);
        }
    }


    function pair(key, value) {
        return key + '=' + encodeURIComponent(value);
    }

    function shared() {
        linkAds();

        const flags = identify();
        const personal = granted('ad_personalization');
        const args = [
            'v=2', pair('tid', tag), 'gtm=demo', '_p=' + page,
            'gcs=' + gcs(), 'gcd=' + gcd(), 'npa=' + (personal ? 0 : 1),
            'dma=0', pair('cid', ids.cid),
            pair('ul', navigator.language.toLowerCase()),
            'sr=' + screen.width + 'x' + screen.height,
            'pscdl=' + (granted('ad_storage') ? 'noapi' : 'denied'),
            '_s=' + ++hits, 'sid=' + ids.sid, 'sct=' + ids.count, 'seg=1',
            pair('dl', location.href.split('#')[0]),
            pair('dr', document.referrer), pair('dt', document.title),
        ];

        if (updated) {
            args.push('gcu=1');
            updated = false;
        }

        return args.concat(flags).filter((arg) => arg != 'dr=');
    }

    function item(i) {
        const keys = { item_id: 'id', item_name: 'nm', item_category: 'ca',
                       price: 'pr', quantity: 'qt' };

        return Object.keys(keys).filter((key) => key in i).map((key) => {
            return keys[key] + String(i[key]).replace(/~/g, '~~');
        }).join('~');
    }

    function own(params) {
        const args = [];

        for (const key of Object.keys(params)) {
            const value = params[key];

            if (key == 'items') {
                value.forEach((i, n) => {
                    args.push(pair('pr' + (n + 1), item(i)));
                });

            } else if (key == 'currency') {
                args.push(pair('cu', value));

            } else if (typeof value == 'number') {
                args.push(pair('epn.' + key, value));

            } else {
                args.push(pair('ep.' + key, value));
            }
        }

        return args;
    }


    /* several events are lines of the body, one stands in the query */

    function send(events) {
        const base = settings.server_container_url;

        /* nowhere: the stand-in never talks to Google */

        if (!tag || !base || !events.length) {
            return;
        }

        const lines = events.map((e) => e.join('&'));
        const query = shared().concat(lines.length == 1 ? lines[0] : [],
                                      'tfd=' + (Date.now() - began));

        fetch(base + '/g/collect?' + query.join('&'), {
            method: 'POST',
            keepalive: true,
            credentials: 'include',
            body: lines.length == 1 ? undefined : lines.join('\r\n'),
        }).catch(() => { /* a gateway that is away takes no hits */ });
    }

    /* page views go alone and at once, the rest in batches */

    function flush() {
        clearTimeout(timer);
        timer = 0;

        const events = queue.splice(0);

        while (events.length && events[0][0] == 'en=page_view') {
            send([events.shift()]);
        }

        send(events);
    }

    function schedule() {
        const wait = waits - Date.now();

        if (wait <= 0 && queue.length && queue[0][0] == 'en=page_view') {
            flush();
            return;
        }

        clearTimeout(timer);
        timer = setTimeout(flush, Math.max(wait, BATCH));
    }

    function put(event) {
        queue.push(event);
        schedule();
    }

    async function hash(text) {
        const data = new TextEncoder().encode(text.trim().toLowerCase());
        const sum = new Uint8Array(await crypto.subtle.digest('SHA-256',
                                                              data));

        return btoa(String.fromCharCode(...sum)).replace(/\+/g, '-')
               .replace(/\//g, '_').replace(/=/g, '');
    }

    const commands = {

        consent(action, state) {
            const before = granted('analytics_storage');

            for (const type of TYPES.filter((t) => t in state)) {
                (action == 'default' ? initial : update)[type] = state[type];
            }

            if (action == 'default') {
                waits = Date.now() + (state.wait_for_update || 0);
                return;
            }

            /* ids of before are the cookies' */

            if (before && !granted('analytics_storage')) {
                Object.assign(ids, { cid: '', sid: '', count: 1 });
            }

            updated = true;
            waits = 0;

            if (queue.length) {
                schedule();
            }
        },

        set(name, value) {
            if (name == 'user_data') {
                settings.em = hash(value.email);
                return;
            }

            Object.assign(settings, name);
        },

        config(id, params) {
            tag = id;
            Object.assign(settings, params);
            commands.event('page_view', {});
        },

        event(name, params) {
            const args = [pair('en', name)].concat(own(params || {}));

            if (name != 'purchase' || !settings.em) {
                put(args);
                return;
            }

            settings.em.then((em) => {
                put(args.concat(pair('em', 'tv.1~em.' + em), 'ec_mode=c'));
            });
        },
    };


    function read(entry) {
        const command = Object.prototype.toString.call(entry)
                        == '[object Arguments]' && commands[entry[0]];

        if (command) {
            command.apply(null, [].slice.call(entry, 1));
        }
    }

    layer.push = function (...entries) {
        const n = Array.prototype.push.apply(layer, entries);

        entries.forEach(read);

        return n;
    };

    layer.slice().forEach(read);

    addEventListener('scroll', function listen() {
        const d = document.documentElement;

        if (scrollY + innerHeight >= d.scrollHeight * 0.9) {
            removeEventListener('scroll', listen);
            commands.event('scroll', { percent_scrolled: 90 });
        }
    }, { passive: true });

    addEventListener('pagehide', flush);
})();

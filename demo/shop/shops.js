/*
 * The three shops of the demo: their records, as the file has them, what became
 * of their hits, and switches that change them while nginx runs.
 */

(function () {
    'use strict';

    const POLL = 1000;          /* ms */

    const SETTINGS = [
        ['tier', 'Tier', {
            enterprise: 'enterprise: gateway only',
            professional: 'professional: gateway first',
            starter: 'starter: browser',
        }],
        ['consent_mode', 'Consent mode', {
            off: 'off',
            basic: 'basic: with consent only',
            advanced: 'advanced: cookieless pings',
        }],
        ['rate', 'Rate', {
            'off': 'no limit',
            '30r/m': '30 hits a minute',
        }],
        ['view_item', 'Event view_item', {
            server: 'sent',
            off: 'off',
        }],
    ];

    const FATES = ['forwarded', 'queued', 'denied', 'limited', 'filtered',
                   'refused', 'failed'];

    const cards = {};
    let timer = 0;


    function element(name, props, ...children) {
        const e = Object.assign(document.createElement(name), props);

        e.append(...children);

        return e;
    }

    function get(url) {
        return fetch(url, { cache: 'no-store' }).then((r) => r.json());
    }

    function say(text, wrong) {
        const said = document.getElementById('said');

        if (said.textContent != text) {
            said.textContent = text;
        }

        said.classList.toggle('wrong', !!wrong);
    }


    async function poll() {
        try {
            const [file, status] = await Promise.all([
                get('/shops').catch(() => null),
                get('/status?format=json'),
            ]);
            const error = status.registry && status.registry.error;

            if (file) {
                file.tenants.forEach((shop) => show(shop, status));
            }

            say(error ? 'Not in force: ' + error.text
                      : 'In force: ' + status.registry.records + ' records.',
                error);

        } catch (e) {
            say('The demo does not answer.', true);
        }

        soon(POLL);
    }

    function soon(ms) {
        clearTimeout(timer);
        timer = setTimeout(poll, ms);
    }


    function show(shop, status) {
        const card = cards[shop.id] || (cards[shop.id] = build(shop));
        const tenant = (status.tenants || {})[shop.id];
        const events = shop.events || {};

        for (const [name] of SETTINGS) {
            const select = card.settings[name];
            const value = name == 'view_item' ? events.view_item
                                              : shop[name];

            if (document.activeElement != select && value) {
                select.value = value;
            }
        }

        card.version.textContent = shop.version;

        const hits = tenant ? tenant.hits || tenant : {};

        for (const fate of FATES) {
            card.fates[fate].textContent = hits[fate] || 0;
        }
    }


    function build(shop) {
        const url = new URL(location.href);

        url.host = shop.hosts[0] + (url.port ? ':' + url.port : '');
        url.pathname = '/';
        url.search = url.hash = '';

        const card = { settings: {}, fates: {} };
        const box = element('section', { className: 'card' },
            element('h2', {}, element('a', { href: url.href },
                                      shop.hosts[0])));

        box.id = 'shop-' + shop.id;

        for (const [name, title, values] of SETTINGS) {
            const select = element('select', { name });

            for (const value in values) {
                select.append(element('option', { value }, values[value]));
            }

            select.onchange = () => change(shop.id, name, select);

            card.settings[name] = select;
            box.append(element('label', {}, title, select));
        }

        const list = element('dl', {});

        for (const fate of FATES) {
            card.fates[fate] = element('dd', {}, '0');
            list.append(element('dt', {}, fate), card.fates[fate]);
        }

        card.version = element('dd', {}, '-');
        list.append(element('dt', {}, 'record\'s version'), card.version);

        box.append(list);
        document.getElementById('shops').append(box);

        return card;
    }


    async function change(id, name, select) {
        await fetch('/shops/' + id + '/' + name + '/' + select.value,
                    { method: 'POST' });

        select.blur();
        soon(600);
    }


    document.addEventListener('DOMContentLoaded', poll);
})();

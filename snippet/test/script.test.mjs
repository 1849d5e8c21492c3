/*
 * t.js as the gateway serves it: which script it loads from where, what it
 * puts into the data layer and in which order, and that nothing which a
 * setting, an attribute or a page holds turns into code or an error.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { header } from '../build.mjs';
import { DENIED, Page, scripts, settings } from './page.mjs';

const GATEWAY = 'https://shop.example/metrics/';
const GOOGLE = 'https://www.googletagmanager.com/';
const GTAG = 'gtag/js?id=G-ABC1234567';
const GTM = 'gtm.js?id=GTM-ABC1234';

const ROUTING = {
    server_container_url: 'https://shop.example/metrics',
    transport_url: 'https://shop.example/metrics',
    first_party_collection: true,
};

const DEFAULT = ['default', { ...DENIED, wait_for_update: 500 }];
const container = (over) => settings({ g: 'gtm', i: 'GTM-ABC1234', ...over });


test('the header in src/page is what the sources make', () => {
    const name = '../../src/page/ngx_http_sgtm_snippet.h';
    const text = readFileSync(new URL(name, import.meta.url), 'utf8');

    assert.equal(text, header(scripts));
});


test('the header\'s literals are the scripts, in their order', () => {
    const all = structuredClone(scripts);
    const more = '\\"??=\n'.repeat(2000);

    all.light.head += more;

    const text = header(all);

    for (const line of text.split('\n')) {
        assert.ok(line.length < 80, line);
    }

    assert.ok(!/\?\?/.test(text));

    const found = text.split('static ngx_str_t  ').slice(1).map((array) =>
        [array.match(/^\w+/)[0].replace('ngx_http_sgtm_snippet_', ''),
         array.split('static ngx_http')[0].split('ngx_string(').slice(1)
              .map((group) => group.match(/"(\\.|[^"\\])*"/g)
                                   .map((t) => JSON.parse(
                                       t.replaceAll('\\?', '?')))
                                   .join(''))]);

    assert.ok(found.every(([, groups]) => groups.every((g) =>
        g.length <= 4095)));
    assert.deepEqual(found.map(([name, groups]) => [name, groups.join('')]),
                     Object.entries(all).flatMap(([name, { head, tail }]) =>
                         [[`${name}_head`, head], [`${name}_tail`, tail]]));
    assert.deepEqual([...text.matchAll(/#define \w+_(\w+) +(\d)\n/g)]
                     .map((m) => m[1] + m[2]),
                     ['LIGHT0', 'LOADER1', 'STARTER2']);
});


test('a Google tag through the gateway', () => {
    const page = new Page().load();

    assert.deepEqual(page.urls, [GATEWAY + GTAG]);
    assert.deepEqual(page.layer()[0], ['@', 'consent', ...DEFAULT]);
    assert.deepEqual(page.layer()[1], ROUTING);
    assert.deepEqual(page.layer()[2], ['@', 'set', ROUTING]);
    assert.equal(page.layer()[3][1], 'js');
    assert.deepEqual(page.layer()[4],
                     ['@', 'config', 'G-ABC1234567', ROUTING]);
    assert.equal(page.layer().length, 5);
    assert.ok(page.run('dataLayer[3][1] instanceof Date'));
});


test('a container through the gateway, before a tag', () => {
    const page = new Page().load(container());

    assert.deepEqual(page.urls, [GATEWAY + GTM]);
    assert.deepEqual(page.layer()[0], ['@', 'consent', ...DEFAULT]);
    assert.deepEqual(page.layer()[1], ROUTING);
    assert.deepEqual(page.layer()[2], ['@', 'set', ROUTING]);
    assert.equal(page.layer()[3].event, 'gtm.js');
    assert.equal(typeof page.layer()[3]['gtm.start'], 'number');
    assert.equal(page.layer().length, 4);
});


test('nothing configured: nothing happens', () => {
    const page = new Page().load(settings({ i: '' }));

    assert.deepEqual(page.urls, []);
    assert.deepEqual(page.layer(), []);
});


test('gtag() is there for the page, and the page\'s own is kept', () => {
    const page = new Page().load();

    page.run('gtag("event", "purchase", { value: 1 })');
    assert.deepEqual(page.commands('event'), [['purchase', { value: 1 }]]);

    const own = new Page({ before: 'gtag = gtagStub' }).load();

    assert.ok(own.run('gtag === gtagStub'));
});


for (const i of ['G-abc', 'G-ABC1234567&l=x', '../t.js', 7, 'UA-12345-1',
                 'GTM-ABC1234#', 'https://evil.example/', null])
{
    for (const t of ['enterprise', 'starter']) {
        test(`no id at all: ${t}, ${i}`, () => {
            assert.deepEqual(new Page().load(settings({ i, t })).urls, []);
        });
    }
}


/* the way there */

for (const [what, src, base] of [
    ['as it is', 'https://shop.example/metrics/t.js', GATEWAY],
    ['with a query', 'https://shop.example/metrics/t.js?a=/b/#/c/', GATEWAY],
    ['at the root', 'https://m.shop.example/t.js',
     'https://m.shop.example/'],
    ['with a port', 'http://127.0.0.1:8080/a/b/t.js',
     'http://127.0.0.1:8080/a/b/'],
    ['of a module or a copy', null, GATEWAY],
    ['of a blob', 'blob:https://shop.example/0f/0e', GATEWAY],
    ['of a blob that looks like it', 'blob:https://shop.example/t.js',
     GATEWAY],
    ['of a file', 'file:///t.js', GATEWAY],
    ['of a data URL', 'data:text/javascript,a/b', GATEWAY],
    ['of an SVG script', undefined, GATEWAY],
    ['of a copy in a bundle', 'https://cdn.example/all.js', GATEWAY],
    ['of a longer name', 'https://cdn.example/a/nott.js', GATEWAY],
]) {
    test(`the prefix follows from the script's own address, ${what}`, () => {
        const page = new Page().load(settings(), {}, src);

        assert.deepEqual(page.urls, [base + GTAG]);
        assert.equal(page.commands('set')[0][0].server_container_url,
                     base.slice(0, -1));
    });
}


test('a script name with folders', () => {
    const page = new Page().load(settings({ s: 'js/v1/app.js' }), {},
                                 'https://shop.example/m/js/v1/app.js?x');

    assert.deepEqual(page.urls, ['https://shop.example/m/' + GTAG]);
});


test('a prefix from the settings can\'t leave the page\'s origin', () => {
    const c = settings({ p: '//evil.example/' });
    const page = new Page().load(c, {}, null);

    assert.equal(new URL(page.urls[0]).origin, 'https://shop.example');
});


/* tier and fallback */

for (const [tier, fallback, before, after] of [
    ['enterprise', 'off', GATEWAY, undefined],
    ['enterprise', 'client', GATEWAY, GOOGLE],
    ['enterprise', 'queue', GATEWAY, undefined],
    ['professional', 'off', GATEWAY, undefined],
    ['professional', 'client', GATEWAY, GOOGLE],
    ['professional', 'queue', GATEWAY, undefined],
    ['starter', 'off', GOOGLE, undefined],
    ['starter', 'client', GOOGLE, undefined],
    ['starter', 'queue', GOOGLE, undefined],
]) {
    for (const path of [GTAG, GTM]) {
        test(`${tier}, fallback ${fallback}: ${path}`, () => {
            const over = { t: tier, f: fallback, d: '0100' };
            const c = path === GTM ? container(over) : settings(over);
            const page = new Page().load(c);

            assert.deepEqual(page.urls, [before + path]);

            const routed = /server_container_url|transport_url|first_party/;

            assert.equal(routed.test(JSON.stringify(page.layer())),
                         before === GATEWAY);
            page.fail();

            assert.deepEqual(page.urls,
                             after ? [before + path, after + path]
                                   : [before + path]);

            /* who left the gateway sends no hits there */

            assert.equal(routed.test(JSON.stringify(page.layer())),
                         !after && before === GATEWAY);

            if (after) {
                page.fail(1);
                assert.equal(page.urls.length, 2);
            }
        });
    }
}


/* consent */

test('consent mode off pushes no default', () => {
    const page = new Page().load(settings({ c: 'off' }));

    assert.deepEqual(page.commands('consent'), []);
    assert.deepEqual(page.urls, [GATEWAY + GTAG]);
});


test('the tenant\'s default', () => {
    const state = { ...DENIED, analytics_storage: 'granted' };

    for (const mode of ['basic', 'advanced']) {
        const page = new Page().load(settings({ c: mode, d: '0100' }));

        assert.deepEqual(page.commands('consent'),
                         [['default', { ...state, wait_for_update: 500 }]]);
    }
});


test('the default goes before what the page queued, the rest before events',
     () => {
    const page = new Page({ before: `
        dataLayer = [{ user: 1 }];
        gtagStub('consent', 'update', { ad_storage: 'granted' });
        gtagStub('set', { currency: 'EUR' });
        gtagStub('event', 'view_item');
        dataLayer.push({ event: 'late' });
    ` }).load();

    assert.deepEqual(page.layer().map((e) => e[1] || Object.keys(e)[0]), [
        'consent', 'user', 'consent', 'set',
        'server_container_url', 'set', 'js', 'config', 'event', 'event',
    ]);
    assert.equal(page.layer()[0][2], 'default');
    assert.equal(page.layer()[2][2], 'update');
    assert.deepEqual(page.layer()[9], { event: 'late' });
});


for (const [what, before] of [
    ['a container\'s event', 'dataLayer = [{ event: "early" }]'],
    ['a command', 'dataLayer = []; gtagStub("event", "early")'],
    ['another tag\'s config', 'dataLayer = []; gtagStub("config", "AW-1234")'],
]) {
    test(`the setup goes before ${what}`, () => {
        const layer = new Page({ before }).load().layer();

        assert.deepEqual(layer.slice(0, 5).map((e) => e[1] || 'routing'),
                         ['consent', 'routing', 'set', 'js', 'config']);
        assert.equal(layer[4][2], 'G-ABC1234567');
        assert.match(JSON.stringify(layer[5]), /early|AW-1234/);
    });
}


test('a data layer that is being read is only appended to', () => {
    const page = new Page({ before: `
        dataLayer = [{ event: 'a' }];
        seen = [];
        dataLayer.push = function (...e) { seen.push(...e); return 7; };
        google_tag_manager = { dataLayer: {}, 'GTM-OTHER1': {} };
    ` }).load(container());

    assert.deepEqual(page.layer(), [{ event: 'a' }]);
    assert.equal(page.run('seen.length'), 4);
    assert.equal(page.run('seen[0][1]'), 'default');
    assert.equal(page.run('seen[3].event'), 'gtm.js');
});


test('a default that the page set wins', () => {
    const page = new Page({ before: `
        dataLayer = [{ event: 'a' }];
        gtagStub('consent', 'default', { ad_storage: 'granted' });
    ` }).load();

    assert.deepEqual(page.commands('consent'),
                     [['default', { ad_storage: 'granted' }]]);
});


test('an array is no command, so it is no default', () => {
    const page = new Page({ before: `
        dataLayer = [['consent', 'default', { ad_storage: 'granted' }]];
    ` }).load();

    assert.deepEqual(page.commands('consent'), [DEFAULT]);
    assert.equal(page.layer()[0][1], 'consent');
});


for (const [mode, value, wait, expected] of [
    ['advanced', 'ad_storage=granted', undefined,
     { ...DENIED, ad_storage: 'granted', wait_for_update: 500 }],
    ['advanced', 'ad_storage=granted, analytics_storage=granted', '2000',
     { ...DENIED, ad_storage: 'granted', analytics_storage: 'granted',
       wait_for_update: 2000 }],
    ['advanced', 'ad_storage=yes __proto__=granted', 'soon',
     { ...DENIED, wait_for_update: 500 }],
    ['advanced', 'ad_storage=granted"><script>', '0',
     { ...DENIED, wait_for_update: 500 }],
    ['advanced', 'off', undefined, undefined],
    ['off', 'ad_storage=denied', undefined,
     { ad_storage: 'denied', wait_for_update: 500 }],
    ['off', 'nonsense', undefined, undefined],
]) {
    test(`data-consent="${value}", consent mode ${mode}`, () => {
        const page = new Page().load(settings({ c: mode }), {
            'data-consent': value,
            ...(wait && { 'data-wait': wait }),
        });

        assert.deepEqual(page.commands('consent'),
                         expected ? [['default', expected]] : []);
    });
}


/* basic: no third host before the visitor agreed */

const basic = (over) => settings({ t: 'starter', c: 'basic', ...over });

test('basic: Google\'s hosts wait for the grant', () => {
    const page = new Page().load(basic());

    assert.deepEqual(page.urls, []);

    page.run(`gtag('consent', 'update', { ad_storage: 'granted' })`);
    page.run(`dataLayer.push(['consent', 'update',
                              { analytics_storage: 'granted' }])`);
    page.run(`gtag('consent', 'default',
                   { analytics_storage: 'granted', region: ['US'] })`);
    page.run(`gtag('consent', 'update')`);
    assert.deepEqual(page.urls, []);

    const n = page.run(`dataLayer.push({ event: 'x' }, { event: 'y' })`);

    assert.equal(n, page.layer().length);
    assert.deepEqual(page.layer().slice(-2), [{ event: 'x' }, { event: 'y' }]);

    page.run(`gtag('consent', 'update', { analytics_storage: 'granted' })`);
    assert.deepEqual(page.urls, [GOOGLE + GTAG]);

    page.run(`gtag('consent', 'update', { analytics_storage: 'granted' })`);
    assert.equal(page.urls.length, 1);
});


test('basic: a grant from before, or by default, is enough', () => {
    assert.deepEqual(new Page({ before: `
        dataLayer = [];
        gtagStub('consent', 'update', { analytics_storage: 'granted' });
    ` }).load(basic()).urls, [GOOGLE + GTAG]);

    assert.deepEqual(new Page().load(basic({ d: '0100' })).urls,
                     [GOOGLE + GTAG]);
});


test('basic: an update of other types leaves the grant', () => {
    assert.deepEqual(new Page({ before: `
        dataLayer = [];
        gtagStub('consent', 'update', { analytics_storage: 'granted' });
        gtagStub('consent', 'update', { ad_storage: 'denied' });
    ` }).load(basic()).urls, [GOOGLE + GTAG]);
});


test('basic: what fails after the grant fails quietly', () => {
    const page = new Page().load(basic());

    page.run('document.createElement = undefined');
    page.run(`gtag('consent', 'update', { analytics_storage: 'granted' })`);

    assert.deepEqual(page.urls, []);
    assert.equal(page.commands('consent').length, 2);
});


test('basic: a withdrawal counts', () => {
    const page = new Page({ before: `
        dataLayer = [];
        gtagStub('consent', 'update', { analytics_storage: 'granted' });
        gtagStub('consent', 'update', { analytics_storage: 'denied' });
    ` }).load(basic());

    assert.deepEqual(page.urls, []);
});


test('basic: the gateway itself is no third host, the fallback is', () => {
    const c = settings({ t: 'professional', f: 'client', c: 'basic' });
    const page = new Page().load(c);

    assert.deepEqual(page.urls, [GATEWAY + GTAG]);
    page.fail();
    assert.deepEqual(page.urls, [GATEWAY + GTAG]);

    page.run(`gtag('consent', 'update', { analytics_storage: 'granted' })`);
    assert.deepEqual(page.urls, [GATEWAY + GTAG, GOOGLE + GTAG]);
});


/* attributes of the tag */

for (const [attributes, path] of [
    [{ 'data-container': 'GTM-OTHER99' }, 'gtm.js?id=GTM-OTHER99'],
    [{ 'data-tag-id': 'G-OTHER99' }, 'gtag/js?id=G-OTHER99'],
    [{ 'data-tag-id': 'AW-123456789' }, 'gtag/js?id=AW-123456789'],
    [{ 'data-tag-id': 'GT-OTHER99' }, 'gtag/js?id=GT-OTHER99'],
    [{ 'data-tag-id': 'DC-1234567' }, 'gtag/js?id=DC-1234567'],
    [{ 'data-tag-id': 'G-OTHER99', 'data-container': 'GTM-OTHER99' },
     'gtm.js?id=GTM-OTHER99'],
    [{ 'data-layer': 'shopLayer' }, GTM + '&l=shopLayer'],
    [{ 'data-layer': 'dataLayer' }, GTM],

    /* not of the allowed form: as if they were not there */

    [{ 'data-container': 'GTM-abc' }, GTM],
    [{ 'data-container': 'G-OTHER99' }, 'gtag/js?id=G-OTHER99'],
    [{ 'data-container': 'GTM-ABC1234&l=x' }, GTM],
    [{ 'data-container': 'GTM-ABC1234\n' }, GTM],
    [{ 'data-container': '//evil.example/' }, GTM],
    [{ 'data-tag-id': 'G-A/../../x.js' }, GTM],
    [{ 'data-tag-id': 'UA-12345-1' }, GTM],
    [{ 'data-tag-id': '' }, GTM],
    [{ 'data-layer': 'a b' }, GTM],
    [{ 'data-layer': '0' }, GTM],
    [{ 'data-layer': 'x&id=GTM-EVIL66' }, GTM],
    [{ 'data-layer': 'document' }, GTM],
    [{ 'data-layer': 'name' }, GTM],
    [{ 'data-layer': '__proto__' }, GTM],
]) {
    test(`attributes ${JSON.stringify(attributes)}`, () => {
        const page = new Page({ before: 'name = ""' })
            .load(container(), attributes);

        assert.deepEqual(page.urls, [GATEWAY + path]);
    });
}


test('data-layer names the queue that is used', () => {
    const page = new Page({ before: 'shopLayer = [{ a: 1 }]' })
        .load(settings(), { 'data-layer': 'shopLayer' });

    assert.deepEqual(page.layer('dataLayer'), []);
    assert.deepEqual(page.commands('consent', 'shopLayer'), [DEFAULT]);
    assert.deepEqual(page.layer('shopLayer')[1], { a: 1 });
});


/* policies of the page */

test('the nonce of the tag is passed on', () => {
    const c = settings({ t: 'professional', f: 'client', c: 'off' });
    const page = new Page().load(c, { nonce: 'r4nd0m' }).fail();

    assert.deepEqual(page.scripts.map((s) => s.nonce), ['r4nd0m', 'r4nd0m']);
    assert.equal(new Page().load().scripts[0].nonce, '');
});


test('trusted types: one policy, for both scripts', () => {
    const c = settings({ t: 'professional', f: 'client', c: 'off' });
    const page = new Page({ policies: ['sgtm'] }).load(c).fail();

    assert.deepEqual(page.urls, [GATEWAY + GTAG, GOOGLE + GTAG]);
    assert.equal(page.violations, 0);
});


test('trusted types: a page that does not allow the policy stays quiet',
     () => {
    const page = new Page({ policies: ['other'] }).load();

    assert.deepEqual(page.urls, []);
});


/* twice */

test('loaded twice, it acts once', () => {
    const page = new Page().load().load();

    assert.equal(page.urls.length, 1);
    assert.equal(page.commands('config').length, 1);
    assert.equal(page.commands('consent').length, 1);
});


test('two ids on a page are two tags, with one consent default', () => {
    const page = new Page().load()
        .load(settings(), { 'data-tag-id': 'G-OTHER99' });

    assert.deepEqual(page.urls,
                     [GATEWAY + GTAG, GATEWAY + 'gtag/js?id=G-OTHER99']);
    assert.equal(page.commands('config').length, 2);
    assert.equal(page.commands('consent').length, 1);
});


test('what Google\'s own code on the page has loaded is not loaded again',
     () => {
    const page = new Page({ before: `
        dataLayer = [];
        google_tag_manager = { dataLayer: {}, 'GTM-ABC1234': {} };
    ` }).load(container());

    assert.deepEqual(page.urls, []);
    assert.deepEqual(page.layer(), []);
});


/* whatever the page is like */

for (const [what, before] of [
    ['a data layer that is no array', 'dataLayer = 7'],
    ['a frozen data layer', 'dataLayer = Object.freeze([])'],
    ['a data layer that throws', `
        dataLayer = [];
        dataLayer.push = () => { throw new Error('push') };
        google_tag_manager = { dataLayer: {} }`],
    ['entries that throw', `
        dataLayer = [new Proxy({}, {
            get() { throw new Error('get') },
        })]`],
    ['odd entries', 'dataLayer = [null, undefined, 0, "", [], [null]]'],
    ['a poisoned prototype', 'Array.prototype.some = undefined'],
    ['a clobbered marker', '_sgtm = 7'],
    ['a throwing marker', `
        Object.defineProperty(window, '_sgtm', {
            get() { throw new Error('get') },
        })`],
    ['no createElement', 'document.createElement = undefined'],
    ['a throwing createElement',
     'document.createElement = () => { throw new Error() }'],
    ['no head', 'document.head = null'],
    ['no place at all', 'document.head = document.documentElement = null'],
    ['trusted types that are odd', 'trustedTypes = { createPolicy: 1 }'],
]) {
    test(`never throws: ${what}`, () => {
        for (const tier of ['enterprise', 'professional', 'starter']) {
            const c = settings({ t: tier, f: 'client' });
            const page = new Page({ before }).load(c);

            for (let i = 0; i < page.scripts.length; i++) {
                page.fail(i);
            }
        }
    });
}


test('odd entries and a missing head don\'t keep the tag away', () => {
    const page = new Page({ before: `
        dataLayer = [null, undefined, 0, "", [], [null]];
        document.head = null;
    ` }).load();

    assert.deepEqual(page.urls, [GATEWAY + GTAG]);
});


for (const c of ['null', 'undefined', '0', '""', '[]', '{}', '{"i":1}',
                 '{"i":"G-ABC1234567"}', '{"i":{}}'])
{
    for (const variant of ['loader', 'starter']) {
        test(`never throws: ${variant}, settings ${c}`, () => {
            new Page().load(c, {}, null, variant);
        });
    }
}


/* the gateway writes them escaped; here they only have to stay data */

for (const value of ['</script><script>hit=1</script>', '");hit=1;("',
                     '\'+(hit=1)+\'', '${hit=1}', 'javascript:hit=1',
                     '\u2028hit=1\u2029', '\\u0022;hit=1', 'https://evil/',
                     '__proto__', '\r\nhit=1', '\0'])
{
    for (const variant of ['loader', 'starter']) {
        test(`settings stay data: ${variant}, ${JSON.stringify(value)}`, () => {
            for (const key of ['p', 's', 'g', 'i', 't', 'f', 'c', 'd', 'r',
                               'e'])
            {
                for (const src of ['https://shop.example/metrics/t.js', null]) {
                    const of = key === 'e' ? { [value]: value } : value;
                    const page = new Page().load(settings({ [key]: of }), {},
                                                 src, variant);

                    page.run(`window.gtag?.('event', ${JSON.stringify(value)})`);
                    assert.equal(page.run('typeof hit'), 'undefined');

                    for (const url of page.urls) {
                        assert.equal(new URL(url).origin, variant === 'loader'
                            ? 'https://shop.example'
                            : 'https://www.googletagmanager.com');
                    }
                }
            }
        });
    }
}

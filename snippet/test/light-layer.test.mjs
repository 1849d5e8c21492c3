/*
 * What a site says to the light tracker: gtag(), sgtm() and the data layer,
 * those from before the script came as well; and that nothing which a
 * setting, an attribute or a page holds turns into code or an error.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Browser, settings } from './browser.mjs';

const layer = (page) => JSON.parse(page.run('JSON.stringify(dataLayer)'));


test('what was queued before: settings, the page, events, in order',
     async () => {
    const page = await new Browser({ before: `
        dataLayer = [{ user: 1 }];
        gtagStub('js', new Date());
        gtagStub('config', 'G-ABC1234567', { shop: 'a', user_id: 'u' });
        gtagStub('config', 'G-OTHER99', { shop: 'b' });
        gtagStub('event', 'view_item', { value: 1 });
        dataLayer.push({ event: 'custom', a: 'b', n: 2 });
        sgtm = function () { dataLayer.push(arguments) };
        sgtm('event', 'early', { c: 'd' });
    ` }).load().pass(2000);

    assert.deepEqual(page.names, ['page_view', 'view_item', 'custom', 'early']);

    for (const e of page.events) {
        assert.equal(e['ep.shop'], 'a');
        assert.equal(e.uid, 'u');
    }

    assert.equal(page.event('custom')['ep.a'], 'b');
    assert.equal(page.event('custom')['epn.n'], '2');
    assert.equal(page.event('early')['ep.c'], 'd');
});


test('what comes later: gtag, sgtm, the data layer', async () => {
    const page = await new Browser().load().pass(2000);

    page.gtag('event', 'one', { a: 1 });
    page.call('sgtm', 'event', 'two', { a: 2 });
    assert.equal(page.run('dataLayer.push({ event: "three", a: 3 }, { x: 1 },'
                          + ' { event: "four" })'), layer(page).length);
    await page.pass(2000);
    assert.deepEqual(page.names.slice(1), ['one', 'two', 'three', 'four']);
    assert.equal(page.event('three')['epn.a'], '3');
});


test('a gtag of the page is kept, its calls are heard', async () => {
    const page = new Browser({ before: 'gtag = gtagStub; dataLayer = []' });

    await page.load().pass(2000);
    assert.ok(page.run('gtag === gtagStub'));
    page.gtag('event', 'x');
    await page.pass(2000);
    assert.ok(page.event('x'));
});


/* every commerce event, by both ways */

const ITEM = { item_id: 'i1', price: 2, quantity: 3 };

for (const [name, params, expected] of [
    ['view_item', { currency: 'EUR', value: 6 },
     { cu: 'EUR', 'epn.value': '6' }],
    ['add_to_cart', { value: 6 }, {}],
    ['begin_checkout', { coupon: 'C' }, { 'ep.coupon': 'C' }],
    ['add_payment_info', { payment_type: 'card' },
     { 'ep.payment_type': 'card' }],
    ['add_shipping_info', { shipping_tier: 'fast' },
     { 'ep.shipping_tier': 'fast' }],
    ['purchase', { transaction_id: 'T1', value: 9.5, tax: 1, shipping: 2,
                   coupon: 'C', payment_method: 'card', shipping_tier: 'x' },
     { 'ep.transaction_id': 'T1', 'epn.value': '9.5', 'epn.tax': '1',
       'epn.shipping': '2', 'ep.coupon': 'C', 'ep.payment_method': 'card' }],
    ['view_item_list', { item_list_id: 'l', item_list_name: 'L' },
     { 'ep.item_list_id': 'l', 'ep.item_list_name': 'L' }],
    ['select_item', {}, {}], ['view_cart', {}, {}],
    ['remove_from_cart', {}, {}], ['add_to_wishlist', {}, {}],
    ['refund', { transaction_id: 'T1' }, { 'ep.transaction_id': 'T1' }],
    ['select_promotion', { promotion_id: 'p', creative_name: 'c' },
     { 'ep.promotion_id': 'p', 'ep.creative_name': 'c' }],
    ['view_promotion', {}, {}],
]) {
    test(`commerce: ${name}`, async () => {
        const page = await new Browser().load().pass(2000);
        const data = { ...params, items: [ITEM] };

        page.gtag('event', name, data);
        page.window.__data = { event: name, ecommerce: data };
        page.run('dataLayer.push({ ecommerce: null }); dataLayer.push(__data)');
        await page.pass(2000);

        const both = page.events.filter((e) => e.en === name);

        assert.equal(both.length, 2);

        for (const e of both) {
            assert.equal(e.pr1, 'idi1~pr2~qt3');

            for (const [k, v] of Object.entries(expected)) {
                assert.equal(e[k], v);
            }
        }
    });
}


for (const name of ['generate_lead', 'sign_up', 'login', 'share', 'search']) {
    test(`an event of the site: ${name}`, async () => {
        const page = await new Browser().load().pass(2000);

        page.gtag('event', name, { method: 'm' });
        await page.pass(2000);
        assert.equal(page.event(name)['ep.method'], 'm');
    });
}


/* ids */

test('each event has an id, the data layer has the same', async () => {
    const page = await new Browser({ before: `
        dataLayer = [];
        gtagStub('event', 'one', { a: 1 });
        gtagStub('event', 'bare');
        dataLayer.push({ event: 'two' });
        gtagStub('event', 'own', { event_id: 'mine' });
        gtagStub('event', 'frozen', Object.freeze({ a: 1 }));
    ` }).load().pass(2000);
    const id = (name) => page.event(name)['ep.event_id'];

    assert.equal(id('one'), page.run('dataLayer[0][2].event_id'));
    assert.equal(id('bare'), page.run('dataLayer[1][2].event_id'));
    assert.equal(id('two'), page.run('dataLayer[2].event_id'));
    assert.equal(id('own'), 'mine');
    assert.ok(id('frozen'));
    assert.deepEqual(layer(page).filter((e) => e.sgtm_event), [
        { sgtm_event: 'page_view', event_id: id('page_view') },
    ]);
    assert.equal(new Set(page.events.map((e) => e['ep.event_id'])).size, 6);
});


/* whom it is for, and callbacks */

for (const [to, heard] of [
    [undefined, true], ['G-ABC1234567', true], ['default', true],
    ['AW-123456789/label', false], ['G-OTHER99', false],
    [['G-OTHER99', 'G-ABC1234567'], true], [['a', 'b'], false],
]) {
    test(`send_to ${to}`, async () => {
        const page = await new Browser().load().pass(2000);
        let called = 0;

        page.gtag('event', 'x', { send_to: to, event_callback: () => called++ });
        await page.pass(2000);
        assert.equal(!!page.event('x'), heard);
        assert.equal(called, 1);
    });
}


test('callbacks of the data layer are called; theirs are their errors',
     async () => {
    const page = await new Browser().load().pass(2000);

    page.run(`called = 0;
              dataLayer.push({ event: 'a', eventCallback() { called++ } });
              gtag('event', 'b', { event_callback() { throw 1 } });
              gtag('event', 'c', { event_callback: 'no function' });`);
    await page.pass(2000);
    assert.equal(page.run('called'), 1);
    assert.deepEqual(page.names.slice(1), ['a', 'b', 'c']);
});


/* once */

test('loaded twice, it acts once', async () => {
    const page = await new Browser().load().load().pass(2000);

    page.gtag('event', 'x');
    await page.pass(2000);
    assert.deepEqual(page.names, ['page_view', 'x']);
});


test('what Google\'s own code on the page measures is not measured again',
     async () => {
    const page = await new Browser({ before: `
        google_tag_manager = { 'G-ABC1234567': {} };
    ` }).load().pass(2000);

    assert.equal(page.hits.length, 0);
    assert.equal(page.run('typeof sgtm'), 'undefined');
});


for (const [id, attributes, expected] of [
    ['G-ABC1234567', { 'data-tag-id': 'G-OTHER99' }, 'G-OTHER99'],
    ['G-ABC1234567', { 'data-tag-id': 'AW-123456789' }, 'G-ABC1234567'],
    ['G-ABC1234567', { 'data-tag-id': 'G-A&x=y' }, 'G-ABC1234567'],
    ['', {}, undefined], ['GTM-ABC1234', {}, undefined], [7, {}, undefined],
    ['G-abc', {}, undefined], ['G-ABC1234\n', {}, undefined],
]) {
    test(`the id ${id}, ${JSON.stringify(attributes)}`, async () => {
        const page = await new Browser().load(settings({ i: id }), attributes)
            .pass(2000);

        assert.equal(page.events[0]?.tid, expected);
    });
}


test('data-layer names the queue that is used', async () => {
    const page = await new Browser({ before: `
        shopLayer = [{ event: 'x' }]; dataLayer = [{ event: 'y' }];
        document2 = 1;
    ` }).load(settings(), { 'data-layer': 'shopLayer' }).pass(2000);

    assert.deepEqual(page.names, ['page_view', 'x']);
});


/* whatever the page is like */

for (const [what, before, expected] of [
    ['a data layer that is no array', 'dataLayer = 7', 0],
    ['a frozen data layer', 'dataLayer = Object.freeze([])', 0],
    ['entries that throw', `dataLayer = [new Proxy({}, {
        get() { throw new Error('get') } })]`, 1],
    ['odd entries', `dataLayer = [null, undefined, 0, "", [], [null], "x",
        { event: 7 }, { event: {} }, function () {}]`, 1],
    ['odd commands', `dataLayer = [];
        gtagStub(); gtagStub(null); gtagStub('event'); gtagStub('set');
        gtagStub('set', null); gtagStub('consent'); gtagStub('consent', 1, 1);
        gtagStub('config', 'G-ABC1234567', null); gtagStub('get');
        gtagStub('event', 'x', 7); gtagStub('event', 'y', 'text');
        gtagStub('event', { a: 1 }); gtagStub('consent', 'update', null);`, 3],
    ['a parameter that throws', `dataLayer = [];
        gtagStub('event', 'x', { get a() { throw new Error() } });`, 1],
    ['a parameter that can\'t be text', `dataLayer = [];
        gtagStub('event', 'x', { a: Object.create(null), b: Symbol('s') })`, 2],
    ['poisoned prototypes', 'Array.prototype.flatMap = undefined', 1],
    ['an extended Object.prototype', 'Object.prototype.extra = "x"', 1],
    ['a clobbered marker', '_sgtm = 7', 1],
    ['no fetch', 'fetch = undefined', 0],
    ['a throwing fetch', 'fetch = () => { throw new Error() }', 0],
    ['no beacon', 'navigator.sendBeacon = undefined', 1],
    ['no AbortSignal.timeout', 'delete AbortSignal.timeout', 1],
    ['no history', 'history = undefined', 1],
    ['no title', 'document.title = undefined', 1],
    ['no screen', 'screen = {}', 1],
]) {
    test(`never throws: ${what}`, async () => {
        const page = new Browser({ before });

        await page.load().pass(3000);
        assert.equal(page.events.length, expected);
        page.dispatch('scroll');
        page.dispatch('focus');
        page.hide();
        page.dispatch('pagehide');
        await page.pass(3000);
    });
}


for (const c of ['null', 'undefined', '0', '""', '[]', '{}', '{"i":1}',
                 '{"i":"G-ABC1234567"}', '{"i":"G-ABC1234567","d":7,"e":7}',
                 '{"i":"G-ABC1234567","s":7,"p":7,"c":{},"t":[],"f":null}'])
{
    test(`never throws: settings ${c}`, async () => {
        const page = new Browser().load(c);

        await page.pass(3000);
        page.dispatch('pagehide');
    });
}


for (const value of ['</script><script>hit=1</script>', '");hit=1;("',
                     '\'+(hit=1)+\'', '${hit=1}', 'javascript:hit=1',
                     '\u2028hit=1\u2029', '\\u0022;hit=1', 'https://evil/',
                     '//evil.example/', '__proto__', '\r\nhit=1', '\0'])
{
    test(`settings stay data: ${JSON.stringify(value)}`, async () => {
        for (const key of ['p', 's', 'g', 'i', 't', 'f', 'c', 'd', 'r', 'e']) {
            const of = key === 'e' ? { [value]: value } : value;

            for (const src of ['https://shop.example/metrics/t.js', null]) {
                const page = new Browser().load(settings({ [key]: of }), {},
                                                src);

                await page.pass(3000);
                assert.equal(page.run('typeof hit'), 'undefined');

                for (const { url } of page.hits) {
                    assert.equal(new URL(url).origin, 'https://shop.example');
                }
            }
        }
    });
}

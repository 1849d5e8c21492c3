/*
 * How the light tracker's hits arrive: batches and their sizes, the way of
 * each by tier, fallback, residency, consent and the tenant's own ways for
 * events; what fails is kept, sent again and bounded.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Browser, GRANT, settings, TIME } from './browser.mjs';

const GATEWAY = 'https://shop.example/metrics/g/collect';
const GOOGLE = 'https://www.google-analytics.com/g/collect';

const urls = (page) => page.hits.map((hit) => hit.url.split('?')[0]);

/* a page in the background, which has no engagement to tell of */
async function loaded(c, options, attributes) {
    const page = new Browser(options);

    page.document.focused = false;
    await page.load(settings(c), attributes).pass(3000);
    page.hits.length = 0;

    return page;
}


/* batches */

test('events within a second are one hit, in order', async () => {
    const page = await loaded();

    for (const name of ['a', 'b', 'c']) {
        page.gtag('event', name);
        await page.pass(200);
    }

    await page.pass(2000);
    assert.equal(page.hits.length, 1);
    assert.deepEqual(page.names, ['a', 'b', 'c']);
    assert.equal(page.hits[0].init.method, 'POST');
    assert.equal(page.hits[0].init.keepalive, true);
    assert.equal(page.hits[0].init.credentials, 'include');
    assert.equal(page.hits[0].body.match(/\r\n/g).length, 2);
    assert.doesNotMatch(page.hits[0].body, /(^|&)(dl|dt|cid|tid|gcs)=/);
});


test('at most 20 events a hit, each with its number', async () => {
    const page = await loaded();

    for (let i = 0; i < 45; i++) {
        page.gtag('event', `e${i}`);
    }

    await page.pass(2000);
    assert.deepEqual(page.hits.map((h) => h.body.split('\r\n').length),
                     [20, 20, 5]);
    assert.deepEqual(page.hits.map((h) =>
        new URL(h.url).searchParams.get('_s')), ['2', '3', '4']);
    assert.deepEqual(page.names, Array.from({ length: 45 }, (_, i) => `e${i}`));
});


test('at most 15 kB a hit, but for an event that is larger', async () => {
    const page = await loaded();
    const items = (n) => Array.from({ length: n }, (_, i) =>
        ({ item_id: `item-${i}`, item_name: 'x'.repeat(90) }));

    page.gtag('event', 'a', { items: items(60) });
    page.gtag('event', 'b', { items: items(60) });
    page.gtag('event', 'c', { items: items(60) });
    page.gtag('event', 'd', { items: items(190) });
    await page.pass(2000);

    assert.deepEqual(page.hits.map((h) => h.body.split('\r\n').length),
                     [2, 1, 1]);
    assert.ok(page.hits[0].body.length <= 15000);
    assert.ok(page.hits[2].body.length > 15000);
});


test('at most 900 parameters a hit: the gateway takes 1024', async () => {
    const page = await loaded();

    for (let i = 0; i < 20; i++) {
        page.gtag('event', `e${i}`, Object.fromEntries(Array.from(
            { length: 90 }, (_, k) => [`p${k}`, k])));
    }

    await page.pass(2000);

    for (const { url, body } of page.hits) {
        assert.ok((url + body).split(/[&\r]/).length < 1000);
    }

    assert.equal(page.events.length, 20);
});


test('what a browser lets outlive a page is not exceeded', async () => {
    const page = await loaded();

    for (let i = 0; i < 12; i++) {
        page.gtag('event', `e${i}`, Object.fromEntries(Array.from(
            { length: 20 }, (_, k) => [`p${k}`, 'x'.repeat(500)])));
    }

    await page.pass(1000);

    let flying = 0;

    for (const { body, init } of page.hits) {
        flying += body.length;
        assert.equal(init.keepalive, flying < 60000);
    }

    assert.ok(flying > 64000);

    page.gtag('event', 'after');
    await page.pass(2000);
    assert.equal(page.hits.at(-1).init.keepalive, true);
});


test('an URL is short enough for any server', async () => {
    const page = await loaded();

    page.gtag('event', 'x', {
        page_location: `https://shop.example/?q=${'ü'.repeat(3000)}`,
        page_referrer: `https://shop.example/${'a'.repeat(9000)}`,
        page_title: 'ü'.repeat(9000),
    });
    await page.pass(2000);
    assert.ok(page.hits[0].url.length < 8000, page.hits[0].url.length);
});


test('a page that is hidden sends at once, by fetch', async () => {
    const page = await loaded();

    page.gtag('event', 'a');
    page.hide();
    await page.pass(0);
    assert.deepEqual(page.events.map((e) => [e['@'], e.en]),
                     [['fetch', 'a']]);
    page.dispatch('pagehide');
    assert.equal(page.hits.length, 1);
});


test('a page that leaves sends at once, by sendBeacon', async () => {
    const page = await loaded();

    page.gtag('event', 'a');
    page.dispatch('pagehide');
    assert.deepEqual(page.events.map((e) => [e['@'], e.en]),
                     [['beacon', 'a']]);
    assert.equal(urls(page)[0], GATEWAY);
});


test('a beacon that the browser does not take is kept for the next page',
     async () => {
    const page = await loaded();

    page.beacons = false;
    page.gtag('event', 'a');
    page.dispatch('pagehide');
    assert.equal(page.hits.length, 0);

    const next = new Browser({
        local: { _sgtm_q: JSON.parse(page.local.data.get('_sgtm_q')) },
    }).load();

    await next.pass(3000);
    assert.equal(next.names.filter((n) => n === 'a').length, 1);
    assert.equal(next.local.data.has('_sgtm_q'), false);
});


test('offline: what a page that leaves has is kept', async () => {
    const page = await loaded();

    page.window.navigator.onLine = false;
    page.gtag('event', 'a');
    page.dispatch('pagehide');
    assert.equal(page.hits.length, 0);
    assert.match(page.local.data.get('_sgtm_q'), /en=a/);
});


test('a hit under way while the page goes is not sent again', async () => {
    const page = await loaded();

    page.answer = () => 'fail';
    page.gtag('event', 'a');
    page.hide();
    page.dispatch('pagehide');
    await page.pass(60000);
    assert.equal(page.hits.length, 1);
    assert.equal(page.local.data.has('_sgtm_q'), false);

    /* but where the gateway was down already it is, by the next page */

    const other = await loaded();

    other.answer = () => 'fail';
    other.gtag('event', 'a');
    await other.pass(1010);
    other.dispatch('online');
    other.dispatch('pagehide');
    await other.pass(10);
    assert.match(other.local.data.get('_sgtm_q'), /en=a/);

    /* and so is one of a page that came back */

    page.dispatch('pageshow', { persisted: true });
    page.gtag('event', 'b');
    await page.pass(60000);
    assert.ok(page.hits.length > 3);
});


/* what fails */

for (const answer of ['fail', 'late', 500, 502, 503, 504, 408, 429]) {
    test(`${answer}: the same hit again, until it has arrived`, async () => {
        const page = await loaded();
        let n = 0;

        page.answer = () => n++ < 3 ? answer : 204;
        page.gtag('event', 'a');
        await page.pass(60000);

        assert.equal(page.hits.length, 4);
        assert.equal(new Set(page.hits.map((h) => h.body)).size, 1);
        assert.equal(new Set(page.hits.map((h) => h.url)).size, 1);
        assert.equal(page.local.data.has('_sgtm_q'), false);
        assert.ok(urls(page).every((u) => u === GATEWAY));
    });
}


for (const answer of [200, 204, 400, 403, 404, 405, 413]) {
    test(`${answer}: once and no more`, async () => {
        const page = await loaded();

        page.answer = () => answer;
        page.gtag('event', 'a');
        await page.pass(600000);
        assert.equal(page.hits.length, 1);
        assert.equal(page.local.data.has('_sgtm_q'), false);
    });
}


test('the pauses grow, and are never the same', async () => {
    const page = await loaded();
    const times = [];

    page.answer = () => {
        times.push(page.now);

        return 500;
    };

    page.gtag('event', 'a');
    await page.pass(3600000);

    const pauses = times.slice(1).map((t, i) => t - times[i]);

    assert.ok(pauses[0] >= 1000 && pauses[0] <= 3100, pauses[0]);
    assert.ok(pauses[5] > pauses[0] * 3);
    assert.ok(Math.max(...pauses) <= 450100);
    assert.ok(times.length > 10 && times.length < 40, times.length);
    assert.ok(new Set(pauses.slice(-5)).size > 3);
});


test('what waits is bounded: in number', async () => {
    const page = await loaded();

    page.answer = () => 'fail';

    for (let i = 0; i < 70; i++) {
        page.gtag('event', `e${i}`);
        await page.pass(1001);
    }

    const kept = JSON.parse(page.local.data.get('_sgtm_q'));

    assert.ok(kept.length <= 50);
    assert.match(kept.at(-1).b + kept.at(-2).b, /e69/);
});


test('what waits is bounded: in bytes', async () => {
    const page = await loaded();
    const big = Object.fromEntries(Array.from({ length: 20 }, (_, k) =>
        [`p${k}`, 'x'.repeat(500)]));

    page.answer = () => 'fail';

    for (let i = 0; i < 15; i++) {
        page.gtag('event', `e${i}`, big);
        await page.pass(1001);
    }

    assert.ok(page.local.data.get('_sgtm_q').length <= 100000);
    assert.ok(JSON.parse(page.local.data.get('_sgtm_q')).length > 5);
});


test('what waits is bounded: in age', async () => {
    const hit = (hours) => ({ w: 0, q: 'v=2&tid=G-ABC1234567',
                              b: `en=h${hours}`, t: TIME - hours * 36e5 });
    const page = new Browser({ local: { _sgtm_q: [hit(73), hit(71), hit(1)] } })
        .load();

    await page.pass(5000);
    assert.equal(page.event('h73'), undefined);
    assert.ok(page.event('h71') && page.event('h1'));
});


for (const what of [7, 'x', null, {}, [null], [7], [{}], [[]], { length: 3 },
                    [{ t: TIME }]])
{
    test(`garbage in the storage: ${JSON.stringify(what)}`, async () => {
        const page = new Browser({ local: { _sgtm_q: what },
                                   session: { _sgtm: what } }).load();

        await page.pass(5000);
        page.answer = () => 'fail';
        page.gtag('event', 'a');
        await page.pass(1100);
        page.answer = () => 204;
        await page.pass(60000);
        assert.equal(page.names.filter((n) => n === 'a').length > 1, true);
        assert.ok(page.event('page_view'));
    });
}


test('going online is a reason to try at once', async () => {
    const page = await loaded();

    page.answer = () => 'fail';
    page.gtag('event', 'a');
    await page.pass(120000);
    page.answer = () => 204;

    const n = page.hits.length;

    page.dispatch('online');
    await page.pass(10);
    assert.equal(page.hits.length, n + 1);
    await page.pass(900000);
    assert.equal(page.hits.length, n + 1);
});


test('all that waits follows the first that arrives', async () => {
    const page = await loaded();

    page.answer = () => 'fail';

    for (const name of ['a', 'b', 'c']) {
        page.gtag('event', name);
        await page.pass(1001);
    }

    page.answer = () => 204;
    page.hits.length = 0;
    page.dispatch('online');
    await page.pass(2000);
    assert.deepEqual(page.names.slice().sort(), ['a', 'b', 'c']);
});


test('a page that leaves while the gateway is down keeps its events',
     async () => {
    const page = await loaded();

    page.answer = () => 'fail';
    page.gtag('event', 'a');
    await page.pass(1100);
    page.gtag('event', 'b');
    page.dispatch('pagehide');
    assert.match(page.local.data.get('_sgtm_q'), /en=a[^]*en=b/);
});


for (const [what, change] of [
    ['blocked', { blocked: true }],
    ['full', {}],
]) {
    test(`storage ${what}: events arrive, the failed ones as well`,
         async () => {
        const page = new Browser(change);

        page.local.full = page.session.full = true;
        page.document.focused = false;
        page.load();
        await page.pass(3000);
        page.answer = () => 'fail';
        page.gtag('event', 'a');
        await page.pass(3000);
        page.answer = () => 204;
        await page.pass(60000);

        assert.equal(page.hits.at(-1).body.match(/en=(\w+)/)[1], 'a');

        const views = page.events.filter((e) => e.en === 'page_view');

        assert.equal(views.length, 1);
        assert.equal(new Set(page.events.map((e) => e.cid)).size, 1);
        assert.equal(page.events.filter((e) => e._fv).length, 1);
        assert.equal(page.events.filter((e) => e._ss).length, 1);
    });
}


test('without consent nothing that failed is stored, but it is sent again',
     async () => {
    const page = await loaded({ c: 'advanced' });

    page.answer = () => 'fail';
    page.gtag('event', 'a');
    await page.pass(1100);
    assert.equal(page.local.touched, 0);
    page.answer = () => 204;
    await page.pass(60000);
    assert.equal(page.names.filter((n) => n === 'a').length > 1, true);
    assert.equal(page.local.touched, 0);
});


/* the way, by tier and fallback */

for (const [t, f, down, ways] of [
    ['enterprise', 'queue', 503, [GATEWAY, GATEWAY]],
    ['enterprise', 'off', 503, [GATEWAY, GATEWAY]],
    ['enterprise', 'queue', 'fail', [GATEWAY, GATEWAY]],
    ['professional', 'client', 503, [GATEWAY, GOOGLE]],
    ['professional', 'client', 'fail', [GATEWAY, GOOGLE]],
    ['professional', 'client', 'late', [GATEWAY, GATEWAY]],
    ['professional', 'client', 500, [GATEWAY, GATEWAY]],
    ['professional', 'client', 429, [GATEWAY, GATEWAY]],
    ['professional', 'queue', 503, [GATEWAY, GATEWAY]],
    ['professional', 'off', 'fail', [GATEWAY, GATEWAY]],
    ['enterprise', 'client', 503, [GATEWAY, GOOGLE]],
    ['starter', 'off', 204, [GOOGLE]],
    ['starter', 'client', 'fail', [GOOGLE, GOOGLE]],
    ['x', 'y', 503, [GATEWAY, GATEWAY]],
]) {
    test(`${t}, fallback ${f}: ${down}`, async () => {
        const page = await loaded({ t, f });

        page.answer = (hit) => hit.url.startsWith(GOOGLE) && down !== 'fail'
                               ? 0 : down;
        page.gtag('event', 'a');
        await page.pass(4000);

        assert.deepEqual(urls(page).slice(0, 2), ways);
        assert.equal(new Set(page.events.map((e) => e['ep.event_id'])).size, 1);
        assert.equal(page.hits.find((h) => h.url.startsWith(GOOGLE))
                     ?.init.mode ?? 'no-cors', 'no-cors');

        if (ways[1] === GOOGLE && t !== 'starter' && down === 503) {
            assert.equal(page.hits.length, 2);
        }
    });
}


test('the attributes override tier and fallback', async () => {
    const page = await loaded({}, {}, { 'data-tier': 'starter' });

    page.gtag('event', 'a');
    await page.pass(2000);
    assert.deepEqual(urls(page), [GOOGLE]);

    const other = await loaded({ t: 'professional', f: 'client' }, {},
                               { 'data-fallback': 'off' });

    other.answer = () => 503;
    other.gtag('event', 'a');
    await other.pass(30000);
    assert.ok(urls(other).every((u) => u === GATEWAY));
});


for (const [what, over] of [
    ['residency', { r: 'eu' }], ['residency', { r: 'auto' }],
    ['consent', { c: 'advanced', d: '1011' }],
]) {
    test(`professional: no third host against ${what}`, async () => {
        const page = await loaded({ t: 'professional', f: 'client', ...over });

        page.answer = () => 503;
        page.gtag('event', 'a');
        await page.pass(30000);
        page.dispatch('pagehide');
        assert.ok(urls(page).length > 2);
        assert.ok(urls(page).every((u) => u === GATEWAY));
    });
}


test('starter with a residency goes by the gateway', async () => {
    const page = await loaded({ t: 'starter', r: 'eu' });

    page.gtag('event', 'a');
    await page.pass(2000);
    assert.deepEqual(urls(page), [GATEWAY]);
});


test('professional: the failure is remembered, then the gateway is tried',
     async () => {
    const c = { t: 'professional', f: 'client' };
    const page = await loaded(c);

    page.answer = (hit) => hit.url.startsWith(GOOGLE) ? 0 : 503;
    page.gtag('event', 'a');
    await page.pass(2000);
    page.gtag('event', 'b');
    await page.pass(2000);
    assert.deepEqual(urls(page), [GATEWAY, GOOGLE, GOOGLE]);

    /* the next page of the session knows, too */

    const next = new Browser({
        session: { _sgtm: JSON.parse(page.session.data.get('_sgtm')) },
    });

    next.now = page.now;
    next.load(settings(c));
    await next.pass(2000);
    assert.deepEqual(urls(next), [GOOGLE]);

    await next.pass(60000);
    next.hits.length = 0;
    next.gtag('event', 'c');
    await next.pass(2000);
    assert.deepEqual(urls(next), [GATEWAY]);
    next.dispatch('pagehide');
    assert.ok(urls(next).every((u) => u === GATEWAY));
});


test('professional: a late hit is not sent to Google afterwards', async () => {
    const page = await loaded({ t: 'professional', f: 'client' });
    const answers = ['late', 503];

    page.answer = (hit) => hit.url.startsWith(GOOGLE) ? 0
                           : answers.shift() || 503;
    page.gtag('event', 'late');
    await page.pass(1100);
    page.gtag('event', 'other');
    await page.pass(30000);

    const to = (name) => new Set(page.events.filter((e) => e.en === name)
                                            .map((e) => e['@url']));

    assert.deepEqual([...to('late')], [GATEWAY]);
    assert.ok(to('other').has(GOOGLE));
});


/* the tenant's own ways */

for (const [t, way, expected] of [
    ['enterprise', 'server', [GATEWAY]], ['enterprise', 'client', [GOOGLE]],
    ['enterprise', 'both', [GATEWAY, GOOGLE]], ['enterprise', 'off', []],
    ['professional', 'server', [GATEWAY]], ['professional', 'client', [GOOGLE]],
    ['starter', 'server', [GATEWAY]], ['starter', 'both', [GATEWAY, GOOGLE]],
    ['starter', 'off', []], ['enterprise', 'odd', [GATEWAY]],
]) {
    test(`${t}, an event's way is ${way}`, async () => {
        const page = await loaded({ t, e: { special: way } });

        page.gtag('event', 'special');
        page.gtag('event', 'constructor');
        await page.pass(2000);

        assert.deepEqual(page.events.filter((e) => e.en === 'special')
                                    .map((e) => e['@url']), expected);
        assert.deepEqual(page.events.filter((e) => e.en === 'constructor')
                                    .map((e) => e['@url']),
                         [t === 'starter' ? GOOGLE : GATEWAY]);
    });
}


test('the way "server" has no fallback', async () => {
    const page = await loaded({ t: 'professional', f: 'client',
                                e: { special: 'server' } });

    page.answer = (hit) => hit.url.startsWith(GOOGLE) ? 0 : 503;
    page.gtag('event', 'special');
    await page.pass(30000);
    assert.ok(urls(page).every((u) => u === GATEWAY));
});


for (const over of [{ r: 'eu' }, { c: 'advanced', d: '1011' }]) {
    test(`the way "client" against ${JSON.stringify(over)}`, async () => {
        const page = await loaded({ e: { one: 'client', two: 'both' },
                                    ...over });

        page.gtag('event', 'one');
        page.gtag('event', 'two');
        await page.pass(2000);
        assert.deepEqual(page.names, ['two']);
        assert.deepEqual(urls(page), [GATEWAY]);
    });
}


test('ways from the attribute, under those of the tenant', async () => {
    const page = await loaded({ e: { a: 'server' } }, {},
                              { 'data-events': 'a=off b=off' });

    page.gtag('event', 'a');
    page.gtag('event', 'b');
    await page.pass(2000);
    assert.deepEqual(page.names, ['a']);
});


/* the gateway's address */

for (const [what, src, base] of [
    ['as it is', 'https://shop.example/metrics/t.js', GATEWAY],
    ['moved', 'https://m.shop.example/x/y/t.js?v=1',
     'https://m.shop.example/x/y/g/collect'],
    ['of a copy', 'https://cdn.example/all.js', GATEWAY],
    ['of a module', undefined, GATEWAY],
]) {
    test(`the gateway follows from the script's address, ${what}`,
         async () => {
        const page = await new Browser().load(settings(), {}, src).pass(2000);

        assert.deepEqual(urls(page), [base]);
    });
}


test('a consent that comes later lets Google have what the tier gives it',
     async () => {
    const page = await loaded({ t: 'professional', f: 'client',
                                c: 'advanced' });

    page.answer = (hit) => hit.url.startsWith(GOOGLE) ? 0 : 503;
    page.gtag('event', 'a');
    await page.pass(5000);
    assert.ok(urls(page).every((u) => u === GATEWAY));
    page.gtag('consent', 'update', GRANT);
    page.gtag('event', 'b');
    await page.pass(5000);
    assert.ok(page.events.some((e) => e.en === 'b' && e['@url'] === GOOGLE));
});

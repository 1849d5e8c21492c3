/*
 * The light tracker's wire: what of an event, its items, its user and its
 * browser goes into a hit, by which name.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { Browser, GRANT, settings, TIME } from './browser.mjs';

const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;
const sha = (text) => createHash('sha256').update(text).digest('hex');

async function sent(name, params, options) {
    const page = await new Browser(options).load().pass(0);

    page.gtag('event', name, params);
    await page.pass(2000);

    return page.event(name);
}


test('a hit of a page view has what is known of page and browser', async () => {
    const page = await new Browser({
        url: 'https://www.shop.example/a?b=1#c',
        referrer: 'https://news.example/',
    }).load().pass(2000);

    const { cid, sid, _p, 'ep.event_id': id, ...rest } = page.events[0];

    assert.match(cid, UUID);
    assert.match(id, UUID);
    assert.match(_p, /^\d+$/);
    assert.equal(+sid, TIME / 1000 + 1);
    assert.deepEqual(rest, {
        '@': 'fetch', '@url': 'https://shop.example/metrics/g/collect',
        v: '2', tid: 'G-ABC1234567', _s: '1', en: 'page_view',
        sct: '1', seg: '0', _fv: '1', _ss: '1',
        gcs: 'G1--', gcd: '13l3l3l3l1l1', npa: '0',
        dl: 'https://www.shop.example/a?b=1#c',
        dr: 'https://news.example/', dt: 'A page',
        ul: 'de-de', sr: '1920x1080',
        'ep.viewport_size': '1200x800', 'epn.device_pixel_ratio': '2',
        'ep.timezone': Intl.DateTimeFormat().resolvedOptions().timeZone,
        'ep.script_version': '0.1.0', 'ep.is_first_visit': 'true',
        'epn.page_view_number': '1', 'epn.event_timestamp': String(TIME),
    });
});


for (const [name, value, key, expected] of [
    ['value', 12.5, 'epn.value', '12.5'],
    ['tax', 0, 'epn.tax', '0'],
    ['transaction_id', 'T 1&2', 'ep.transaction_id', 'T 1&2'],
    ['number_as_text', '7', 'ep.number_as_text', '7'],
    ['logged_in', false, 'ep.logged_in', 'false'],
    ['currency', 'EUR', 'cu', 'EUR'],
    ['page_title', 'Mine', 'dt', 'Mine'],
    ['page_location', 'https://a.example/b', 'dl', 'https://a.example/b'],
    ['page_referrer', 'https://a.example/c', 'dr', 'https://a.example/c'],
    ['user_id', 'u7', 'uid', 'u7'],
    ['event_category', 'x', 'ep.event_category', 'x'],
    ['debug_mode', true, 'ep.debug_mode', 'true'],
    ['long', 'x'.repeat(900), 'ep.long', 'x'.repeat(500)],
    ['half', 'a\ud83d', 'ep.half', 'a'],
    ['whole', '\ud83d\ude00 ü', 'ep.whole', '\ud83d\ude00 ü'],
    ['tilde', "~()!*'", 'ep.tilde', "~()!*'"],
    ['crlf', 'a\r\nen=evil', 'ep.crlf', 'a\r\nen=evil'],
    ['none', null, 'ep.none', undefined],
    ['undefined', undefined, 'ep.undefined', undefined],
    ['object', { a: 1 }, 'ep.object', undefined],
    ['run', () => 1, 'ep.run', undefined],
    ['send_to', 'G-ABC1234567', 'ep.send_to', undefined],
    ['event_timeout', 500, 'epn.event_timeout', undefined],
    ['transport_url', 'https://x.example', 'ep.transport_url', undefined],
    ['gtm.uniqueEventId', 3, 'epn.gtm.uniqueEventId', undefined],
    ['constructor', 'c', 'ep.constructor', 'c'],
    ['__proto__x', 'c', 'ep.__proto__x', undefined],
]) {
    test(`a parameter: ${name}=${String(value).slice(0, 20)}`, async () => {
        const e = await sent('some', { [name]: value });

        assert.equal(e[key], expected);
        assert.equal(e.en, 'some');
    });
}


test('items: every name of theirs, and those of the site', async () => {
    const e = await sent('purchase', {
        value: 5, currency: 'EUR',
        items: [{
            item_id: 'i', item_name: 'n', item_brand: 'b', item_category: 'c1',
            item_category2: 'c2', item_category3: 'c3', item_category4: 'c4',
            item_category5: 'c5', item_variant: 'v', price: 1.5, quantity: 2,
            coupon: 'k', discount: 0.5, item_list_name: 'l',
            item_list_id: 'li', index: 3, location_id: 'lo',
            affiliation: 'a', promotion_id: 'p', promotion_name: 'pn',
            creative_name: 'cn', creative_slot: 'cs',
        }, { item_id: 'a~b', colour: 'r~d', size: 9, constructor: 'x' }, null,
        { item_name: 'last', none: null }],
    });

    assert.equal(e.pr1, 'idi~nmn~brb~cac1~c2c2~c3c3~c4c4~c5c5~vav~pr1.5~qt2'
                        + '~cpk~ds0.5~lnl~lili~lp3~lolo~afa~pip~pnpn~cncn'
                        + '~cscs');
    assert.equal(e.pr2, 'ida~~b~k0colour~v0r~~d~k1size~v19'
                        + '~k2constructor~v2x');
    assert.equal(e.pr3, undefined);
    assert.equal(e.pr4, 'nmlast');
});


test('200 items at most', async () => {
    const items = Array.from({ length: 250 }, (_, i) => ({ item_id: i }));
    const e = await sent('view_item_list', { items });

    assert.equal(e.pr200, 'id199');
    assert.equal(e.pr201, undefined);
});


for (const [name, what, key] of [
    ['', { a: 1 }, ''], ['1a', {}, ''], ['a-b', {}, ''], ['gtm.js', {}, ''],
    ['a'.repeat(41), {}, ''], ['a b', {}, ''],
]) {
    test(`no event is called "${name}"`, async () => {
        assert.equal(await sent(name, what), undefined, key);
    });
}


test('set: parameters and properties for all events', async () => {
    const page = await new Browser().load().pass(2000);

    page.gtag('set', { currency: 'USD', shop: 'a' });
    page.gtag('set', 'shop', 'b');
    page.gtag('set', 'user_properties', { plan: 'gold', age: 7 });
    page.call('sgtm', 'set', { user_id: 'u1' });
    page.gtag('event', 'one', { shop: 'c' });
    page.gtag('event', 'two');
    await page.pass(2000);

    const [one, two] = page.events.slice(1);

    assert.equal(one['ep.shop'], 'c');
    assert.equal(two['ep.shop'], 'b');

    for (const e of [one, two]) {
        assert.equal(e.cu, 'USD');
        assert.equal(e['up.plan'], 'gold');
        assert.equal(e['upn.age'], '7');
        assert.equal(e.uid, 'u1');
    }
});


for (const [data, expected] of [
    [{ email: ' Ada@Example.COM ' },
     { email_address: sha('ada@example.com') }],
    [{ email_address: 'a b@c.d' }, { email_address: sha('ab@c.d') }],
    [{ phone_number: '+49 (30) 12-34' }, { phone_number: sha('+493012' + '34') }],
    [{ phone: ['+1 2', '+3'] }, { phone_number: sha('+12') }],
    [{ address: { first_name: ' Mary-Ann 2', last_name: "O'Hara",
                  street: '1, High St.', city: 'Köln', country: 'DE',
                  postal_code: '50667', region: 'NW' } },
     { 'address.first_name': sha('maryann'), 'address.last_name': sha('ohara'),
       'address.street': sha('1 high st'), 'address.city': sha('köln'),
       'address.country': sha('de'), 'address.postal_code': sha('50667'),
       'address.region': sha('nw') }],
    [{ address: [{ first_name: 'A' }, { first_name: 'B' }] },
     { 'address.first_name': sha('a') }],
    [{ sha256_email_address: 'AB'.repeat(32) },
     { email_address: 'ab'.repeat(32) }],
    [{ email: '', phone: null, other: 'secret' }, {}],
]) {
    test(`user data: ${JSON.stringify(data).slice(0, 60)}`, async () => {
        const page = await new Browser().load().pass(2000);

        page.gtag('set', 'user_data', data);
        await page.settle();
        page.gtag('event', 'sign_up', { method: 'x' });
        await page.pass(2000);

        const e = page.event('sign_up');
        const found = Object.fromEntries(Object.entries(e)
            .filter(([k]) => k.includes('user_data'))
            .map(([k, v]) => [k.replace('ep.user_data.', '')
                             .replace('sha256_', ''), v]));

        assert.deepEqual(found, expected);
        assert.doesNotMatch(JSON.stringify(page.hits), /[Ee]xample.com|secret/i);
    });
}


test('user data of an event is hashed, too, and never in clear', async () => {
    const page = await new Browser().load().pass(2000);

    page.gtag('event', 'login', { user_data: { email: 'a@b.c' } });
    await page.settle();
    await page.pass(2000);

    assert.equal(page.event('login')['ep.user_data.sha256_email_address'],
                 sha('a@b.c'));
    assert.doesNotMatch(JSON.stringify(page.hits), /a(@|%40)b\.c/);
});


test('user data without TLS: there is none, and events go on', async () => {
    const page = await new Browser({ window: { crypto: {} } })
        .load().pass(2000);

    page.gtag('set', 'user_data', { email: 'a@b.c' });
    page.gtag('event', 'login');
    await page.pass(2000);

    assert.ok(page.event('login'));
    assert.match(page.event('login')['ep.event_id'], UUID);
    assert.doesNotMatch(JSON.stringify(page.hits), /user_data/);
});


test('user data and user id need ad_user_data', async () => {
    const page = await new Browser().load(settings({ c: 'advanced' })).pass(0);

    page.gtag('consent', 'update', { ...GRANT, ad_user_data: 'denied' });
    page.gtag('set', { user_data: { email: 'a@b.c' }, user_id: 'u1' });
    await page.settle();
    page.gtag('event', 'login');
    await page.pass(2000);

    const e = page.event('login');

    assert.equal(e['ep.user_data.sha256_email_address'], undefined);
    assert.equal(e.uid, undefined);
});


const HINTS = {
    architecture: 'x86', bitness: '64', mobile: false, model: '',
    platform: 'Linux', platformVersion: '6.1', wow64: true,
    fullVersionList: [{ brand: 'A;B', version: '1.2' },
                      { brand: 'Chromium', version: '140.0' }],
};

test('client hints, as Google encodes them, in the first hit', async () => {
    const page = await new Browser({
        navigator: {
            userAgentData: { getHighEntropyValues: async () => HINTS },
        },
    }).load().pass(2000);

    const e = page.event('page_view');

    assert.deepEqual(
        ['uaa', 'uab', 'uafvl', 'uamb', 'uam', 'uap', 'uapv', 'uaw']
            .map((k) => e[k]),
        ['x86', '64', 'A%3BB;1.2|Chromium;140.0', '0', undefined, 'Linux',
         '6.1', '1']);
});


for (const [what, getHighEntropyValues] of [
    ['refused', async () => { throw new Error('NotAllowedError'); }],
    ['thrown', () => { throw new Error(); }],
    ['odd', async () => null],
]) {
    test(`client hints: ${what}`, async () => {
        const page = await new Browser({
            navigator: { userAgentData: { getHighEntropyValues } },
        }).load().pass(2000);

        assert.equal(page.event('page_view').uaa, undefined);
    });
}

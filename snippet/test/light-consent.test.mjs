/*
 * The light tracker and consent: its code on the wire, who may say what it
 * is, what leaves and what is stored in each state and mode.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Browser, GRANT, settings } from './browser.mjs';

const TYPES = Object.keys(GRANT);
const DENY = Object.fromEntries(TYPES.map((type) => [type, 'denied']));
const ADS = 'utm_source=s&gclid=Xg1&fbclid=Xf1&_gl=Xl1&wbraid=Xw1&gad_source=1'
            + '&msclkid=Xm1&x=1';
const URL_ = `https://shop.example/?${ADS}#gclid=Xg2&part`;

const basic = (d = '0000') => settings({ c: 'basic', d });
const advanced = (d = '0000') => settings({ c: 'advanced', d });
const state = (of) => Object.fromEntries(TYPES.map((type, i) =>
    [type, { 0: 'denied', 1: 'granted' }[of[i]]]).filter((p) => p[1]));

/* nothing was read or written that a denial forbids */
function untouched(page) {
    assert.deepEqual(page.cookies.writes.filter((c) => !/max-age=0/.test(c)),
                     []);
    assert.equal(page.cookies.reads, 0);
    assert.equal(page.local.touched + page.session.touched, 0);
}


/* the letters of each type, by default and update */

for (const [first, then, letter, granted] of [
    ['', '', 'l', '-'], ['0', '', 'p', '0'], ['0', '0', 'q', '0'],
    ['0', '1', 'r', '1'], ['1', '', 't', '1'], ['1', '0', 'u', '0'],
    ['1', '1', 'v', '1'], ['', '0', 'm', '0'], ['', '1', 'n', '1'],
]) {
    for (let i = 0; i < 4; i++) {
        test(`gcd: ${TYPES[i]}, default "${first}", update "${then}"`,
             async () => {
            const page = new Browser().load();
            const only = (v) => state('    '.slice(0, i) + v);

            page.gtag('consent', 'default', only(first));
            page.gtag('consent', 'update', only(then));
            await page.pass(2000);

            const { gcd, gcs } = page.event('page_view');
            const set = letter !== 'l';
            const expected = [...(set ? '13l3l3l3l5l1' : '13l3l3l3l1l1')];

            expected[2 + 2 * i] = letter;
            assert.equal(gcd, expected.join(''));
            assert.equal(gcs, i === 0 ? `G1${granted}-`
                              : i === 1 ? `G1-${granted}` : 'G1--');
        });
    }
}


for (const [d, gcs, gcd, npa] of [
    ['0000', 'G100', '13p3p3p3p5l1', '1'],
    ['1000', 'G110', '13t3p3p3p5l1', '1'],
    ['0100', 'G101', '13p3t3p3p5l1', '1'],
    ['1111', 'G111', '13t3t3t3t5l1', '0'],
]) {
    test(`the tenant's default: ${d}`, async () => {
        const page = await new Browser().load(advanced(d)).pass(2000);
        const e = page.event('page_view');

        assert.deepEqual([e.gcs, e.gcd, e.npa], [gcs, gcd, npa]);
    });
}


test('the attribute overrides the tenant, the page both', async () => {
    const page = new Browser({ before: `
        dataLayer = [];
        gtagStub('consent', 'default', { ad_user_data: 'granted' });
    ` }).load(advanced(), { 'data-consent': 'ad_storage=granted, x=y' });

    await page.pass(2000);
    assert.equal(page.event('page_view').gcd, '13t3p3t3p5l1');
});


/* regions */

for (const [at, defaults, gcs] of [
    ['', [[DENY, ['DE']], [GRANT]], 'G100'],
    ['', [[GRANT, ['DE']], [DENY]], 'G100'],
    ['DE', [[DENY, ['DE', 'FR']], [GRANT]], 'G100'],
    ['FR', [[GRANT], [DENY, 'FR']], 'G100'],
    ['US-CA', [[GRANT], [DENY, ['US-CA']]], 'G100'],
    ['US-CA', [[GRANT, ['US-CA']], [DENY, ['US']], [DENY]], 'G111'],
    ['US-NY', [[GRANT], [DENY, ['US-CA']]], 'G111'],
    ['US', [[GRANT], [DENY, ['US-CA']]], 'G111'],
    ['US-CA', [[DENY, ['US']], [GRANT]], 'G100'],
]) {
    test(`a visitor from "${at}": ${JSON.stringify(defaults.map((d) => d[1]))}`,
         async () => {
        const page = new Browser().load(settings(), { 'data-region': at });

        for (const [to, region] of defaults) {
            page.gtag('consent', 'default', { ...to, region });
        }

        await page.pass(2000);
        assert.equal(page.event('page_view').gcs, gcs);
    });
}


/* waiting for a banner */

for (const [wait, at, expected] of [
    [undefined, 1200, 1], [2000, 1900, 0], [2000, 2200, 1],
    [99999999, 9900, 0], [99999999, 10100, 1],
]) {
    test(`wait_for_update ${wait}: after ${at} ms`, async () => {
        const page = new Browser().load();

        page.gtag('consent', 'default', { ...DENY, wait_for_update: wait });
        await page.pass(at);
        assert.equal(page.hits.length, expected);
    });
}


test('an update ends the waiting, and is what is sent', async () => {
    const page = new Browser().load(advanced(), { 'data-wait': '5000' });

    await page.pass(3000);
    assert.equal(page.hits.length, 0);

    page.gtag('consent', 'update', GRANT);
    await page.pass(100);
    assert.deepEqual(page.names, ['page_view', 'consent_record']);
    assert.equal(page.event('page_view').gcd, '13r3r3r3r5l1');
});


test('a page that leaves does not wait', async () => {
    const page = await new Browser().load(advanced(), { 'data-wait': '5000' })
        .pass(10);

    page.dispatch('pagehide');
    assert.equal(page.event('page_view').gcs, 'G100');
    assert.equal(page.event('page_view')['@'], 'beacon');
});


/* basic */

test('basic: nothing leaves and nothing is stored before the grant',
     async () => {
    const page = await new Browser({ url: URL_ }).load(basic()).pass(20000);

    page.gtag('event', 'early', { a: 1 });
    page.hide();
    page.show();
    page.dispatch('pagehide');
    await page.pass(20000);
    assert.equal(page.hits.length, 0);
    untouched(page);

    page.gtag('consent', 'update', { ad_storage: 'granted' });
    await page.pass(5000);
    assert.equal(page.hits.length, 0);
    assert.equal(page.cookies.reads, 0);

    page.gtag('consent', 'update', { analytics_storage: 'granted' });
    await page.pass(100);

    assert.equal(page.names[0], 'page_view');
    assert.ok(page.event('early'));
    assert.ok(page.event('consent_record'));
    assert.equal(new Set(page.events.map((e) => e['ep.event_id'])).size,
                 page.events.length);
    assert.equal(page.events.filter((e) => e._fv).length, 1);
    assert.ok(page.cookies.get('_ga'));
});


test('basic: what waits is bounded, the latest stay', async () => {
    const page = await new Browser().load(basic()).pass(0);

    for (let i = 0; i < 300; i++) {
        page.gtag('event', `e${i}`);
    }

    page.gtag('consent', 'update', GRANT);
    await page.pass(100);
    assert.equal(page.events.length, 100);
    assert.ok(page.event('e299'));
});


test('basic: a withdrawal is the end of it', async () => {
    const page = await new Browser().load(basic('1111')).pass(2000);
    const n = page.hits.length;

    page.gtag('event', 'late');
    page.gtag('consent', 'update', DENY);
    page.gtag('event', 'later');
    page.hide();
    await page.pass(20000);
    assert.equal(page.hits.length, n);
});


/* advanced */

test('advanced: cookieless pings, without storage and ids', async () => {
    const page = await new Browser({
        url: URL_,
        referrer: 'https://a.example/?gclid=Xg3&y=2',
        cookies: '_ga=GA1.1.111.222; _ga_ABC1234567=GS1.1.5.6.1.7.0.0.0',
        navigator: { userAgentData: {
            getHighEntropyValues: async () => ({ architecture: 'x86' }),
        } },
    }).load(advanced()).pass(2000);

    page.gtag('event', 'some');
    await page.pass(2000);
    untouched(page);

    const [view, some] = page.events;

    assert.equal(view.gcs, 'G100');
    assert.equal(view.npa, '1');
    assert.equal(view.dl, 'https://shop.example/?utm_source=s&x=1#part');
    assert.equal(view.dr, 'https://a.example/?y=2');
    assert.notEqual(view.cid, '111.222');
    assert.equal(view.cid, some.cid);
    assert.equal(view.sid, some.sid);

    for (const k of ['sct', 'seg', '_fv', '_ss', 'uid', 'cs', 'uaa',
                     'ep.gclid'])
    {
        assert.equal(view[k], undefined, k);
    }

    const other = await new Browser({ url: URL_ }).load(advanced()).pass(2000);

    assert.notEqual(other.events[0].cid, view.cid);
    assert.doesNotMatch(JSON.stringify(page.hits), /X[gflwm]\d/);
});


test('advanced, analytics alone: campaign, but no click ids', async () => {
    const page = await new Browser({ url: URL_ }).load(advanced('0100'))
        .pass(2000);
    const e = page.event('page_view');

    assert.equal(e.cs, 's');
    assert.equal(e['ep.gclid'], undefined);
    assert.equal(e.dl, 'https://shop.example/?utm_source=s&x=1#part');
    assert.doesNotMatch(JSON.stringify([...page.session.data]), /X[gf]\d/);
});


test('everything granted: click ids, but for the linker\'s', async () => {
    const page = await new Browser({ url: URL_ }).load(advanced('1111'))
        .pass(2000);
    const e = page.event('page_view');

    assert.equal(e.dl, URL_);
    assert.deepEqual(['gclid', 'fbclid', 'wbraid', 'msclkid', '_gl']
                     .map((k) => e[`ep.${k}`]),
                     ['Xg1', 'Xf1', 'Xw1', 'Xm1', undefined]);
});


test('a withdrawal clears what was stored, at once', async () => {
    const page = await new Browser({ url: URL_, cookies: 'shop=1' })
        .load(advanced('1111')).pass(2000);
    const { cid } = page.event('page_view');

    page.answer = () => 500;
    page.gtag('event', 'kept');
    await page.pass(1100);
    assert.ok(page.local.data.has('_sgtm_q'));
    assert.ok(page.session.data.has('_sgtm'));
    assert.ok(page.cookies.get('_ga'));

    page.gtag('consent', 'update', DENY);

    assert.deepEqual([...page.cookies.all.keys()], ['shop;shop.example']);
    assert.deepEqual([...page.local.data.keys()], []);
    assert.deepEqual([...page.session.data.keys()], []);

    page.answer = () => 204;
    page.gtag('event', 'after', { user_id: 'u1' });
    await page.pass(60000);

    const e = page.event('after');

    assert.notEqual(e.cid, cid);
    assert.equal(e.gcd, '13u3u3u3u5l1');
    assert.equal(e.uid, undefined);
    assert.equal(page.names.filter((n) => n === 'kept').length, 1);
    assert.deepEqual([...page.cookies.all.keys()], ['shop;shop.example']);
    assert.equal(page.session.data.size + page.local.data.size, 0);
});


test('a withdrawal of ad_storage alone takes the click ids', async () => {
    const page = await new Browser({ url: URL_ }).load(advanced('1111'))
        .pass(2000);

    page.gtag('consent', 'update', { ad_storage: 'denied' });
    page.gtag('event', 'after');
    await page.pass(2000);

    assert.equal(page.event('after')['ep.gclid'], undefined);
    assert.ok(page.event('after').sct);
    assert.doesNotMatch([...page.session.data.values()].join(), /X[gf]\d/);
});


/* the record */

test('the record of a choice: what, when, how, which version', async () => {
    const page = await new Browser()
        .load(advanced(), { 'data-consent-version': '2026-1' }).pass(2000);

    page.gtag('consent', 'update', { ...DENY, analytics_storage: 'granted' });
    page.gtag('consent', 'update', { ...DENY, analytics_storage: 'granted' });
    await page.pass(2000);

    assert.equal(page.names.filter((n) => n === 'consent_record').length, 1);

    const e = page.event('consent_record');

    assert.equal(e['ep.consent_state'],
                 'ad_storage=denied,analytics_storage=granted,'
                 + 'ad_user_data=denied,ad_personalization=denied');
    assert.equal(e['ep.consent_method'], 'gtag');
    assert.equal(e['ep.consent_version'], '2026-1');
    assert.equal(+e['epn.event_timestamp'], page.now - 2000);

    page.call('sgtm', 'consent', 'update',
              { ...GRANT, method: 'banner', version: '7' });
    await page.pass(2000);
    assert.equal(page.event('consent_record')['ep.consent_method'], 'banner');
    assert.equal(page.event('consent_record')['ep.consent_version'], '7');
});


test('a choice that is known is not recorded on every page', async () => {
    const first = await new Browser().load(advanced()).pass(0);

    first.gtag('consent', 'update', GRANT);
    await first.pass(2000);
    assert.ok(first.event('consent_record'));

    const next = await new Browser({
        session: { _sgtm: JSON.parse(first.session.data.get('_sgtm')) },
    }).load(advanced()).pass(0);

    next.gtag('consent', 'update', GRANT);
    await next.pass(2000);
    assert.equal(next.event('consent_record'), undefined);
    assert.equal(next.event('page_view')['epn.page_view_number'], '2');
});


/* signals of others */

test('GPC denies advertising, whatever a banner says', async () => {
    const page = await new Browser({
        url: URL_, navigator: { globalPrivacyControl: true },
    }).load(advanced('1111')).pass(0);

    page.gtag('consent', 'update', GRANT);
    await page.pass(2000);

    const e = page.event('page_view');

    assert.deepEqual([e.gcs, e.gcd, e.npa], ['G101', '13u3v3u3u5l1', '1']);
    assert.equal(e['ep.gclid'], undefined);
    assert.doesNotMatch(e.dl, /Xg/);
});


const tcf = (vendor, purposes, gdprApplies = true) => ({
    window: {
        __tcfapi: (command, version, run) => {
            assert.equal(command + version, 'addEventListener2');
            run({
                gdprApplies, tcString: 'CPtcf', eventStatus: 'tcloaded',
                vendor: { consents: { 755: vendor } },
                purpose: { consents: Object.fromEntries(
                    purposes.map((p) => [p, true])) },
            }, true);
        },
    },
});

for (const [vendor, purposes, gcd] of [
    [true, [1, 3, 4, 7], '13r3p3r3r5l1'],
    [true, [1], '13r3p3q3q5l1'],
    [true, [3, 4, 7], '13q3p3q3r5l1'],
    [true, [1, 3, 7], '13r3p3r3q5l1'],
    [false, [1, 3, 4, 7], '13q3p3q3q5l1'],
]) {
    test(`TCF: vendor ${vendor}, purposes ${purposes}`, async () => {
        const page = await new Browser(tcf(vendor, purposes))
            .load(advanced()).pass(2000);
        const e = page.event('page_view');

        assert.equal(e.gcd, gcd);
        assert.equal(e.gdpr, '1');
        assert.equal(e.gdpr_consent, 'CPtcf');
        assert.equal(page.event('consent_record')['ep.consent_method'], 'tcf');
    });
}


test('TCF where it does not apply says nothing', async () => {
    const page = await new Browser(tcf(false, [], false))
        .load(advanced()).pass(2000);

    assert.equal(page.event('page_view').gcd, '13p3p3p3p5l1');
    assert.equal(page.event('page_view').gdpr, undefined);
});


for (const [sections, gcd] of [
    [{ usnat: { SaleOptOut: 1, SharingOptOut: 2 } }, '13u3t3u3u5l1'],
    [{ usca: { SharingOptOut: 1 } }, '13u3t3u3u5l1'],
    [{ usva: { TargetedAdvertisingOptOut: 1 } }, '13u3t3u3u5l1'],
    [{ usnat: { SaleOptOut: 2, SaleOptOutNotice: 1 } }, '13t3t3t3t5l1'],
    [{}, '13t3t3t3t5l1'],
]) {
    test(`GPP: ${JSON.stringify(sections)}`, async () => {
        const page = await new Browser({ window: {
            __gpp: (command, run) => {
                assert.equal(command, 'addEventListener');
                run({ pingData: { parsedSections: sections } }, true);
            },
        } }).load(advanced('1111')).pass(2000);

        assert.equal(page.event('page_view').gcd, gcd);
    });
}


for (const [what, window] of [
    ['a TCF that throws', { __tcfapi() { throw new Error(); } }],
    ['a TCF that is odd', { __tcfapi: (_c, _v, run) => run(null, false) }],
    ['a TCF that is no function', { __tcfapi: 7 }],
    ['a GPP that throws', { __gpp() { throw new Error(); } }],
    ['a GPP that is odd', { __gpp: (_c, run) => run() }],
]) {
    test(`never throws: ${what}`, async () => {
        const page = await new Browser({ window }).load(advanced()).pass(2000);

        assert.equal(page.event('page_view').gcd, '13p3p3p3p5l1');
    });
}

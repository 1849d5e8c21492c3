/*
 * Which way a loader takes beyond the table of tiers: residency, consent, the
 * memory of a gateway that is down, and the tenant's own ways for events.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Page, settings } from './page.mjs';

const GATEWAY = 'https://shop.example/metrics/';
const GOOGLE = 'https://www.googletagmanager.com/';
const GTAG = 'gtag/js?id=G-ABC1234567';


/* residency, memory, ways */

test('a residency keeps Google\'s hosts away', () => {
    const page = new Page().load(settings({ t: 'professional', f: 'client',
                                            c: 'off', r: 'eu' })).fail();

    assert.deepEqual(page.urls, [GATEWAY + GTAG]);
    assert.deepEqual(new Page().load(settings({ t: 'starter', r: 'eu' })).urls,
                     [GATEWAY + GTAG]);
});


test('a fallback waits for the grant, also in advanced mode', () => {
    const page = new Page().load(settings({ t: 'professional', f: 'client' }))
        .fail();

    assert.deepEqual(page.urls, [GATEWAY + GTAG]);
    page.run(`gtag('consent', 'update', { analytics_storage: 'granted' })`);
    assert.deepEqual(page.urls, [GATEWAY + GTAG, GOOGLE + GTAG]);
});


test('the session remembers a gateway that is down, for five minutes', () => {
    const c = settings({ t: 'professional', f: 'client', c: 'off' });
    const first = new Page().load(c).fail();
    const until = +first.session._sgtm_d - Date.now();

    assert.ok(until > 290000 && until <= 300000);
    assert.deepEqual(new Page({ session: first.session }).load(c).urls,
                     [GOOGLE + GTAG]);
    assert.deepEqual(new Page({ session: { _sgtm_d: Date.now() - 1 } })
                     .load(c).urls, [GATEWAY + GTAG]);

    /* not without consent, not in another tier, not against the fallback */

    for (const over of [{ c: 'advanced' }, { f: 'queue' }, { r: 'eu' }]) {
        assert.deepEqual(new Page({ session: first.session })
                         .load({ ...c, ...over }).urls, [GATEWAY + GTAG]);
    }
});


for (const [t, way, urls] of [
    ['enterprise', undefined, [undefined]],
    ['enterprise', 'server', [undefined]],
    ['enterprise', 'off', []],
    ['enterprise', 'client', ['https://www.google-analytics.com']],
    ['enterprise', 'both', [undefined, 'https://www.google-analytics.com']],
    ['professional', 'off', []],
    ['starter', 'off', []],
    ['starter', undefined, [undefined]],
]) {
    for (const when of ['before', 'later', 'when Google\'s script is there']) {
        test(`${t}, an event's way is ${way}: ${when}`, () => {
            const call = `dataLayer = window.dataLayer || [];
                gtagStub('event', 'special', { a: 1 });
                gtagStub('event', 'other');
                dataLayer.push({ event: 'special' });`;
            const page = new Page({ before: when === 'before' ? call : '' })
                .load(settings({ t, ...way && { e: { special: way } } }));

            if (when[0] === 'w') {
                page.run(`var theirs = dataLayer.push, heard = [];
                    dataLayer.push = function (...all) {
                        heard.push(...all);
                        return theirs.apply(dataLayer, all);
                    };`);
            }

            if (when !== 'before') {
                page.run(call);
            }

            const events = page.commands('event');

            assert.deepEqual(events.filter((e) => e[0] === 'special')
                                   .map((e) => e[1].transport_url), urls);
            assert.ok(events.filter((e) => e[0] === 'special')
                            .every((e) => e[1].a === 1));
            assert.equal(events.filter((e) => e[0] === 'other').length, 1);
            assert.equal(page.layer().filter((e) => e.event === 'special')
                             .length, 1);

            if (when[0] === 'w') {
                assert.equal(page.run('heard.length'), urls.length + 2);
            }
        });
    }
}


test('sgtm() is gtag() under another name', () => {
    for (const t of ['enterprise', 'starter']) {
        const page = new Page().load(settings({ t }));

        page.run('sgtm("event", "purchase", { value: 1 })');
        assert.deepEqual(page.commands('event'), [['purchase', { value: 1 }]]);
    }
});

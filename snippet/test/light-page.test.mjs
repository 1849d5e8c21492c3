/*
 * What the light tracker notices by itself: pages and those of applications,
 * visits and sessions, engagement, scrolling, searches, leaving and coming
 * back; clicks, downloads, forms and videos.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Browser, element, GRANT, settings, TIME } from './browser.mjs';

const SECONDS = TIME / 1000;

const count = (page, name) => page.names.filter((n) => n === name).length;


/* when it begins */

for (const event of ['DOMContentLoaded', 'pagehide']) {
    test(`a page that is being read is waited for, until ${event}`,
         async () => {
        const page = new Browser({ readyState: 'loading' }).load();

        await page.pass(5000);
        assert.equal(page.hits.length, 0);

        page.document.title = 'Late';
        page.run('dataLayer = window.dataLayer || []; gtag("set", "a", 1)');
        page.dispatch(event);

        if (event === 'pagehide') {
            assert.equal(page.event('page_view')['@'], 'beacon');
        }

        page.dispatch('pagehide');
        await page.pass(2000);
        assert.equal(count(page, 'page_view'), 1);
        assert.equal(page.event('page_view').dt, 'Late');
        assert.equal(page.event('page_view')['epn.a'], '1');
    });
}


test('a page that is rendered ahead is none yet', async () => {
    const page = new Browser();

    page.document.prerendering = true;
    page.load();
    page.dispatch('DOMContentLoaded');
    await page.pass(5000);
    assert.equal(page.hits.length, 0);
    assert.equal(page.cookies.writes.length, 0);

    page.document.prerendering = false;
    page.dispatch('prerenderingchange');
    await page.pass(2000);
    assert.equal(count(page, 'page_view'), 1);
});


/* visits */

test('cookies: those of Google\'s tags, for the whole site', async () => {
    const page = await new Browser({ url: 'https://www.shop.example/' })
        .load().pass(2000);
    const [, id, of] = page.cookies.find('_ga');

    assert.equal(id, `GA1.1.${page.event('page_view').cid}`);
    assert.deepEqual(of, { path: '/', samesite: 'lax', domain: 'shop.example',
                           'max-age': '63072000', secure: undefined });
    assert.equal(page.cookies.get('_ga_ABC1234567'),
                 `GS2.1.s${SECONDS + 1}$o1$g0$t${SECONDS + 1}`);
});


for (const [host, domain] of [['localhost', undefined],
                              ['a.b.shop.example', 'shop.example']])
{
    test(`cookies of ${host}`, async () => {
        const page = await new Browser({ url: `http://${host}/` })
            .load().pass(2000);

        assert.equal(page.cookies.find('_ga')[2].domain, domain);
        assert.ok(!('secure' in page.cookies.find('_ga')[2]));
    });
}


for (const [what, cookies, cid, session, first] of [
    ['GS1, going on', `_ga=GA1.2.11.22; _ga_ABC1234567=GS1.1.${SECONDS - 60}.3`
     + `.1.${SECONDS - 9}.0.0.0`, '11.22', [SECONDS - 60, 3, 1], []],
    ['GS2, going on', `_ga=GA1.1.11.22; _ga_ABC1234567=GS2.1.s${SECONDS - 60}`
     + `$o3$g0$t${SECONDS - 9}$j60$l0$h0`, '11.22', [SECONDS - 60, 3, 0], []],
    ['29 minutes ago', `_ga=GA1.1.11.22; _ga_ABC1234567=GS2.1.s5$o3$g1`
     + `$t${SECONDS - 1740}`, '11.22', [5, 3, 1], []],
    ['31 minutes ago', `_ga=GA1.1.11.22; _ga_ABC1234567=GS2.1.s5$o3$g1`
     + `$t${SECONDS - 1860}`, '11.22', [SECONDS + 1, 4, 0], ['_ss']],
    ['without a session', '_ga=GA1.1.11.22', '11.22', [SECONDS + 1, 1, 0],
     ['_ss']],
    ['of another form', '_ga=GA1.1.11.22; _ga_ABC1234567=GS9', '11.22',
     [SECONDS + 1, 1, 0], ['_ss']],
    ['of another stream', '_ga=GA1.1.11.22; _ga_OTHER99=GS1.1.5.6.1.7.0.0.0',
     '11.22', [SECONDS + 1, 1, 0], ['_ss']],
    ['none', '', undefined, [SECONDS + 1, 1, 0], ['_fv', '_ss']],
    ['of a name alike', 'x_ga=GA1.1.33.44', undefined, [SECONDS + 1, 1, 0],
     ['_fv', '_ss']],
]) {
    test(`a visit: ${what}`, async () => {
        const page = await new Browser({ cookies }).load().pass(2000);
        const e = page.events[0];

        if (cid) {
            assert.equal(e.cid, cid);
        }

        assert.deepEqual([+e.sid, +e.sct, +e.seg], session);
        assert.deepEqual(['_fv', '_ss'].filter((k) => e[k]), first);

        page.gtag('event', 'more');
        await page.pass(2000);
        assert.equal(page.event('more')._ss ?? page.event('more')._fv,
                     undefined);
        assert.equal(page.event('more').cid, e.cid);
        assert.equal(page.event('more').sid, e.sid);
    });
}


test('what GS2 has besides is kept', async () => {
    const page = await new Browser({
        cookies: `_ga=GA1.1.1.2; _ga_ABC1234567=GS2.1.s5$o3$g1$t${SECONDS - 5}`
                 + '$j60$l0$h0',
    }).load().pass(2000);

    assert.match(page.cookies.get('_ga_ABC1234567'),
                 /^GS2\.1\.s5\$o3\$g1\$t\d+\$j60\$l0\$h0$/);
});


test('half an hour of rest is the end of a session', async () => {
    const page = await new Browser().load().pass(2000);

    page.document.focused = false;
    page.dispatch('blur');
    await page.pass(1900000);
    page.run('history.pushState({}, "", "/b")');
    page.gtag('event', 'back');
    await page.pass(2000);
    assert.equal(page.event('back').sct, '2');
    assert.equal(page.event('back')._ss, '1');
    assert.equal(page.event('page_view')['epn.page_view_number'], '1');
});


test('a campaign is known for the session', async () => {
    const first = await new Browser({
        url: 'https://shop.example/?utm_source=a&utm_medium=b&utm_campaign=c'
             + '&utm_term=d&utm_content=e&gclid=G&constructor=x&ttclid=T',
    }).load().pass(2000);
    const of = (e) => ['cs', 'cm', 'cn', 'ck', 'cc', 'ep.gclid', 'ep.ttclid']
        .map((k) => e[k]);

    assert.deepEqual(of(first.events[0]), ['a', 'b', 'c', 'd', 'e', 'G', 'T']);

    const session = { _sgtm: JSON.parse(first.session.data.get('_sgtm')) };
    const next = await new Browser({ session }).load().pass(2000);

    assert.deepEqual(of(next.events[0]), ['a', 'b', 'c', 'd', 'e', 'G', 'T']);

    const other = await new Browser({
        session, url: 'https://shop.example/?utm_source=new',
    }).load().pass(2000);

    assert.deepEqual(of(other.events[0]).slice(0, 3),
                     ['new', undefined, undefined]);
});


/* applications */

test('an application\'s pages: one view each, after its title', async () => {
    const page = await new Browser({ referrer: 'https://r.example/' })
        .load().pass(2000);

    page.run('history.pushState({}, "", "/b")');
    page.document.title = 'B';
    await page.pass(2000);
    page.run('history.replaceState({}, "", "/b")');
    page.run('history.replaceState({ x: 1 }, "")');
    page.run('history.pushState({}, "", "/b#part")');
    await page.pass(2000);
    page.location.href = 'https://shop.example/c';
    page.dispatch('popstate');
    await page.pass(2000);

    const views = page.events.filter((e) => e.en === 'page_view');

    assert.deepEqual(views.map((e) => [e.dl, e.dr, e.dt,
                                       e['epn.page_view_number']]), [
        ['https://shop.example/', 'https://r.example/', 'A page', '1'],
        ['https://shop.example/b', 'https://shop.example/', 'B', '2'],
        ['https://shop.example/c', 'https://shop.example/b#part', 'B', '3'],
    ].map(([l, r, ...more], i) => [l, i === 2 ? views[2].dr : r, ...more]));
    assert.match(views[2].dr, /^https:\/\/shop\.example\/b/);
    assert.equal(views[1].seg, '1');
});


test('views are counted as they come, also within a hit', async () => {
    const page = await new Browser().load().pass(0);

    for (const to of ['b', 'c']) {
        page.run(`history.pushState({}, "", "/${to}")`);
        await page.pass(150);
    }

    await page.pass(2000);
    assert.deepEqual(page.events.map((e) => e['epn.page_view_number']),
                     ['1', '2', '3']);
});


test('routes in the fragment are pages', async () => {
    const page = await new Browser().load().pass(2000);

    page.run('history.pushState({}, "", "/#/cart")');
    await page.pass(200);
    page.run('history.pushState({}, "", "/#!/pay")');
    await page.pass(2000);
    assert.deepEqual(page.events.filter((e) => e.en === 'page_view')
                                .map((e) => e.dl),
                     ['https://shop.example/', 'https://shop.example/#/cart',
                      'https://shop.example/#!/pay']);
});


test('history goes on as it was: results, errors, this', async () => {
    const page = new Browser({ before: `
        history.pushState = function (a) {
            if (a === 'throw') { throw new TypeError('theirs') }
            return [this === history, a];
        };
    ` });

    await page.load().pass(0);
    assert.deepEqual([...page.run('history.pushState(7)')], [true, 7]);
    assert.throws(() => page.run('history.pushState("throw")'), /theirs/);
});


test('a page that is left in the middle of a turn is not lost', async () => {
    const page = await new Browser().load().pass(2000);

    page.run('history.pushState({}, "", "/b")');
    page.dispatch('pagehide');
    await page.pass(2000);
    assert.equal(count(page, 'page_view'), 2);
});


test('a page out of the browser\'s cache is seen again', async () => {
    const page = await new Browser().load().pass(2000);

    page.dispatch('pagehide');
    page.dispatch('pageshow', { persisted: false });
    await page.pass(2000);
    assert.equal(count(page, 'page_view'), 1);
    page.dispatch('pageshow', { persisted: true });
    await page.pass(2000);
    assert.equal(count(page, 'page_view'), 2);
});


for (const [what, c, attributes, before] of [
    ['config', {}, {}, `dataLayer = [];
        gtagStub('config', 'G-ABC1234567', { send_page_view: false });`],
    ['its way', { e: { page_view: 'off' } }, {}, ''],
    ['the attribute', {}, { 'data-events': 'page_view=off' }, ''],
]) {
    test(`no page views of our own: ${what}`, async () => {
        const page = await new Browser({ before }).load(settings(c), attributes)
            .pass(2000);

        page.gtag('event', 'other');
        await page.pass(2000);
        assert.deepEqual(page.names, ['other']);
    });
}


/* searches */

for (const [query, names, term] of [
    ['q=red+shoes', '', 'red shoes'], ['s=a', '', 'a'], ['query=b', '', 'b'],
    ['search=c', '', 'c'], ['keyword=d', '', 'd'], ['q=', '', undefined],
    ['find=x', '', undefined], ['find=x&q=y', 'find,suche', 'x'],
]) {
    test(`site search: ${query}, ${names}`, async () => {
        const page = await new Browser({ url: `https://shop.example/?${query}` })
            .load(settings(), { 'data-search': names }).pass(2000);

        assert.equal(page.event('search')?.['ep.search_term'], term);
    });
}


/* engagement */

test('engagement is time that is visible and in focus', async () => {
    const page = await new Browser().load().pass(3000);

    page.document.focused = false;
    page.dispatch('blur');
    await page.pass(50000);
    page.document.focused = true;
    page.dispatch('focus');
    await page.pass(4000);
    page.hide();
    await page.pass(50000);
    page.show();
    await page.pass(1000);
    assert.deepEqual(page.events.map((e) => [e.en, e._et]),
                     [['page_view', undefined], ['user_engagement', '7000']]);

    /* 3 + 4 + 3 seconds */

    await page.pass(2500);
    page.gtag('event', 'x');
    await page.pass(2000);
    assert.equal(count(page, 'user_engagement'), 2);
    assert.equal(page.event('user_engagement')._et, '3000');
    assert.equal(page.event('x')._et, '500');
});


test('ten seconds are a visit, once', async () => {
    const page = await new Browser().load().pass(60000);

    assert.equal(count(page, 'user_engagement'), 1);

    const e = page.event('user_engagement');

    assert.equal(e._et, '10000');
    assert.equal(e.seg, '1');
    assert.equal(e['epn.time_on_page_sec'], '10');
    assert.equal(e['ep.is_bounce'], 'false');
});


test('who leaves earlier has bounced', async () => {
    const page = await new Browser().load().pass(4000);

    page.dispatch('pagehide');
    assert.equal(page.event('user_engagement')['ep.is_bounce'], 'true');
    assert.equal(page.event('user_engagement')['epn.time_on_page_sec'], '4');
    assert.equal(page.event('user_engagement').seg, '0');
});


/* scrolling */

test('scrolling: each quarter once, with its pixels', async () => {
    const page = await new Browser().load().pass(2000);
    const to = async (y) => {
        page.window.scrollY = y;
        page.dispatch('scroll');
        page.dispatch('scroll');
        await page.pass(300);
    };

    await to(100);
    await to(200);
    await to(100);
    await to(2200);
    await to(3199);
    await to(3200);
    await page.pass(2000);

    assert.deepEqual(page.events.filter((e) => e.en === 'scroll')
        .map((e) => [e['epn.percent_scrolled'],
                     e['epn.scroll_depth_pixels']]),
                     [['25', '1000'], ['50', '3000'], ['75', '3000'],
                      ['100', '3999']]);

    page.run('history.pushState({}, "", "/b")');
    await page.pass(200);
    await to(300);
    await page.pass(2000);
    assert.equal(page.event('scroll')['epn.percent_scrolled'], '25');
    assert.equal(page.event('scroll').dl, 'https://shop.example/b');
});


/* clicks and downloads */

const link = (href, more) => {
    const a = element('A', { id: 'l1' }, {
        href, textContent: '  Read on ', ...more,
    });

    a.closest = () => a;

    return { target: a };
};

for (const [href, name, params] of [
    ['https://other.example/x?y=1', 'click',
     { 'ep.outbound': 'true', 'ep.link_domain': 'other.example',
       'ep.link_url': 'https://other.example/x?y=1', 'ep.link_id': 'l1',
       'ep.link_text': 'Read on' }],
    ['https://shop.example/b', undefined],
    ['mailto:a@b.example', undefined], ['tel:+49', undefined],
    ['javascript:void(0)', undefined],
    ['https://shop.example/a/List.PDF?x', 'file_download',
     { 'ep.file_name': '/a/List.PDF', 'ep.file_extension': 'pdf',
       'ep.link_url': 'https://shop.example/a/List.PDF?x' }],
    ['https://other.example/a.zip', 'file_download',
     { 'ep.file_extension': 'zip', 'ep.link_domain': 'other.example' }],
    ...['xlsx', 'docx', 'txt', 'csv', 'exe', 'pptx', 'pps', '7z', 'rar', 'gz',
        'mp3', 'mp4', 'mpeg', 'wav', 'mov'].map((ext) =>
        [`https://shop.example/a.${ext}`, 'file_download',
         { 'ep.file_extension': ext }]),
    ['https://shop.example/a.html', undefined],
    ['https://shop.example/pdf', undefined],
]) {
    test(`a click: ${href}`, async () => {
        const page = await new Browser().load().pass(2000);

        page.dispatch('click', link(href));
        await page.pass(2000);
        assert.equal(page.events[1]?.en, name);

        for (const [k, v] of Object.entries(params || {})) {
            assert.equal(page.events[1][k], v);
        }
    });
}


test('a click with another button is one, too', async () => {
    const page = await new Browser().load().pass(2000);

    page.dispatch('auxclick', link('https://other.example/'));
    await page.pass(2000);
    assert.equal(count(page, 'click'), 1);
});


for (const [what, target] of [
    ['beside all links', element('P')], ['without an element', null],
    ['on text', {}],
]) {
    test(`never throws: a click ${what}`, async () => {
        const page = await new Browser().load().pass(2000);

        page.dispatch('click', { target });
        await page.pass(2000);
        assert.equal(page.events.length, 1);
    });
}


test('a click and the page is gone: nothing is lost', async () => {
    const page = await new Browser().load().pass(2000);

    page.dispatch('click', link('https://other.example/'));
    page.dispatch('pagehide');
    assert.equal(page.event('click')['@'], 'beacon');
});


/* forms */

test('forms: begun once, sent before the page leaves, a lead', async () => {
    const page = await new Browser().load().pass(2000);
    const form = element('FORM', {
        id: 'f', name: 'contact', action: '/send?x=1',
        'data-lead-type': 'demo', 'data-lead-value': '12.5',
    });

    page.dispatch('input', { target: { form, value: 'secret' } });
    page.dispatch('change', { target: { form, value: 'secret' } });
    page.dispatch('submit', { target: form });
    await page.pass(0);

    assert.deepEqual(page.names.slice(1),
                     ['form_start', 'form_submit', 'generate_lead']);

    for (const e of page.events.slice(1)) {
        assert.equal(e['ep.form_id'], 'f');
        assert.equal(e['ep.form_name'], 'contact');
        assert.equal(e['ep.form_destination'],
                     'https://shop.example/send?x=1');
    }

    assert.equal(page.event('generate_lead')['ep.lead_type'], 'demo');
    assert.equal(page.event('generate_lead')['epn.lead_value'], '12.5');
    assert.equal(new Set(page.events.map((e) => e['ep.event_id'])).size, 4);
    assert.doesNotMatch(JSON.stringify(page.hits), /secret/);
});


test('a form that is no lead', async () => {
    const page = await new Browser().load().pass(2000);

    page.dispatch('submit', { target: element('FORM') });
    await page.pass(0);
    assert.deepEqual(page.names.slice(1), ['form_submit']);
    assert.equal(page.event('form_submit')['ep.form_id'], undefined);
    assert.equal(page.event('form_submit')['ep.form_destination'],
                 'https://shop.example/');
});


test('an input without a form is nothing', async () => {
    const page = await new Browser().load().pass(2000);

    page.dispatch('input', { target: {} });
    page.dispatch('input', {});
    await page.pass(2000);
    assert.equal(page.events.length, 1);
});


/* videos */

test('a video of the page: its start, once', async () => {
    const page = await new Browser().load().pass(2000);
    const video = element('VIDEO', {}, {
        currentSrc: 'https://shop.example/v.mp4', title: 'How to',
        currentTime: 0.4, duration: 61.6,
    });

    page.dispatch('playing', { target: video });
    page.dispatch('playing', { target: video });
    page.dispatch('playing', { target: element('AUDIO') });
    page.dispatch('playing', { target: element('VIDEO', {},
                                               { muted: true, loop: true }) });
    await page.pass(2000);

    assert.equal(count(page, 'video_start'), 1);

    const e = page.event('video_start');

    assert.deepEqual(['ep.video_provider', 'ep.video_url', 'ep.video_title',
                      'epn.video_current_time', 'epn.video_duration']
                     .map((k) => e[k]),
                     ['html5', 'https://shop.example/v.mp4', 'How to', '0',
                      '62']);
});


const youtube = (src) => ({
    asked: [],
    src,
    contentWindow: {
        postMessage(text) {
            this.owner.asked.push(text);
        },
    },
});

function withFrame(src) {
    const frame = youtube(src);

    frame.contentWindow.owner = frame;

    return frame;
}

const YOUTUBE = 'https://www.youtube.com/embed/x?enablejsapi=1';

test('YouTube: its frames are asked, and tell', async () => {
    const page = new Browser();
    const frame = withFrame(YOUTUBE);
    const tell = (info, origin = 'https://www.youtube.com') =>
        page.dispatch('message', {
            origin, source: frame.contentWindow,
            data: JSON.stringify({ event: 'infoDelivery', info }),
        });

    page.document.frames = [frame, withFrame('https://www.youtube.com/embed/y'),
                            withFrame('https://evil.example/?enablejsapi=1')];
    await page.load().pass(2000);
    assert.deepEqual(page.document.frames.map((f) => f.asked.length),
                     [1, 0, 0]);
    assert.equal(JSON.parse(frame.asked[0]).event, 'listening');

    tell({ videoUrl: 'https://www.youtube.com/watch?v=x', duration: 90,
           videoData: { title: 'T' }, currentTime: 0, playerState: 5 });
    tell({ playerState: 1 }, 'https://www.youtube.com.evil.example');
    await page.pass(2000);
    assert.equal(count(page, 'video_start'), 0);

    tell({ playerState: 1, currentTime: 0.2 });
    tell({ playerState: 1, currentTime: 0.7 });
    page.dispatch('message', { origin: 'https://www.youtube.com', data: '{' });
    page.dispatch('message', { origin: 'https://www.youtube.com', data: {} });
    await page.pass(2000);
    assert.equal(count(page, 'video_start'), 1);
    assert.equal(page.event('video_start')['ep.video_title'], 'T');
    assert.equal(page.event('video_start')['ep.video_provider'], 'youtube');
    assert.equal(page.event('video_start')['epn.video_duration'], '90');
});


test('YouTube: not before consent, then at the first click into it',
     async () => {
    const page = new Browser();
    const frame = withFrame(YOUTUBE);

    page.document.frames = [frame];
    await page.load(settings({ c: 'advanced' })).pass(2000);
    page.dispatch('blur');
    assert.equal(frame.asked.length, 0);

    page.gtag('consent', 'update', GRANT);
    page.dispatch('blur');
    assert.equal(frame.asked.length, 1);
});

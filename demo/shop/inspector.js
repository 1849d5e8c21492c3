/*
 * The right half of the demo: what this browser sent, from its own calls of
 * fetch() and sendBeacon(), beside what the tagging server got, from its record
 * in /hits.  The two are told to be the same hit by "_p" and "_s", the page's
 * number and the hit's, which no rule touches.
 *
 * What is sent to Google goes to this machine instead, which records it too.
 */

(function () {
    'use strict';

    const COLLECT = /^(\/metrics)?\/g\/collect$/;
    const GOOGLE = 'https://www.google-analytics.com';
    const KEEP = 30;            /* hits */
    const POLL = 1000;          /* ms */
    const LOST = 3000;          /* ms, after which a hit is not coming */

    /* what is shown also where it did not change */
    const ALWAYS = ['en', 'cid', 'dl'];

    const hits = load();
    const nativeFetch = window.fetch;
    const nativeBeacon = navigator.sendBeacon.bind(navigator);

    let ready = false;
    let address = '';
    let offset = 0;
    let timer = 0;


    function load() {
        try {
            return JSON.parse(sessionStorage.getItem('hits')) || [];

        } catch (e) {
            return [];
        }
    }

    function save() {
        sessionStorage.setItem('hits', JSON.stringify(hits));
    }

    function find(key) {
        let hit = hits.find((h) => h.key == key);

        if (!hit) {
            hit = { key, time: Date.now(), sent: null, got: null };
            hits.unshift(hit);
            hits.splice(KEEP);
        }

        return hit;
    }

    function keyOf(query) {
        const args = new URLSearchParams(query);

        return args.get('_p') + '.' + args.get('_s');
    }


    /* what the browser sends */

    window.fetch = function (input, init) {
        const url = new URL(input.url || input, location.href);
        const answer = nativeFetch.call(this, played(url) || input, init);

        if (COLLECT.test(url.pathname)) {
            note(url, String(init && init.body || ''), answer);
        }

        return answer;
    };

    navigator.sendBeacon = function (input, body) {
        const url = new URL(input, location.href);
        const taken = nativeBeacon(played(url) || input, body);

        if (COLLECT.test(url.pathname)) {
            note(url, String(body || ''), null);
        }

        return taken;
    };

    function played(url) {
        return url.origin == GOOGLE && '/google' + url.pathname + url.search;
    }

    function note(url, body, answer) {
        const query = url.search.slice(1);
        const hit = find(keyOf(query));

        hit.sent = {
            query, body, referer: location.href.split('#')[0], host: url.host,
            cookie: url.origin == GOOGLE ? '' : document.cookie,
            answer: '',
        };

        if (answer) {
            answer.then((res) => hear(hit, res), () => {
                hit.sent.answer = 'none';

            }).then(() => {
                changed(hit);
                soon(50);
            });

        } else {
            hit.sent.answer = 'a beacon hears none';
        }

        changed(hit);
        setTimeout(() => changed(hit), LOST + 50);
    }

    function hear(hit, res) {
        hit.sent.answer = res.status + ' '
                          + (res.headers.get('Sgtm-Disposition') || '');
        hit.sent.reason = res.headers.get('Sgtm-Reason') || '';
        hit.sent.after = document.cookie;
    }

    function changed(hit) {
        save();

        if (ready) {
            draw(hit);
        }
    }


    /*
     * What the tagging server got.  The range begins with the last byte that
     * is known already, so that there is always something to answer.
     */

    async function poll() {
        const headers = offset ? { Range: 'bytes=' + (offset - 1) + '-' } : {};

        try {
            const res = await nativeFetch('/hits', { headers,
                                                     cache: 'no-store' });
            const bytes = new Uint8Array(await res.arrayBuffer());
            const from = res.status == 206 ? 1 : 0;
            const to = bytes.lastIndexOf(10) + 1;

            if (res.ok && to > from) {
                offset = (res.status == 206 ? offset - 1 : 0) + to;
                read(new TextDecoder().decode(bytes.subarray(from, to)));
            }

        } catch (e) {
            /* the demo has ended, or is starting again */
        }

        soon(POLL);
    }

    function soon(ms) {
        clearTimeout(timer);
        timer = setTimeout(poll, ms);
    }

    function read(text) {
        const began = +sessionStorage.getItem('cleared') || 0;

        for (const line of text.split('\n').filter(Boolean).slice(-KEEP)) {
            const got = parse(line);
            const query = got && got.uri.split('?').slice(1).join('?');

            if (!got || Date.parse(got.time) + 1000 < began) {
                continue;
            }

            const hit = find(keyOf(query));

            if (!hit.got) {
                hit.got = Object.assign(got, { query });
                changed(hit);
            }
        }
    }

    function parse(line) {
        try {
            return JSON.parse(line);

        } catch (e) {
            return null;
        }
    }


    /* comparing */

    function split(query) {
        return query.split('&').filter(Boolean).map((arg) => {
            const n = arg.indexOf('=');

            return n < 0 ? [arg, ''] : [arg.slice(0, n), arg.slice(n + 1)];
        });
    }

    /*
     * Rows [name, sent, got], undefined where there is none, in order; a
     * fourth says why nothing was seen to be sent.
     */

    function compare(sent, got) {
        const left = got.slice();

        const rows = sent.map(([name, value]) => {
            const n = left.findIndex((pair) => pair[0] == name);

            return [name, value, n < 0 ? undefined : left.splice(n, 1)[0][1]];
        });

        return rows.concat(left.map(([name, value]) => [name, undefined,
                                                        value]));
    }

    function cookies(header) {
        return split(header.split(/; */).join('&'));
    }

    function lines(body) {
        return body.split(/\r?\n/).filter(Boolean);
    }

    function groups(hit) {
        const sent = hit.sent;
        const got = hit.got;
        const list = [];

        list.push(['Query', compare(split(sent ? sent.query : ''),
                                    split(got ? got.query : ''))]);

        const a = lines(sent ? sent.body : '');
        const b = lines(got ? got.body : '');

        for (let n = 0; n < Math.max(a.length, b.length); n++) {
            list.push(['Event ' + (n + 1) + ' of the body',
                       compare(split(a[n] || ''), split(b[n] || ''))]);
        }

        /* a cookie that comes out of nowhere is one that scripts can't see */

        list.push(['Cookies', compare(cookies(sent ? sent.cookie : ''),
                                      cookies(got ? got.cookie : ''))
            .map((row) => row[1] === undefined ? row.concat('HttpOnly')
                                               : row)]);

        list.push(['Headers', [
            ['Referer', sent ? sent.referer : undefined,
             got ? got.referer : undefined],
            ['Host', sent ? sent.host : undefined, got ? got.host : undefined],
            ['X-Forwarded-Host', undefined,
             got ? got.forwarded_host : undefined],
            ['X-Forwarded-For', sent ? address : undefined,
             got ? got.forwarded_for : undefined],
        ]]);

        return list;
    }

    function answerRows(hit) {
        const after = cookies(hit.sent.after || '');

        return hit.got.set_cookie.map((text) => {
            const [name, value] = split(text.split(';')[0])[0];
            const now = after.find((pair) => pair[0] == name);

            return [name, /HttpOnly/.test(text) ? 'not for scripts to see'
                          : !now ? 'has none'
                          : now[1] == value ? 'has it'
                          : 'has an older one', text];
        });
    }

    function eventsOf(hit) {
        const { query, body } = hit.got ? hit.got : hit.sent;

        return [query].concat(lines(body)).map((part) => {
            return new URLSearchParams(part).get('en');
        }).filter(Boolean);
    }


    /* drawing */

    function element(name, className, ...children) {
        const e = document.createElement(name);

        if (className) {
            e.className = className;
        }

        e.append(...children);

        return e;
    }

    function readable(value) {
        try {
            return decodeURIComponent(value);

        } catch (e) {
            return value;
        }
    }

    /* a value with the parts of its URL that did not arrive struck out */

    function marked(value, other) {
        const text = readable(value);

        if (other === undefined || other === value || !/[?&]/.test(text)) {
            return [text];
        }

        const kept = readable(other).split(/[?&]/);

        return text.split(/(?=[?&])/).map((part) => {
            return kept.includes(part.replace(/^[?&]/, '')) ? part
                   : element('del', '', part);
        });
    }

    function kindOf(hit, [, sent, got, why]) {
        return sent === got || why || !hit.sent || !hit.got ? 'same'
               : sent === undefined ? 'added'
               : got === undefined || got === '' ? 'removed'
               : 'changed';
    }

    function cell(label, ...content) {
        const td = element('td', '', ...content);

        td.dataset.label = label;

        return td;
    }

    function drawRow(hit, row) {
        const [name, sent, got, why] = row;
        const kind = kindOf(hit, row);
        const none = (text) => element('span', 'none', text);

        const th = element('th', '', name);
        th.scope = 'row';

        if (kind != 'same') {
            th.append(' ', element('span', 'mark', kind));
        }

        return element('tr', kind, th,
            cell('sent', ...(sent === undefined ? [none(why || '-')]
                             : kind == 'removed'
                               ? [element('del', '', readable(sent))]
                               : marked(sent, got))),
            cell('got', got === undefined || got === '' ? none('-')
                        : readable(got)));
    }

    function header(...names) {
        return element('thead', '', element('tr', '', ...names.map((name) => {
            const th = element('th', '', name);

            th.scope = 'col';

            return th;
        })));
    }

    function drawGroup(hit, [title, rows]) {
        const all = document.getElementById('all').checked;

        const shown = rows.filter((row) => {
            return all || kindOf(hit, row) != 'same' || title == 'Headers'
                   || title == 'Cookies' || ALWAYS.includes(row[0]);
        });

        const rest = rows.length - shown.length;

        const th = element('th', '', title, rest
            ? element('span', 'rest', ' + ' + rest + ' unchanged') : '');

        th.colSpan = 3;
        th.scope = 'rowgroup';

        return element('tbody', '', element('tr', 'group', th),
                       ...shown.map((row) => drawRow(hit, row)));
    }

    function drawAnswer(hit) {
        const rows = answerRows(hit).map(([name, kept, text]) => {
            const th = element('th', '', name);

            th.scope = 'row';

            return element('tr', '', th, cell('browser', kept),
                           cell('set', text));
        });

        return element('table', '', header('Set-Cookie', 'Browser now',
                                           'Tagging server set'),
                       element('tbody', '', ...rows));
    }

    function consent(query) {
        const gcs = new URLSearchParams(query).get('gcs') || '';
        const words = { 1: 'yes', 0: 'no' };

        return element('span', 'consent ' + gcs,
                       'ads ' + (words[gcs[2]] || '?') + ', analytics '
                       + (words[gcs[3]] || '?'));
    }

    function tally(hit) {
        if (!hit.sent) {
            return 'of another tab';
        }

        if (!hit.got) {
            return /queued/.test(hit.sent.answer) ? 'waits in the queue'
                   : Date.now() - hit.time < LOST ? 'on its way'
                   : 'did not arrive';
        }

        /* the tagging server's own name is in every Host */

        const kinds = groups(hit).flatMap(([, rows]) => rows)
                                 .filter(([name]) => name != 'Host')
                                 .map((row) => kindOf(hit, row));

        const count = (kind) => kinds.filter((k) => k == kind).length;
        const said = ['removed', 'changed'].filter(count)
                                           .map((k) => count(k) + ' ' + k);

        return (hit.got.to ? 'to ' + hit.got.to + ', ' : '')
               + (said.join(', ') || 'unchanged');
    }

    function drawSummary(hit) {
        const time = new Date(hit.time).toTimeString().slice(0, 8);

        return element('summary', '',
            element('strong', '', eventsOf(hit).join(' + ')),
            element('span', 'time', time),
            consent((hit.sent || hit.got).query),
            element('span', 'tally', tally(hit)));
    }

    function drawBody(hit) {
        const body = element('div', 'body');

        if (hit.sent && hit.sent.answer) {
            body.append(element('p', 'answer', 'Answer: ' + hit.sent.answer
                + (hit.sent.reason ? ', ' + hit.sent.reason : '')));
        }

        body.append(element('table', '',
            header('', 'Browser sent', (hit.got && hit.got.to
                                        || 'Tagging server') + ' got'),
            ...groups(hit).filter(([, rows]) => rows.length)
                          .map((group) => drawGroup(hit, group))));

        if (hit.sent && hit.got && hit.got.set_cookie.length) {
            body.append(drawAnswer(hit));
        }

        return body;
    }

    function draw(hit) {
        const list = document.getElementById('hits');
        const old = document.getElementById('hit-' + hit.key);
        const li = old || element('li', '', element('details'));
        const details = li.firstChild;
        const focused = details.contains(document.activeElement);

        details.replaceChildren(drawSummary(hit), drawBody(hit));

        if (focused) {
            details.firstChild.focus();
        }

        if (!old) {
            li.id = 'hit-' + hit.key;
            place(list, li, hit);
        }

        document.getElementById('none').hidden = true;

        if (hit.got) {
            document.getElementById('news').textContent =
                eventsOf(hit).join(', ') + ': ' + tally(hit);
        }
    }

    /* the newest is open, until the next comes or a visitor opens one */

    function place(list, li, hit) {
        const newest = list.querySelector('details[data-auto]');

        li.firstChild.addEventListener('click', () => {
            delete li.firstChild.dataset.auto;
        });

        if (hits[0] == hit) {
            if (newest) {
                newest.open = false;
                delete newest.dataset.auto;
            }

            li.firstChild.open = true;
            li.firstChild.dataset.auto = '';
            list.prepend(li);

        } else {
            list.append(li);
        }

        while (list.children.length > KEEP) {
            list.lastChild.remove();
        }
    }

    function clear() {
        hits.length = 0;
        sessionStorage.setItem('cleared', Date.now());
        save();
        document.getElementById('hits').replaceChildren();
        document.getElementById('none').hidden = false;
    }

    function build() {
        const aside = document.getElementById('inspector');
        const title = element('h2', '', 'What was sent, what arrived');
        const all = element('input');
        const button = element('button', 'plain', 'Clear');
        const news = element('p', 'unseen');
        const list = element('ol');
        const none = element('p', 'lede', 'No hit yet.');
        const status = element('a', '', 'counters');
        const record = element('a', '', 'record');

        title.id = 'inspector-title';
        list.id = 'hits';
        none.id = 'none';
        news.id = 'news';
        news.setAttribute('role', 'status');

        all.type = 'checkbox';
        all.id = 'all';
        all.addEventListener('change', () => hits.forEach(draw));

        button.type = 'button';
        button.addEventListener('click', clear);

        status.href = '/status';
        record.href = '/hits';

        aside.append(title,
            element('p', 'lede', 'Each hit as this browser sent it to ',
                    element('code', '', '/metrics/'), ' and as the gateway ',
                    'handed it to the tagging server. See also its ', record,
                    ' and the module’s ', status, '.'),
            element('div', 'tools',
                    element('label', '', all, ' Show what did not change'),
                    button),
            news, none, list);

        ready = true;
        hits.slice().reverse().forEach((hit) => {
            draw(hit);
            list.prepend(document.getElementById('hit-' + hit.key));
        });
    }

    document.addEventListener('DOMContentLoaded', async () => {
        build();

        const res = await nativeFetch('/address');

        address = await res.text();
        hits.forEach(draw);
        poll();
    });
})();

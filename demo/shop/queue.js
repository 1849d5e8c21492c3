/*
 * The queue of the demo: a switch that takes the tagging server down, how many
 * hits wait for it meanwhile, as the module's counters say, and a visitor who
 * goes on looking around.
 */

(function () {
    'use strict';

    const POLL = 1000;          /* ms */
    const LOOK = 700;
    const SAMPLES = 60;
    const LEAST = 10;           /* hits that the chart has room for */
    const SVG = 'http://www.w3.org/2000/svg';

    const CIRCUIT = {
        closed: 'Circuit closed: what waits is delivered.',
        open: 'Circuit open: the courier waits, twice as long each time.',
        probing: 'Circuit probing: one hit is on its way.',
        orphan: 'The courier has no way there.',
    };

    const samples = load();
    const parts = {};

    let down = false;
    let timer = 0;
    let looking = 0;


    function load() {
        try {
            return JSON.parse(sessionStorage.getItem('queue')) || [];

        } catch (e) {
            return [];
        }
    }

    function element(name, props, ...children) {
        const e = Object.assign(document.createElement(name), props);

        e.append(...children);

        return e;
    }

    function say(name, text) {
        if (parts[name].textContent != text) {
            parts[name].textContent = text;
        }
    }


    /* what there is */

    async function poll() {
        try {
            const [state, status] = await Promise.all([
                fetch('/tagging', { cache: 'no-store' }).then((r) => r.text()),
                fetch('/status', { cache: 'no-store' }).then((r) => r.json()),
            ]);

            down = state == 'down';
            show(status.spool);

        } catch (e) {
            /* the demo has ended, or is starting again */
        }

        soon(POLL);
    }

    function soon(ms) {
        clearTimeout(timer);
        timer = setTimeout(poll, ms);
    }

    function show(spool) {
        const circuit = (spool.targets[0] || { state: 'closed' }).state;

        samples.push([spool.waiting, down]);
        samples.splice(0, samples.length - SAMPLES);
        sessionStorage.setItem('queue', JSON.stringify(samples));

        say('state', down ? 'The tagging server is down.'
                          : spool.waiting ? 'The tagging server is back.'
                          : 'The tagging server is up.');
        say('waiting', spool.waiting);
        say('delivered', spool.delivered);
        say('dead', spool.dead);
        say('circuit', CIRCUIT[circuit] || circuit);
        say('turn', down ? 'Bring it up' : 'Take it down');

        parts.panel.classList.toggle('down', down);
        draw(spool.waiting);
    }


    /* a bar a second, the last one now */

    function draw(waiting) {
        const most = Math.max(LEAST, ...samples.map((s) => s[0]));
        const bars = samples.map(([n, wasDown], i) => {
            const bar = document.createElementNS(SVG, 'rect');
            const height = 2 + 46 * n / most;

            bar.setAttribute('x', 5 * (SAMPLES - samples.length + i));
            bar.setAttribute('y', 48 - height);
            bar.setAttribute('width', 4);
            bar.setAttribute('height', height);
            bar.setAttribute('class', wasDown ? 'down' : '');

            return bar;
        });

        parts.chart.setAttribute('aria-label', 'Hits that waited in the last '
                                 + 'minute; now ' + waiting);
        parts.chart.replaceChildren(...bars);
    }


    /* what can be done */

    async function turn() {
        await fetch('/tagging/' + (down ? 'up' : 'down'), { method: 'POST' });
        soon(200);
    }

    function look() {
        const goods = ['pot', 'cup', 'tin', 'whisk'];

        window.gtag('event', 'select_item', {
            item_list_name: 'look around',
            items: [{ item_id: goods[Math.floor(Math.random()
                                                * goods.length)] }],
        });
    }

    function lookAround(on) {
        clearInterval(looking);
        looking = on ? setInterval(look, LOOK) : 0;

        sessionStorage.setItem('looking', on ? '1' : '');
        parts.look.setAttribute('aria-pressed', on);
    }

    function count(name, title) {
        parts[name] = element('dd', { id: 'queue-' + name }, '-');

        return element('div', {}, element('dt', {}, title), parts[name]);
    }

    function build() {
        const title = element('h2', { id: 'queue-title' }, 'Nothing lost');

        parts.state = element('p', { id: 'queue-state' });
        parts.state.setAttribute('role', 'status');

        parts.circuit = element('p', { id: 'queue-circuit' });

        parts.turn = element('button', { type: 'button', id: 'queue-turn',
                                         className: 'plain', onclick: turn },
                             'Take it down');

        parts.look = element('button', {
            type: 'button', id: 'queue-look', className: 'plain',
            onclick: () => lookAround(!looking),
        }, 'Look around for me');

        parts.chart = document.createElementNS(SVG, 'svg');
        parts.chart.setAttribute('viewBox', '0 0 ' + 5 * SAMPLES + ' 48');
        parts.chart.setAttribute('role', 'img');
        parts.chart.setAttribute('preserveAspectRatio', 'none');

        parts.panel = element('section', { id: 'queue' }, title, parts.state,
            element('div', { className: 'tools' }, parts.turn, parts.look),
            parts.chart,
            element('dl', {}, count('waiting', 'wait on disk'),
                    count('delivered', 'delivered late'),
                    count('dead', 'given up')),
            parts.circuit);

        parts.panel.setAttribute('aria-labelledby', 'queue-title');

        document.getElementById('inspector').prepend(parts.panel);

        draw(0);
        lookAround(!!sessionStorage.getItem('looking'));
    }

    document.addEventListener('DOMContentLoaded', () => {
        build();
        poll();
    });
})();

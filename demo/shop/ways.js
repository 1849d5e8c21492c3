/*
 * Who tags the shop, and which way its hits go: a choice that a cookie keeps,
 * by which nginx takes another gateway for /metrics/.  The three shops with
 * records have their tiers from there.
 */

(function () {
    'use strict';

    const WAYS = {
        '': ['Google’s tag', 'enterprise',
             'A stand-in for Google’s script comes through the gateway, and '
             + 'all that it sends goes back the same way.'],
        'light-enterprise': ['our own', 'enterprise',
             'No script of Google’s. All hits go through the gateway, which '
             + 'keeps them while the tagging server is down.'],
        'light-professional': ['our own', 'professional',
             'Through the gateway. While the tagging server is down, hits of '
             + 'a visitor who allows it go to Google, whom this machine '
             + 'plays.'],
        'light-starter': ['our own', 'starter',
             'To Google, whom this machine plays, from the start. The gateway '
             + 'only serves the script.'],
    };

    const found = /(?:^|; )demo_way=([\w-]*)/.exec(document.cookie);
    const now = found && WAYS[found[1]] ? found[1] : '';


    function element(name, props, ...children) {
        const e = Object.assign(document.createElement(name), props);

        e.append(...children);

        return e;
    }

    /* the other gateway's script has the same name, and a minute to live */

    async function choose(way) {
        document.cookie = 'demo_way=' + way + '; Path=/; SameSite=Lax';

        await fetch('/metrics/t.js', { cache: 'reload' });
        location.reload();
    }

    function button(way) {
        const [tag, tier] = WAYS[way];

        const b = element('button', { type: 'button', className: 'plain',
                                      id: 'way-' + (way || 'gtag'),
                                      onclick: () => choose(way) },
                          element('strong', {}, tier), ' ' + tag);

        b.setAttribute('aria-pressed', way == now);

        return b;
    }

    function build() {
        const panel = element('section', { id: 'ways' },
            element('h2', { id: 'ways-title' }, 'Tier and tag'),
            element('div', { className: 'tools' },
                    ...Object.keys(WAYS).map(button)),
            element('p', { id: 'ways-text' }, WAYS[now][2]));

        panel.setAttribute('aria-labelledby', 'ways-title');

        document.getElementById('inspector').prepend(panel);
    }

    if (!location.hostname.endsWith('.localhost')) {
        document.addEventListener('DOMContentLoaded', build);
    }
})();

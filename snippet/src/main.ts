/*
 * t.js: loads the tenant's GTM container or Google tag through the gateway
 * that the script itself came from.
 *
 *     <script async src="/metrics/t.js"></script>
 *
 * The tier says which way Google's script and the hits take:
 *
 *     enterprise    the gateway, never a third host
 *     professional  the gateway; Google's hosts when its script can't be had
 *                   there and the fallback is "client"
 *     starter       Google's hosts from the start
 */

import { defaultState, whenGranted } from './consent';
import { load } from './load';
import { plan, type Settings } from './settings';

/* the gateway puts the tenant's settings here */
declare const SGTM_SETTINGS: Settings;

const GOOGLE = 'https://www.googletagmanager.com/';

/* whatever a page did to its globals, its own scripts must not notice us */
function quietly(run: () => void): () => void {
    return () => {
        try {
            run();

        } catch (e) {
            /* no tag, then */
        }
    };
}

function command(..._: unknown[]): IArguments {
    return arguments;
}

/*
 * The consent default goes before everything that the page queued already,
 * the setup before its first event: as long as nobody reads the queue yet.
 */
function queue(
    layer: unknown[], consent: unknown, setup: unknown[], read: boolean
): void {
    const entries = consent ? [consent].concat(setup) : setup;

    if (read) {
        entries.forEach((e) => layer.push(e));
        return;
    }

    const first = layer.findIndex((e: any) =>
        e && (e.event || e[0] == 'event' || e[0] == 'config'));

    layer.splice(first < 0 ? layer.length : first, 0, ...setup);

    if (consent) {
        layer.unshift(consent);
    }
}

function start(c: Settings): void {
    const w: any = window;
    const own = document.currentScript as HTMLScriptElement | null;
    const p = plan(w, own, c);

    if (!p) {
        return;
    }

    const google = w.google_tag_manager || {};
    const seen = w._sgtm = w._sgtm || {};
    const layer: unknown[] = w[p.layer] = w[p.layer] || [];

    /* twice on the page, or the page has Google's own code for the same id */

    if (seen[p.id] || google[p.id]) {
        return;
    }

    seen[p.id] = 1;

    w.gtag = w.gtag || function () {
        layer.push(arguments);
    };

    const direct = c.tier == 'starter';
    const gateway = p.base.slice(0, -1);

    /* one object everywhere, so that a fallback can take it all back */

    const routing: Record<string, unknown> = direct ? {} : {
        server_container_url: gateway,
        transport_url: gateway,
        first_party_collection: true,
    };

    const state = defaultState(layer, own, c);
    const setup: unknown[] = [];

    if (!direct) {

        /* for the container's variables, and for every Google tag in it */

        setup.push(routing, command('set', routing));
    }

    if (!p.gtm) {
        setup.push(command('js', new Date()),
                   command('config', p.id, routing));
    }

    queue(layer, state && command('consent', 'default', state), setup,
          google[p.layer]);

    if (p.gtm) {
        layer.push({ 'gtm.start': Date.now(), event: 'gtm.js' });
    }

    const loadDirect = quietly(() => {
        for (const key of Object.keys(routing)) {
            delete routing[key];
        }

        const run = quietly(() => load(w, own, GOOGLE + p.path));

        if (c.consent.mode == 'basic') {
            whenGranted(layer, run);

        } else {
            run();
        }
    });

    if (direct) {
        loadDirect();

    } else {
        load(w, own, p.base + p.path,
             c.tier == 'professional' && c.fallback == 'client'
             ? loadDirect : undefined);
    }
}

quietly(() => start(SGTM_SETTINGS))();

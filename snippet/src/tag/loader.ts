/*
 * t.js, loader: loads the tenant's GTM container or Google tag through the
 * gateway that the script itself came from.
 *
 *     <script async src="/metrics/t.js"></script>
 *
 *     enterprise    the gateway
 *     professional  the gateway; Google's hosts when its script can't be had
 *                   there and the fallback is "client"
 *     starter       Google's hosts from the start
 */

import { attribute, c, gateway, pairs, setting } from '../settings';
import { safe, w } from '../util';
import { begin, command, GOOGLE, path } from './begin';
import { load } from './load';
import { granted, isCommand, mode, route, whenGranted } from './queue';

const HITS = 'https://www.google-analytics.com';
const DOWN = '_sgtm_d';
const PAUSE = 3e5;      /* ms until a gateway that was down is tried again */

const base = gateway();

/* hits of a tag go where these three say */
const to = (url: string): any => ({
    server_container_url: url,
    transport_url: url,
    first_party_collection: url != HITS,
});

const allowed = !c.r || c.r == 'any';
const starter = allowed && setting('t', 'tier') == 'starter';
const falls = allowed && setting('f', 'fallback') == 'client';

/* one object everywhere, so that a fallback can take it all back */
const routing = to(base.slice(0, -1));

const ways: any = { ...c.e };

pairs(attribute('events')).forEach(([name, way]) => {
    ways[name!] = way;
});

const loadDirect = safe(() => {
    Object.keys(routing).forEach((key) => {
        delete routing[key];
    });

    load(GOOGLE + path);
});

/* a memory for the session, where the visitor allows one */
const remembered = safe(() =>
    granted() && w.sessionStorage[DOWN] > Date.now());

const failed = (): void => whenGranted(true, () => {
    safe(() => {
        w.sessionStorage[DOWN] = Date.now() + PAUSE;
    })();

    loadDirect();
});

if (begin(starter ? undefined : routing)) {

    /* an event that leaves for Google alone, or as well */

    const done = new WeakSet();

    route((entry) => {
        if (!isCommand(entry, 'event') || done.has(entry)) {
            return [entry];
        }

        const way = ways[entry[1]];
        const other = command(entry[0], entry[1],
                              { ...entry[2],
                                ...to(starter ? base.slice(0, -1) : HITS) });

        /* Google's push() calls ours once more */

        done.add(entry);
        done.add(other);

        return way == 'off' ? []
               : !allowed ? way == 'client' ? [] : [entry]
               : way == 'both' ? [entry, other]
               : way == (starter ? 'server' : 'client') ? [other] : [entry];
    });

    if (starter) {
        whenGranted(mode == 'basic', loadDirect);

    } else if (falls && remembered()) {
        loadDirect();

    } else {
        load(base + path, falls ? failed : undefined);
    }
}

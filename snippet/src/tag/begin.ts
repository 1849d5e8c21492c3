/*
 * What every way of loading Google's scripts begins with: the id, the default
 * of consent, the setup.
 */

import { attribute, c } from '../settings';
import { w } from '../util';
import { defaultState } from './consent';
import { layer, name } from './queue';

export const GOOGLE = 'https://www.googletagmanager.com/';

/* the attributes, where they have the form of an id, or the tenant's own */
const id = [attribute('container'), attribute('tag-id'), c.i].find((text) =>
    /^(GTM?|G|AW|DC)-[A-Z0-9]{4,20}$/.test(text))!;

const gtm = /M-/.test(id);              /* no other kind of id has that */

/* of Google's script, with its id */
export const path = (gtm ? 'gtm.js' : 'gtag/js') + '?id=' + id
                    + (name != 'dataLayer' ? '&l=' + name : '');

export const command: (...args: unknown[]) => IArguments = function () {
    return arguments;
};

/*
 * Whether there is something to load: not where it is on the page already,
 * also by Google's own code.  The consent default goes before everything that
 * the page queued already, the setup before its first event: as long as nobody
 * reads the queue yet.
 */
export function begin(routing?: unknown): boolean {
    const google = w.google_tag_manager;
    const seen = w._sgtm ||= {};

    if (!id || seen[id] || google?.[id]) {
        return false;
    }

    seen[id] = 1;

    w.sgtm = w.gtag ||= function () {
        layer.push(arguments);
    };

    const state = defaultState();
    const consent = state ? [command('consent', 'default', state)] : [];

    /* for the container's variables, and for every Google tag in it */

    const setup: unknown[] = routing ? [routing, command('set', routing)] : [];

    if (!gtm) {
        setup.push(command('js', new Date()),
                   routing ? command('config', id, routing)
                           : command('config', id));
    }

    if (google?.[name]) {
        layer.push(...consent, ...setup);

    } else {
        const first = layer.findIndex((e: any) =>
            e && (e.event || /event|config/.test(e[0])));

        layer.splice(first < 0 ? layer.length : first, 0, ...setup);
        layer.unshift(...consent);
    }

    if (gtm) {
        layer.push({ 'gtm.start': Date.now(), event: 'gtm.js' });
    }

    return true;
}

/*
 * What the site says: gtag() and sgtm() commands, which are Arguments objects
 * in the data layer, and the events of a container there.  Those from before
 * the script came are read as well.
 */

import { attribute } from '../settings';
import { safe } from '../util';
import { viewed } from './automatic';
import { consent, granted, record, Type } from './consent';
import { drop } from './deliver';
import { ask, event, flush, sets, shared, tell, user } from './track';
import { hashed } from './user';
import { id, later, layer, uuid } from './util';
import { forget, kept, recall, remember } from './visit';
import { wire } from './wire';

/* the page comes before its first event and after its settings */
let first = (): void => {
    first = () => {};
    viewed();
};

export let views = true;                /* page views of our own */

/* of consent, whoever tells of it */
export function change(action: unknown, to: any, how: string): void {
    const version = to.version || attribute('consent-version');

    if (!consent(action, to)) {
        return;
    }

    if (!granted(Type.ANALYTICS)) {
        drop();
        forget();
    }

    recall();

    const now = record();

    if (kept.r != now + version) {
        kept.r = now + version;
        tell('consent_record', {
            consent_state: now,
            consent_method: to.method || how,
            consent_version: version,
        });
    }

    if (!granted(Type.AD)) {
        kept.x = {};
    }

    remember();
    later(flush, 0);
}

function set(values: any): void {
    Object.assign(sets, values);
    Object.assign(shared, wire(values.user_properties, 'up'));

    if (values.user_data) {
        ask(hashed(values.user_data), user);
    }
}

/* an event of the site's; others may match it by the id that it gets */
function heard(name: string, params: any, at: any): void {
    const run = params.event_callback || params.eventCallback;

    if ([].concat(params.send_to || id).some((to: any) =>
        to == id || to == 'default'))
    {
        first();
        params.event_id ||= uuid();
        at.event_id = params.event_id;
        set({ user_data: params.user_data });
        event(name, params);
    }

    if (run) {
        later(run, 0);
    }
}

function command(args: any): void {
    const [name, what] = args;
    const value = args[2] || {};

    if (name == 'consent') {
        change(what, value, 'gtag');

    } else if (name == 'event') {
        heard(what, { ...value }, args[2] = value);

    } else if (name == 'set') {
        set(typeof what == 'string' ? { [what]: value } : what);

    } else if (what == id && name == 'config') {
        set(value);
        views = views && value.send_page_view !== false;

    }
}

const entry = safe((e: any) => {
    if (String(e) == '[object Arguments]') {
        command(e);

    } else if (e.event) {
        heard(e.event, { ...e, ...e.ecommerce }, e);
    }
});

/* reads on from now */
export function read(): void {
    const push = layer.push;

    layer.push = (...entries: unknown[]) => {
        const n = push.apply(layer, entries);

        entries.forEach(entry);

        return n;
    };

    [...layer].forEach(entry);
    first();
}

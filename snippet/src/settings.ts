/*
 * What the script knows: the tenant's settings, written by the gateway as
 * JSON when the configuration is read, and what the page's own script tag
 * overrides of them.
 */

export type ConsentState = Record<string, string>;

export interface Settings {
    v: number;
    prefix: string;                     /* "/metrics/" */
    script: string;                     /* "t.js", the name below it */
    container: string;                  /* "GTM-…", or empty */
    tag: string;                        /* "G-…", or empty */
    tier: 'enterprise' | 'professional' | 'starter';
    fallback: 'queue' | 'client' | 'off';
    consent: {
        mode: 'off' | 'basic' | 'advanced';
        default: ConsentState;
    };
}

/* what is to be loaded, for which data layer */
export interface Plan {
    base: string;                       /* "https://shop.example/metrics/" */
    id: string;
    path: string;                       /* of Google's script, with its id */
    layer: string;                      /* the data layer's name */
    gtm: boolean;
}

const CONTAINER = /^GTM-[A-Z0-9]{4,20}$/;
const TAG_ID = /^(G|GT|AW|DC)-[A-Z0-9]{4,20}$/;
const LAYER = /^[A-Za-z_]\w{0,63}$/;

function allowed(value: string | null, form: RegExp): string {
    return value && form.test(value) ? value : '';
}

/* an attribute data-<name> of the script tag, if it has the allowed form */
export function attribute(
    tag: Element | null, name: string, form: RegExp
): string {
    return allowed(tag && tag.getAttribute('data-' + name), form);
}

/* undefined: there is nothing to load */
export function plan(
    w: Window & typeof globalThis, tag: Element | null, c: Settings
): Plan | undefined {
    let container = attribute(tag, 'container', CONTAINER);
    let id = attribute(tag, 'tag-id', TAG_ID);

    if (!container && !id) {
        container = allowed(c.container, CONTAINER);
        id = allowed(c.tag, TAG_ID);
    }

    const gtm = !!container;

    id = container || id;

    if (!id) {
        return;
    }

    /*
     * The way that the script itself came is the way to the gateway, also
     * where something in front of nginx moves its prefix.  A copy of it from
     * elsewhere does not know the way.
     */

    const src = String((tag as HTMLScriptElement)?.src).split(/[?#]/)[0]!;
    const own = /^https?:/.test(src) && src.endsWith('/' + c.script)
                && src.slice(0, -c.script.length);

    const name = attribute(tag, 'layer', LAYER);
    const other = (w as any)[name];

    /* a name that something else on the page owns is not a data layer's */

    const layer = name && (other === undefined || Array.isArray(other))
                  ? name : 'dataLayer';

    return {
        base: own || w.location.origin + c.prefix.replace(/^\/*/, '/'),
        id,
        path: (gtm ? 'gtm.js' : 'gtag/js') + '?id=' + id
              + (layer != 'dataLayer' ? '&l=' + layer : ''),
        layer,
        gtm,
    };
}

/*
 * As much of a browser's page as the script touches, for one run of it.
 */

import vm from 'node:vm';
import { bundles } from '../build.mjs';

export const scripts = bundles();

export const DENIED = {
    ad_storage: 'denied',
    analytics_storage: 'denied',
    ad_user_data: 'denied',
    ad_personalization: 'denied',
};

export const settings = (over = {}) => ({
    v: 2, p: '/metrics/', s: 't.js', g: 'gtag', i: 'G-ABC1234567',
    t: 'enterprise', f: 'off', c: 'advanced', d: '0000', r: 'any', ...over,
});


class Element {
    constructor(attributes = {}) {
        this.attributes = attributes;
        this.nonce = attributes.nonce || '';
    }

    getAttribute(name) {
        return name in this.attributes ? this.attributes[name] : null;
    }
}


/*
 * A page: before is JavaScript that the page runs ahead of the script;
 * policies are the names that its trusted types allow, where it requires them.
 */
export class Page {

    constructor({ before = '', policies, session = {} } = {}) {
        const page = this;

        this.scripts = [];
        this.violations = 0;
        this.session = session;

        const names = new Set(policies);
        const head = {
            appendChild(element) {
                page.scripts.push(element);
            },
        };

        this.document = {
            currentScript: null,
            head,
            documentElement: head,
            createElement: () => this.element(policies !== undefined),
        };

        const w = {
            document: this.document,
            location: new URL('https://shop.example/'),
            URL,
            sessionStorage: this.session,
        };

        if (policies) {
            w.trustedTypes = {
                createPolicy(name, rules) {
                    if (!names.delete(name)) {
                        page.violations++;
                        throw new TypeError(`policy "${name}"`);
                    }

                    return {
                        createScriptURL: (u) =>
                            ({ trusted: rules.createScriptURL(u) }),
                    };
                },
            };
        }

        this.context = vm.createContext(w);
        vm.runInContext('window = globalThis; dataLayer = undefined;'
                        + 'function gtagStub() {'
                        + '    dataLayer.push(arguments);'
                        + '}', this.context);
        vm.runInContext(before, this.context);
    }

    /* a script element; one that takes no plain string, if types must be */
    element(strict) {
        const element = new Element();
        const page = this;
        let src = '';

        Object.defineProperty(element, 'src', {
            get: () => src,
            set(value) {
                if (strict && typeof value === 'string') {
                    page.violations++;
                    throw new TypeError('requires a TrustedScriptURL');
                }

                src = value.trusted || value;
            },
        });

        return element;
    }

    run(text) {
        return vm.runInContext(text, this.context);
    }

    /*
     * Runs t.js as a tag of the page would, in the variant that the gateway
     * would choose; throws what it throws.
     */
    load(c = settings(), attributes = {},
         src = 'https://shop.example/metrics/t.js',
         variant = c.t === 'starter' && c.r === 'any' ? 'starter' : 'loader')
    {
        const script = scripts[variant];
        const tag = new Element(attributes);

        tag.src = src;

        this.document.currentScript = src === null ? null : tag;

        try {
            this.run(script.head
                     + (typeof c === 'string' ? c : JSON.stringify(c))
                     + script.tail);

        } finally {
            this.document.currentScript = null;
        }

        return this;
    }

    /* the script at that place can't be had */
    fail(n = 0) {
        this.scripts[n].onerror?.({ type: 'error' });

        return this;
    }

    get urls() {
        return this.scripts.map((s) => s.src);
    }

    /* a data layer as plain data; commands are marked by "@" */
    layer(name = 'dataLayer') {
        return JSON.parse(this.run(`JSON.stringify((window['${name}'] || [])
            .map((e) => String(e) == '[object Arguments]'
                        ? ['@'].concat(Array.from(e)) : e))`));
    }

    /* the commands of one name, in order */
    commands(name, layer) {
        return this.layer(layer)
            .filter((e) => e[0] === '@' && e[1] === name)
            .map((e) => e.slice(2));
    }
}

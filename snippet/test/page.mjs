/*
 * As much of a browser's page as the script touches, for one run of it.
 */

import vm from 'node:vm';
import { bundle } from '../build.mjs';

const script = bundle();

export const DENIED = {
    ad_storage: 'denied',
    analytics_storage: 'denied',
    ad_user_data: 'denied',
    ad_personalization: 'denied',
};

export function settings(over = {}) {
    return {
        v: 1,
        prefix: '/metrics/',
        script: 't.js',
        container: '',
        tag: 'G-ABC1234567',
        tier: 'enterprise',
        fallback: 'off',
        ...over,
        consent: { mode: 'advanced', default: DENIED, ...over.consent },
    };
}


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

    constructor({ before = '', policies } = {}) {
        const page = this;

        this.scripts = [];
        this.violations = 0;

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

    /* runs t.js as a tag of the page would; throws what it throws */
    load(c = settings(), attributes = {},
         src = 'https://shop.example/metrics/t.js')
    {
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

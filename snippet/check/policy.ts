/*
 * A Content Security Policy (W3C, CSP Level 3), as far as it decides about a
 * script and about hits of the page's own origin.
 */

/* which directive speaks for a kind of request: the first that is there */
const FALLBACK = {
    script: ['script-src-elem', 'script-src', 'default-src'],
    connect: ['connect-src', 'default-src'],
};

type Directives = Map<string, string[]>;

function parse(policy: string): Directives {
    const directives: Directives = new Map();

    for (const part of policy.split(';')) {
        const [name, ...values] = part.trim().split(/\s+/);

        if (name && !directives.has(name.toLowerCase())) {
            directives.set(name.toLowerCase(), values);
        }
    }

    return directives;
}

function sources(
    directives: Directives, kind: keyof typeof FALLBACK
): string[] | undefined {
    for (const name of FALLBACK[kind]) {
        const values = directives.get(name);

        if (values) {
            return values;
        }
    }

    return undefined;
}

/* whether one source of a list lets the page's own host through */
function covers(source: string, host: string, scheme: string): boolean {
    const s = source.toLowerCase();

    if (s === "'self'" || s === '*' || s === scheme) {
        return true;
    }

    const [, own, rest] = /^(?:([a-z]+:)\/\/)?([^/]+)$/.exec(s) || [];

    if (!rest || rest.startsWith("'") || (own && own !== scheme)) {
        return false;
    }

    return rest === host || rest === host.replace(/:\d+$/, '')
           || (rest.startsWith('*.') && host.endsWith(rest.slice(1)));
}

/*
 * What of the gateway the policies of a page forbid; several come with commas
 * between them, and each has to allow it.
 */
export function forbidden(
    header: string, origin: { host: string; protocol: string }
): string[] {
    const found = new Set<string>();

    for (const policy of header.split(',')) {
        const directives = parse(policy);
        const allows = (list: string[]): boolean =>
            list.some((s) => covers(s, origin.host, origin.protocol));

        const script = sources(directives, 'script');
        const connect = sources(directives, 'connect');

        if (script && (!allows(script) || script.includes("'strict-dynamic'")))
        {
            found.add(script.some((s) => /^'nonce-/.test(s))
                      ? 'nonce' : 'script-src');
        }

        if (connect && !allows(connect)) {
            found.add('connect-src');
        }

        const types = directives.get('trusted-types');

        if (directives.has('require-trusted-types-for') && types
            && !types.includes('sgtm') && !types.includes('*'))
        {
            found.add('trusted-types');
        }
    }

    return [...found];
}

/*
 * Puts a script tag into the page, under whatever policy the page has.
 */

interface Policy {
    createScriptURL(url: string): string;
}

/* a name can be taken once only; null: it can't be had */
let policy: Policy | null | undefined;

/*
 * A page that requires trusted types must allow the name "sgtm".  Where there
 * are none, or the name is not allowed, the page's own rules decide about a
 * plain string.
 */
function trusted(w: any, url: string): string {
    if (policy === undefined) {
        policy = null;

        try {
            policy = w.trustedTypes.createPolicy('sgtm', {
                createScriptURL: (u: string) => u,
            }) as Policy;

        } catch (e) {
            /* a plain string, then */
        }
    }

    return policy ? policy.createScriptURL(url) : url;
}

export function load(
    w: Window, own: HTMLScriptElement | null, url: string, failed?: () => void
): void {
    const d = w.document;
    const script = d.createElement('script');
    const nonce = own && own.nonce;

    if (nonce) {
        script.nonce = nonce;
    }

    if (failed) {
        script.onerror = failed;
    }

    script.async = true;
    script.src = trusted(w, url);

    (d.head || d.documentElement).appendChild(script);
}

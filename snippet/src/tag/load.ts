/*
 * Puts a script tag into the page, under whatever policy the page has.  One
 * that is made by a script is asynchronous.
 */

import { own } from '../settings';
import { d, w } from '../util';

declare const SMALL: boolean;

/*
 * A page that requires trusted types must allow the name "sgtm", which can be
 * taken once only.  Where there are none, or the name is not allowed, the
 * page's own rules decide about a plain string.
 */
let policy: any;

try {
    policy = w.trustedTypes.createPolicy('sgtm', {
        createScriptURL: (url: string) => url,
    });

} catch (e) {
    /* a plain string, then */
}

export function load(url: string, failed?: () => void): void {
    const script = d.createElement('script');

    script.nonce = own?.nonce || '';

    if (!SMALL) {
        script.onerror = failed;
    }

    script.src = policy ? policy.createScriptURL(url) : url;

    (d.head || d.documentElement).appendChild(script);
}

/*
 * Data that a user has given to the site, for matching: normalised as Google
 * asks for it, hashed here, and never sent in clear.
 */

import { type Wire } from './util';

const NAMES = 'email_address phone_number first_name last_name street city'
              + ' region postal_code country';

/* what of a value does not count */
const drop = (k: string): RegExp =>
    /^em/.test(k) ? /\s/g
    : /^ph/.test(k) ? /[^\d+]/g
    : /name/.test(k) ? /[\s\d\p{P}\p{S}]/gu : /[\p{P}\p{S}]/gu;

async function sha256(text: string): Promise<string> {
    const hash = await crypto.subtle.digest('SHA-256',
                                              new TextEncoder().encode(text));

    return [...new Uint8Array(hash)].map((n) =>
        (n + 256).toString(16).slice(1)).join('');
}

/* without TLS a browser has no SubtleCrypto: then there is nothing */
export async function hashed(data: any): Promise<Wire> {
    const out: Wire = {};
    const all = { ...data, ...[].concat(data.address)[0] as any };

    for (const k of NAMES.split(' ')) {

        /* "email" and "phone" are names, too */

        const value = [].concat(all[k] || all[k.split('_')[0]!]
                                || all['sha256_' + k] || [])[0];

        if (value) {
            const text = String(value).trim().toLowerCase();

            out['ep.user_data.' + (/^(em|ph)/.test(k) ? '' : 'address.')
                + 'sha256_' + k] =
                /^[\da-f]{64}$/.test(text) ? text
                : await sha256(text.replace(drop(k), ''));
        }
    }

    return out;
}

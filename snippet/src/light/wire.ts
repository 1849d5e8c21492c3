/* What a site says of an event, as GA4's collect protocol has it. */

import { table, type Wire } from './util';

/* parameters that have a name of their own there */
const NAMES = table('page_location=dl page_referrer=dr page_title=dt'
    + ' currency=cu user_id=uid');

const ITEM = table('item_id=id item_name=nm item_brand=br item_category=ca'
    + ' item_category2=c2 item_category3=c3 item_category4=c4'
    + ' item_category5=c5 item_variant=va price=pr quantity=qt coupon=cp'
    + ' discount=ds item_list_name=ln item_list_id=li index=lp'
    + ' location_id=lo affiliation=af promotion_id=pi promotion_name=pn'
    + ' creative_name=cn creative_slot=cs');

/* what is said to a tag, not to Google */
const DROP = /^(event(_?timeout)?$|send_|groups$|transport_|server_|first_|cookie_|gtm\.|_)/i;

const enum Max { ITEMS = 200, VALUE = 500 }

/* strings, numbers and booleans */
function simple(of: any, run: (key: string, value: any, text: string) => void):
    void
{
    Object.keys(of || {}).forEach((k) => {
        const value = of[k];

        if (/^[bns]/.test(typeof value)) {
            run(k, value, String(value).slice(0, Max.VALUE));
        }
    });
}

function item(of: any): string {
    const out: string[] = [];
    let n = 0;

    simple(of, (k, _, text) => {
        text = text.replace(/~/g, '~~');
        out.push((ITEM.get(k) || `k${n}${k}~v${n++}`) + text);
    });

    return out.join('~');
}

/* under a prefix: ep. for strings and epn. for numbers, up. and upn. */
export function wire(params: any, prefix = 'ep'): Wire {
    const out: Wire = {};

    simple(params, (k, value, text) => {
        if (!DROP.test(k)) {
            out[prefix == 'ep' && NAMES.get(k)
                || prefix + (typeof value == 'number' ? 'n.' : '.') + k] = text;
        }
    });

    [].concat(params?.items || []).slice(0, Max.ITEMS).forEach((of, i) => {
        out['pr' + (i + 1)] = item(of);
    });

    return out;
}

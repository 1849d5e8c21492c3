/* Consent that others keep: the IAB's TCF and GPP. */

import { safe, w } from '../util';
import { change } from './layer';
import { shared } from './track';

const enum Vendor { GOOGLE = 755 }

const word = (yes: unknown): string => yes ? 'granted' : 'denied';

/* TCF knows no purpose for analytics: that stays what the site says it is */
function tcf(t: any): void {
    if (t.gdprApplies) {
        const p = t.vendor.consents[Vendor.GOOGLE] ? t.purpose.consents : {};

        shared.gdpr = 1;
        shared.gdpr_consent = t.tcString;

        change('update', {
            ad_storage: word(p[1]),
            ad_user_data: word(p[1] && p[7]),
            ad_personalization: word(p[3] && p[4]),
        }, 'tcf');
    }
}

/* an opt-out from sale, sharing or targeted advertising, in any section */
function gpp({ pingData }: any): void {
    if (/(Sale|Sharing|TargetedAdvertising)OptOut":1/
            .test(JSON.stringify(pingData)))
    {
        change('object', {}, 'gpp');
    }
}

export function signals(): void {
    w.__tcfapi?.('addEventListener', 2, safe(tcf));
    w.__gpp?.('addEventListener', safe(gpp));
}

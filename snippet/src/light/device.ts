/* What is known of the browser. */

import { w } from '../util';
import { granted, Type } from './consent';
import { enc, table, type Wire } from './util';

declare const VERSION: string;

const HINTS = table('architecture=uaa bitness=uab fullVersionList=uafvl'
                    + ' mobile=uamb model=uam platform=uap'
                    + ' platformVersion=uapv wow64=uaw');

/* the browser's own answer, where it has one to give */
export const hints = (): PromiseLike<Wire> =>
    (navigator as any).userAgentData?.getHighEntropyValues([...HINTS.keys()])
        .then((values: any) => {
            const out: Wire = {};

            HINTS.forEach((name, k) => {
                const value = values[k];

                out[name] = value === !!value ? +value
                    : value.map?.((v: any) =>
                          enc(v.brand) + ';' + enc(v.version)).join('|')
                      || value;
            });

            return out;
        });

/* the first use of Intl takes a browser tens of ms, Temporal none */
const zone = w.Temporal?.Now.timeZoneId()
             || Intl.DateTimeFormat().resolvedOptions().timeZone;

/* found: those hints */
export const device = (found: Wire): Wire => ({
    ul: navigator.language?.toLowerCase(),
    sr: screen.width + 'x' + screen.height,
    'ep.viewport_size': innerWidth + 'x' + innerHeight,
    'epn.device_pixel_ratio': devicePixelRatio,
    'ep.timezone': zone,
    'ep.script_version': VERSION,
    ...granted(Type.ANALYTICS) ? found : {},
});

/*
 * t.js, light: a tracker of our own that speaks GA4's collect protocol and
 * needs no script of Google's.
 *
 *     <script async src="/metrics/t.js"></script>
 */

import { d, safe, w } from '../util';
import { automatic } from './automatic';
import { begin } from './consent';
import { beginDelivery, Leave } from './deliver';
import { hints as asked } from './device';
import { interactions } from './interactions';
import { read } from './layer';
import { signals } from './signals';
import { ask, flush, hints } from './track';
import { id, layer, on } from './util';
import { videos } from './video';

const seen = w._sgtm ||= {};

/* twice on the page, or the page has Google's own code for the same id? */

if (id && !seen[id] && !w.google_tag_manager?.[id]) {
    seen[id] = 1;

    w.sgtm = function () {
        layer.push(arguments);
    };

    w.gtag ||= w.sgtm;

    begin();

    /* once the page is there: its title, its settings, its banner's code */

    let start = (e: any): void => {
        start = () => {};

        [() => ask(asked(), hints), read, signals, automatic, interactions,
         videos, beginDelivery].forEach((part) => safe(part)());

        /* a page that leaves already tells nobody any more */

        if (e.type == 'pagehide') {
            flush(Leave.PAGE);
        }
    };

    if (d.prerendering || d.readyState == 'loading') {
        on('DOMContentLoaded prerenderingchange pagehide',
           (e) => d.prerendering || start(e));

    } else {
        start(0);
    }
}

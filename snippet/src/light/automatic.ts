/* What is noticed without the site's help: pages, their reading, leaving. */

import { attribute } from '../settings';
import { d, safe } from '../util';
import { Leave } from './deliver';
import { beginEngagement, engagement } from './engagement';
import { views } from './layer';
import { flush, page, tell } from './track';
import { later, now, on } from './util';
import { kept } from './visit';

const enum Ms { TITLE = 100, SCROLL = 200, WORTH = 1000 }

let began: number;
let depth: number;                      /* per cent, the last one told */
let turning: any;
let scrolling: any;

export function viewed(): void {
    const search = new URLSearchParams(location.search);
    const name = (attribute('search') || 'q,s,search,query,keyword')
        .split(',').find((n) => search.get(n));

    clearTimeout(turning);
    turning = 0;
    page.l = location.href;
    began = now();
    depth = 0;

    if (views) {
        tell('page_view');
    }

    if (name) {
        tell('search', { search_term: search.get(name) });
    }
}

/* a fragment is a page of its own only where it is a route */
const place = (url: string): string => url.replace(/#(?![!/]).*/, '');

/* an application has gone to another page of its own: its title comes next */
const moved = safe(() => {
    if (place(location.href) != place(page.l)) {
        page.r = page.l;
        page.l = location.href;
        turning ||= later(viewed, Ms.TITLE);
    }
});

function scrolled(): void {
    const y = scrollY + innerHeight;
    const percent = (y + 1) * 100 / d.documentElement.scrollHeight;

    scrolling = 0;

    while (depth < 100 && percent >= depth + 25) {
        depth += 25;
        tell('scroll', {
            percent_scrolled: depth,
            scroll_depth_pixels: Math.round(y),
        });
    }
}

function reading(): void {
    tell('user_engagement', {
        time_on_page_sec: Math.round((now() - began) / 1e3),
        is_bounce: !kept.e && kept.n < 2,
    });
}

/* long enough to be a visit */
export function engaged(): void {
    kept.e = 1;
    reading();
}

function left(how: Leave): void {
    if (turning) {
        viewed();
    }

    if (engagement() > Ms.WORTH) {
        reading();
    }

    flush(how);
}

export function automatic(): void {
    ['pushState', 'replaceState'].forEach((name) => {
        const real = (history as any)[name];

        (history as any)[name] = function (...args: unknown[]) {
            const result = real.apply(this, args);

            moved();

            return result;
        };
    });

    on('popstate', moved);

    /* a page that comes back from the browser's cache is seen once more */

    on('pageshow', (e) => {
        if (e.persisted) {
            viewed();
        }
    });

    on('scroll', () => {
        scrolling ||= later(scrolled, Ms.SCROLL);
    });

    beginEngagement();

    /* the last that a page on a phone may hear of, but often not the end */

    on('visibilitychange', () => {
        if (d.visibilityState == 'hidden') {
            left(Leave.NOW);
        }
    });

    on('pagehide', () => left(Leave.PAGE));
}

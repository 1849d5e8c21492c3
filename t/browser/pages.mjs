// Pages under conditions that take more than steps.

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

function tell(page, name) {
    return page.evaluate((event) => { gtag('event', event, {}); }, name);
}

// one tab if there are more "after" it; then these, or those "at once"; of
// the latter the last comes when the others are there

export async function tabs({ visitor, leave, sleep }, url, after, atOnce = 0) {
    const v = await visitor();
    const open = async (n) => {
        const page = await v.context.newPage();

        await page.goto(`${url}?n=${n}`);
        await tell(page, 'of_tab');
    };

    if (after) {
        await open('first');
        await sleep(300);
    }

    await Promise.all(Array.from({ length: after || atOnce },
                                 (_, n) => open(n)));
    await sleep(300);

    if (atOnce) {
        await open('last');
    }

    const complaints = [...v.complaints];

    await leave(v);

    return complaints;
}

// a browser whose user has forbidden cookies and all other storage

export async function blocked(tools, url) {
    const profile = mkdtempSync(join(tmpdir(), 'profile-'));

    mkdirSync(join(profile, 'Default'));
    writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify({
        profile: { default_content_setting_values: { cookies: 2 } },
    }));

    const v = await tools.owner(profile);

    await v.page.goto(url);
    await tell(v.page, 'told');
    await v.page.goto(`${url}second`);
    await tools.sleep(100);

    const cookie = await v.page.evaluate(() => document.cookie);
    const storage = await v.page.evaluate(() => {
        try {
            return String(localStorage);

        } catch (e) {
            return e.name;
        }
    });

    const complaints = [...v.complaints];

    await tools.leave(v);

    return { cookie, storage, complaints };
}

// a frame that has no origin of its own

export async function opaque({ visitor, leave, sleep }, url) {
    const v = await visitor();
    const errors = [];

    v.context.on('weberror', (e) => errors.push(String(e.error())));

    await v.page.goto(`${url}sandboxed`);
    await tell(v.page, 'told');
    await sleep(500);

    const works = await v.page.evaluate(() => window.origin === 'null'
                                              && typeof gtag === 'function');

    await leave(v);

    return { errors, works };
}

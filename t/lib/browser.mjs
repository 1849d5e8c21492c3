// A browser for SGTM::Browser: commands come as lines of JSON on stdin, each
// gets one line back, { value } or { error }.  The end of stdin closes it.
//
//     node browser.mjs <chromium> <directory for its profile>

import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const TIMEOUT = 15000;

const [executablePath, profile] = process.argv.slice(2);

const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport: { width: 1280, height: 800 },
    ignoreHTTPSErrors: true,
    args: [
        '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
        '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync',

        // whatever it wants from elsewhere is nowhere
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, '
        + 'EXCLUDE *.localhost, EXCLUDE 127.0.0.1',
    ],
});

const page = context.pages()[0] || await context.newPage();
const requests = [];
const complaints = [];

page.setDefaultTimeout(TIMEOUT);

context.on('request', (request) => {
    requests.push({
        method: request.method(),
        url: request.url(),
        body: request.postData() || '',
        type: request.resourceType(),
    });
});

page.on('pageerror', (e) => complaints.push(String(e)));

page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') {
        complaints.push(message.text());
    }
});

// waitForFunction() would evaluate it in the page, where a policy may forbid it

async function wait(code) {
    for (const end = Date.now() + TIMEOUT; Date.now() < end;) {
        const value = await page.evaluate(code).catch(() => false);

        if (value) {
            return value;
        }

        await new Promise((done) => { setTimeout(done, 20); });
    }

    throw new Error('not true in time: ' + code);
}

const commands = {
    go: async (url) => (await page.goto(url))?.status() ?? 0,
    click: (selector) => page.click(selector),
    fill: (selector, text) => page.fill(selector, text),
    press: (key) => page.keyboard.press(key),
    evaluate: (code) => page.evaluate(code),
    wait,
    size: (width, height) => page.setViewportSize({ width, height }),
    scheme: (colorScheme) => page.emulateMedia({ colorScheme }),
    picture: (path, options) => page.screenshot({ path, ...options }),
    cookies: () => context.cookies(),
    requests: () => requests,
    complaints: () => complaints,
};

function answer(message) {
    process.stdout.write(JSON.stringify(message) + '\n');
}

answer({ value: 'ready' });

for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...args] = JSON.parse(line);

    try {
        const value = await commands[name](...args);

        answer({ value: value === undefined ? null : value });

    } catch (e) {
        answer({ error: String(e) });
    }
}

await context.close();

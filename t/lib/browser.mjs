// A browser for SGTM::Browser: commands come as lines of JSON on stdin, each
// gets one line back, { value } or { error }.  The end of stdin closes it.
//
//     node browser.mjs '{ "chromium", "rules", "keys", "bfcache" }'
//
// The command "run" calls a function of a scenario, a file of t/browser, with
// the tools below; what it returns is the value.

import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const TIMEOUT = 15000;

const { chromium: executablePath, rules, keys, bfcache } =
    JSON.parse(process.argv[2]);

const launch = {
    executablePath,
    headless: true,

    // visitors have it, but what is sent as a page goes into it is not told
    ignoreDefaultArgs: bfcache ? ['--disable-back-forward-cache'] : [],

    args: [
        '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
        '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync',
        '--autoplay-policy=no-user-gesture-required',
        `--host-resolver-rules=${rules}`,
        ...keys ? [`--ignore-certificate-errors-spki-list=${keys}`] : [],
    ],
};

const about = {
    viewport: { width: 1280, height: 800 },
    ignoreHTTPSErrors: !keys,
};

const browser = await chromium.launch(launch);

function sleep(ms) {
    return new Promise((done) => { setTimeout(done, ms); });
}

// until code returns something true, which is the value

async function until(code, what = code, timeout = TIMEOUT) {
    for (const end = Date.now() + timeout; Date.now() < end;) {
        const value = await code();

        if (value) {
            return value;
        }

        await sleep(20);
    }

    throw new Error(`not true in time: ${what}`);
}

// a record of what a context asks for and complains about, and its page

async function watched(context) {
    const requests = [];
    const complaints = [];

    context.setDefaultTimeout(TIMEOUT);

    context.on('request', (request) => {
        requests.push({
            method: request.method(),
            url: request.url(),
            body: request.postData() || '',
            type: request.resourceType(),
        });
    });

    context.on('weberror', (e) => complaints.push(String(e.error())));

    context.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') {
            complaints.push(message.text());
        }
    });

    const page = context.pages()[0] || await context.newPage();

    return { context, page, requests, complaints };
}

// somebody new, with nothing stored

async function visitor(options = {}) {
    return watched(await browser.newContext({ ...about, ...options }));
}

// somebody with a profile and so a browser of his own

async function owner(profile, options = {}) {
    return watched(await chromium.launchPersistentContext(profile, {
        ...launch, ...about, ...options,
    }));
}

// A page that is left for another says its last words, one that is closed may
// not, and what it says takes a while on a busy machine: the context ends later,
// while the test goes on.

async function leave({ context }) {
    await Promise.all(context.pages().map((p) => p.goto('about:blank')));

    setTimeout(() => context.close().catch(() => {}), 3000).unref();
}

// the one whom commands lead

const { context, page, requests, complaints } = await visitor();

// waitForFunction() would evaluate it in the page, where a policy may forbid it

function wait(code) {
    return until(() => page.evaluate(code).catch(() => false), code);
}

const tools = { browser, visitor, owner, leave, until, sleep };

async function run(file, name, ...args) {
    const scenario = await import(file);

    return scenario[name](tools, ...args);
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
    run,
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
        answer({ error: String(e && e.stack || e) });
    }
}

await browser.close();

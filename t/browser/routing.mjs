// Visitors that stay while gateways go and come: a page each, by its address.
// Their clocks go on by themselves, and further when they are told to.

const visitors = new Map();

function chosen(urls) {
    return urls ? urls.map((url) => visitors.get(url))
                : [...visitors.values()];
}

// the one clock that can't be moved, made of one that can

const TIMEOUT = `
    AbortSignal.timeout = (ms) => {
        const controller = new AbortController();

        setTimeout(() => {
            controller.abort(new DOMException('late', 'TimeoutError'));
        }, ms);

        return controller.signal;
    };
`;

export async function open(tools, urls) {
    await Promise.all(urls.map(async (url) => {
        const v = await tools.visitor();

        visitors.set(url, v);
        await v.context.clock.install();
        await v.context.addInitScript(TIMEOUT);
        await v.page.goto(url);
    }));
}

// an event on all pages, or on some

export async function tell(tools, event, urls) {
    await Promise.all(chosen(urls).map(({ page }) =>
        page.evaluate((name) => { gtag('event', name, {}); }, event)));
}

export async function later(tools, ms, urls) {
    await Promise.all(chosen(urls).map(({ context }) =>
        context.clock.fastForward(ms)));
}

export async function evaluate({ until }, url, code) {
    return until(() => visitors.get(url).page.evaluate(code), code);
}

// where a page's requests went, and with which events: [[method, host, path,
// "page_view scroll"], ...]

export function asked(tools, url) {
    return visitors.get(url).requests.map((r) => {
        const { host, pathname } = new URL(r.url);

        return [r.method, host, pathname,
                [...r.body.matchAll(/(?:^|&|\n)en=(\w+)/g)]
                    .map((m) => m[1]).join(' ')];
    });
}

export async function close() {
    await Promise.all(chosen().map(({ context }) => context.close()));

    visitors.clear();
}

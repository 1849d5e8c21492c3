// Visits: somebody opens a page and does what a list says, step by step.

const STEPS = {
    go: (v, url) => v.page.goto(url),
    js: (v, code) => v.page.evaluate(code),
    until: (v, code) =>
        v.until(() => v.page.evaluate(code).catch(() => false), code),
    click: (v, selector) => v.page.click(selector),
    fill: (v, selector, text) => v.page.fill(selector, text),
    wait: (v, ms) => v.sleep(ms),
    size: (v, width, height) => v.page.setViewportSize({ width, height }),

    // as a link does it: the next page knows from where
    leave: async (v, url) => {
        await v.page.evaluate((to) => { location.href = to; }, url);
        await v.page.waitForURL(url);
    },

    reload: (v) => v.page.reload(),

    // goBack() waits for a load, which a page that was kept does not have
    back: (v) => v.page.evaluate(() => { history.back(); }).catch(() => {}),
    close: (v) => v.page.close({ runBeforeUnload: false }),

    offline: (v, is) => v.context.setOffline(is),

    // another page of the same visitor, where the next steps happen
    tab: async (v, url) => {
        v.page = await v.context.newPage();
        await v.page.goto(url);
    },

    // down to that part of what can be scrolled
    scroll: (v, percent) => v.page.evaluate((p) => {
        const e = document.documentElement;

        scrollTo(0, Math.ceil((e.scrollHeight - innerHeight) * p / 100));
    }, percent),

    // a script that runs before all others of a page
    init: (v, code) => v.context.addInitScript(code),

    // a clock that is moved by hand, from the next page on
    clock: (v, time) => v.context.clock.install({ time }),
    later: (v, ms) => v.context.clock.fastForward(ms),
};

// one visit: { steps: [[name, ...], ...], cookies, options }; its value is what
// the steps gave, what was asked for, what the browser complained about, and
// the cookies that it has at the end

export async function visit(tools, { steps, cookies, options }) {
    const v = { ...tools, ...await tools.visitor(options) };
    const values = [];

    if (cookies) {
        await v.context.addCookies(cookies);
    }

    for (const [name, ...args] of steps) {
        const value = await STEPS[name](v, ...args);

        values.push(name === 'js' || name === 'until' ? value : null);
    }

    const kept = await v.context.cookies();
    const complaints = [...v.complaints];

    await v.leave(v);

    return { values, requests: v.requests, complaints, cookies: kept };
}

// several at the same time, in the order that they were asked for

export async function visits(tools, list, atOnce = 4) {
    const results = [];
    let next = 0;

    await Promise.all(Array.from({ length: atOnce }, async () => {
        while (next < list.length) {
            const n = next++;

            results[n] = await visit(tools, list[n]);
        }
    }));

    return results;
}

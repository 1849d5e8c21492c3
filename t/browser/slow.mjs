// What the tag costs a page on a slow processor.
//
// A long task is what PerformanceObserver calls so: more than 50 ms from its
// begin to its end, whoever else had the processor meanwhile.  The browser's
// trace knows for how long the page's thread ran of that.

const OBSERVE = `
    window.longTasks = [];

    new PerformanceObserver((list) => {
        for (const e of list.getEntries()) {
            longTasks.push(e.duration);
        }
    }).observe({ type: 'longtask', buffered: true });
`;

const CATEGORIES = ['toplevel', 'devtools.timeline',
                    'disabled-by-default-devtools.timeline'];

// how long each task ran, in ms, of the thread that ran scripts of an origin

function ran(events, origin) {
    const key = (e) => `${e.pid}.${e.tid}`;

    const main = events.filter((e) => e.name === 'thread_name'
                                      && e.args.name === 'CrRendererMain')
                       .map(key);

    const page = events.filter((e) => e.args?.data?.url?.startsWith(origin))
                       .map(key)
                       .find((k) => main.includes(k));

    return events.filter((e) => e.name === 'RunTask' && key(e) === page
                                && e.tdur >= 0)
                 .map((e) => e.tdur / 1e3);
}

// One page: it loads, then code runs in it, then there is a while of nothing.
// The values are the long tasks at that rate, as the page sees them, and for
// how long the longest task ran.

export async function cost({ browser, visitor, sleep }, url, code, rate) {
    const v = await visitor();
    const cdp = await v.context.newCDPSession(v.page);

    await v.page.goto('about:blank');
    await v.context.addInitScript(OBSERVE);
    await cdp.send('Emulation.setCPUThrottlingRate', { rate });
    await browser.startTracing(v.page, { categories: CATEGORIES });
    await v.page.goto(url);
    await sleep(300);
    await v.page.evaluate(code);
    await sleep(1300);

    const long = await v.page.evaluate(() => window.longTasks);
    const trace = JSON.parse(await browser.stopTracing());

    await v.context.close();

    const tasks = ran(trace.traceEvents, new URL(url).origin);

    if (!tasks.length) {
        throw new Error('no task in the trace');
    }

    return { long, most: Math.max(...tasks) };
}

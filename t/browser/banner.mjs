// A visitor of a page with the banner of vanilla-cookieconsent, who decides by
// its buttons.

const CHOICES = {
    none: async () => {},
    all: (page) => page.click('#cc-main .cm [data-role=all]'),
    reject: (page) => page.click('#cc-main .cm [data-role=necessary]'),
    analytics: (page) => some(page, 'analytics'),
    ads: (page) => some(page, 'ads'),
};

async function some(page, category) {
    await page.click('#cc-main .cm [data-role=show]');
    await page.click(`#cc-main .pm .section__toggle-wrapper`
                     + `:has(input[value=${category}])`);
    await page.click('#cc-main .pm [data-role=save]');
}

async function withdraw(page) {
    await page.click('[data-cc=show-preferencesModal]');
    await page.click('#cc-main .pm [data-role=necessary]');
}

function stored(page) {
    return page.evaluate(() => ({
        cookies: document.cookie.split('; ').map((c) => c.split('=')[0]),
        local: Object.keys(localStorage),
        session: Object.keys(sessionStorage),
    }));
}

// What is stored when the page is there, after the choice, at once after it was
// taken back, a while after that, and at the end, a page later.  "sends" names
// the events that are to leave: what has not left by then waits for the next
// state.

async function visit(tools, { url, choice, second, sends }) {
    const { visitor, leave, until, sleep } = tools;
    const v = await visitor();
    const { page } = v;
    const looks = [];
    const left = (name) => v.requests.some((r) =>
        (r.url + r.body).includes(`en=${name}&`));

    const tell = async (name) => {
        await page.evaluate((event) => { gtag('event', event, {}); }, name);

        if (sends.includes(name)) {
            await until(() => left(name), `${name} leaves ${url}`);
        }

        await sleep(300);
        looks.push(await stored(page));
    };

    await page.goto(url);
    await until(() => page.isVisible('#cc-main .cm'), 'the banner is shown');
    await tell('before_choice');
    await CHOICES[choice](page);
    await tell('after_choice');

    if (second) {
        await withdraw(page);
        looks.push(await stored(page));
        await tell('after_second');
    }

    await page.goto(new URL('/later', url).href);
    await tell('on_next_page');

    const cookies = await v.context.cookies();
    const complaints = [...v.complaints];

    await leave(v);

    return { looks, cookies, requests: v.requests, complaints };
}

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

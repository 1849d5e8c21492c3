/*
 * The page that tests a gateway from an operator's browser.  It has its own
 * policy, with trusted types: text is all that it puts into the page.
 */

import {
    Check, TESTS, reported, type Finding, type Level, type Settings
} from './tests';

const MARKS: Record<Level | 'wait', [string, string]> = {
    ok: ['\u2713', 'fine'],
    warn: ['!', 'look at it'],
    fail: ['\u2715', 'wrong'],
    skip: ['\u2013', 'not tested'],
    wait: ['\u2026', 'under way'],
};

const summary = document.getElementById('summary')!;
const list = document.getElementById('checks')!;
const again = document.getElementById('again') as HTMLButtonElement;

function element(
    name: string, text: string, className?: string
): HTMLElement {
    const e = document.createElement(name);

    /* as in the docs: what stands between two "`" is code */

    text.split('`').forEach((part, i) => {
        e.append(i % 2 ? element('code', part) : part);
    });

    if (className) {
        e.className = className;
    }

    return e;
}

function show(item: HTMLElement, title: string, finding?: Finding): void {
    const level = finding ? finding.level : 'wait';
    const mark = element('span', MARKS[level][0], 'mark');
    const body = element('div', '');
    const head = element('h2', title);

    mark.setAttribute('aria-hidden', 'true');
    head.append(element('span', ': ' + MARKS[level][1], 'unseen'));
    body.append(head);

    if (finding) {
        body.append(element('p', finding.text));

        if (finding.todo) {
            body.append(element('p', finding.todo, 'todo'));
        }
    }

    item.dataset.level = level;
    item.replaceChildren(mark, body);
}

function failed(e: Error, violated: boolean): Finding {
    return {
        level: 'fail',
        text: e.name === 'TimeoutError' ? 'There was no answer in 15 seconds.'
                                        : `The request failed: ${e.message}.`,
        todo: violated
              ? 'A policy forbids it: see below.'
              : 'An extension of this browser may block it: check in a '
                + 'window without any. See nginx\'s logs, too.',
    };
}

function summarize(levels: Level[]): void {
    const count = (level: Level): number =>
        levels.filter((l) => l === level).length;

    const wrong = count('fail');
    const look = count('warn');

    summary.dataset.level = wrong ? 'fail' : look ? 'warn' : 'ok';
    summary.textContent = `${count('ok')} of ${levels.length} are fine`
                          + (wrong ? `, ${wrong} wrong` : '')
                          + (look ? `, ${look} to look at` : '')
                          + '.';
}

async function run(settings: Settings): Promise<void> {
    const check = new Check(settings);
    const levels: Level[] = [];

    const violated = (e: SecurityPolicyViolationEvent): void => {
        check.violations.push(`${e.effectiveDirective} ${e.blockedURI}`);
    };

    document.addEventListener('securitypolicyviolation', violated);

    again.disabled = true;
    delete summary.dataset.level;
    summary.textContent = 'Checking\u2026';

    const items = TESTS.map((test) => {
        const item = element('li', '');

        item.id = test.id;
        show(item, test.title);

        return item;
    });

    list.replaceChildren(...items);

    for (const [i, test] of TESTS.entries()) {
        let finding: Finding;

        try {
            finding = await test.run(check);

        } catch (e) {
            await reported();
            finding = failed(e as Error, check.violations.length > 0);
        }

        show(items[i]!, test.title, finding);
        levels.push(finding.level);
    }

    document.removeEventListener('securitypolicyviolation', violated);

    summarize(levels);
    again.disabled = false;
}

const settings = JSON.parse(document.documentElement.dataset.settings!) as
    Settings;

document.getElementById('where')!.textContent =
    new URL('.', location.href).href;

again.addEventListener('click', () => void run(settings));

void run(settings);

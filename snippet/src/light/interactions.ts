/* Clicks, downloads and forms. */

import { d } from '../util';
import { Leave } from './deliver';
import { flush, tell } from './track';
import { on } from './util';

const FILE = /\.(pdf|xlsx?|docx?|txt|rtf|csv|exe|key|pp[st]x?|7z|pkg|rar|gz|zip|avi|mov|mp[34]|mpe?g|wmv|midi?|wav|wma)$/i;

function clicked(e: any): void {
    const link = e.target.closest('[href]');
    const url = new URL(link.href);
    const file = FILE.exec(url.pathname);
    const outbound = /^http/.test(url.protocol)
                     && url.hostname != location.hostname;

    const params = {
        link_id: link.id,
        link_text: link.textContent.trim(),
        link_url: link.href,
        link_domain: url.hostname,
    };

    if (file) {
        tell('file_download', {
            ...params,
            file_name: url.pathname,
            file_extension: file[1]!.toLowerCase(),
        });

    } else if (outbound) {
        tell('click', { ...params, outbound });
    }
}

/* never what a visitor writes there */
function form(f: Element): any {
    const of = (name: string) => f.getAttribute(name);

    return {
        form_id: of('id'),
        form_name: of('name'),
        form_destination: new URL(of('action') || '', d.baseURI).href,
        lead_type: of('data-lead-type'),
        lead_value: +of('data-lead-value')! || null,
    };
}

function submitted(e: any): void {
    const params = form(e.target);

    tell('form_submit', params);

    if (params.lead_type || params.lead_value) {
        tell('generate_lead', params);
    }

    /* before the page leaves */

    flush(Leave.NOW);
}

export function interactions(): void {
    const started = new WeakSet();

    on('click auxclick', clicked);
    on('submit', submitted);
    on('input', ({ target: { form: f } }) => {
        if (f && !started.has(f)) {
            started.add(f);
            tell('form_start', form(f));
        }
    });
}

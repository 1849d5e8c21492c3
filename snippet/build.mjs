/*
 * Bundles src/ and writes the C header from which the module is built, so
 * that building the module needs no npm.
 *
 *     node build.mjs            writes ../src/page/ngx_http_sgtm_snippet.h
 *     node build.mjs --check    only compares it
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';

const HEADER = '../src/page/ngx_http_sgtm_snippet.h';
const PLACE = 'SGTM_SETTINGS';          /* where the settings go */
const MAX_GZIP = 2000;                  /* bytes, with settings of full size */
const MAX_LITERAL = 4095;               /* what C11 asks of a compiler */
const COLUMNS = 79;

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const SAMPLE = {
    v: 1,
    prefix: '/metrics/',
    script: 't.js',
    container: 'GTM-ABC1234',
    tag: 'G-ABC1234567',
    tier: 'professional',
    fallback: 'client',
    consent: {
        mode: 'advanced',
        default: {
            ad_storage: 'denied',
            analytics_storage: 'denied',
            ad_user_data: 'denied',
            ad_personalization: 'denied',
        },
    },
};


/* the script's text before and after the settings */
export function bundle() {
    const result = buildSync({
        entryPoints: [here('src/main.ts')],
        bundle: true,
        minify: true,
        format: 'iife',
        target: 'es2017',
        charset: 'ascii',
        legalComments: 'none',
        write: false,
    });

    const parts = result.outputFiles[0].text.trim().split(PLACE);

    if (parts.length !== 2) {
        throw new Error(`"${PLACE}" is to be in the script exactly once`);
    }

    return { head: parts[0], tail: parts[1] };
}


function quote(c) {
    switch (c) {
    case '\\':
    case '"':
    case '?':           /* two of them may begin a trigraph */
        return '\\' + c;
    case '\n':
        return '\\n';
    }

    if (c < ' ' || c > '~') {
        throw new Error(`character ${c.charCodeAt(0)} in the script`);
    }

    return c;
}


/* "…" lines of at most COLUMNS, in groups of at most MAX_LITERAL characters */
function literals(text) {
    const groups = [];
    let lines = [];
    let line = '';
    let size = 0;

    const flushLine = () => {
        if (line) {
            lines.push(`        "${line}"`);
            line = '';
        }
    };

    const flushGroup = () => {
        flushLine();

        if (lines.length) {
            groups.push(`    ngx_string(\n${lines.join('\n')})`);
            lines = [];
            size = 0;
        }
    };

    for (const c of text) {
        const q = quote(c);

        /* room for the indent, two quotes and the closing ")," */

        if (line.length + q.length > COLUMNS - 8 - 4) {
            flushLine();
        }

        if (size === MAX_LITERAL) {
            flushGroup();
        }

        line += q;
        size++;
    }

    flushGroup();

    return groups;
}


function array(name, text) {
    return `static ngx_str_t  ${name}[] = {\n`
           + literals(text).concat('    ngx_null_string').join(',\n')
           + '\n};\n';
}


export function header({ head, tail }) {
    return `
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Generated from snippet/ by "npm run build" there: not to be edited.
 *
 * The script t.js, before and after the tenant's settings.
 */


#ifndef _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_
#define _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_


${array('ngx_http_sgtm_snippet_head', head)}

${array('ngx_http_sgtm_snippet_tail', tail)}

#endif /* _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_ */
`;
}


function main() {
    const script = bundle();
    const text = header(script);
    const whole = script.head + JSON.stringify(SAMPLE) + script.tail;
    const size = gzipSync(whole, { level: 9 }).length;

    console.log(`t.js: ${whole.length} bytes, ${size} in gzip`);

    if (size > MAX_GZIP) {
        throw new Error(`t.js is over ${MAX_GZIP} bytes in gzip`);
    }

    if (!process.argv.includes('--check')) {
        writeFileSync(here(HEADER), text);

    } else if (readFileSync(here(HEADER), 'utf8') !== text) {
        throw new Error('ngx_http_sgtm_snippet.h is not up to date:'
                        + ' "npm run build" in snippet/');
    }
}


if (import.meta.url === pathToFileURL(process.argv[1]).href) {
    try {
        main();

    } catch (e) {
        console.error(`build: ${e.message}`);
        process.exitCode = 1;
    }
}

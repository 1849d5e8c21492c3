/*
 * Bundles the variants of t.js from src/ and writes the C header from which
 * the module is built, so that building the module needs no npm.
 *
 *     node build.mjs            writes ../src/page/ngx_http_sgtm_snippet.h
 *     node build.mjs --check    only compares it
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';
import { minify_sync } from 'terser';

/* what each variant may weigh: bytes in gzip -9, with settings of full size */
export const VARIANTS = {
    light: { entry: 'src/light/light.ts', max: 7000 },
    loader: { entry: 'src/tag/loader.ts', max: 2000 },
    starter: { entry: 'src/tag/starter.ts', max: 1200 },
};

const HEADER = '../src/page/ngx_http_sgtm_snippet.h';
const PLACE = 'SGTM_SETTINGS';          /* where the settings go */
const MAX_LITERAL = 4095;               /* what C11 asks of a compiler */
const COLUMNS = 79;

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const SAMPLE = {
    v: 2,
    p: '/metrics/',
    s: 't.js',
    g: 'gtag',
    i: 'G-ABC1234567',
    t: 'professional',
    f: 'client',
    c: 'advanced',
    d: '0000',
    r: 'any',
    e: { scroll: 'off' },
};


/* a variant's text before and after the settings */
export function bundle(name) {
    const { version } = JSON.parse(readFileSync(here('package.json')));
    const result = buildSync({
        entryPoints: [here(VARIANTS[name].entry)],
        bundle: true,
        minify: true,
        format: 'esm',
        target: 'es2021',
        charset: 'ascii',
        define: {
            SGTM_SETTINGS: '$s',
            VERSION: JSON.stringify(version),
            SMALL: String(name === 'starter'),
        },
        legalComments: 'none',
        tsconfigRaw: {},                /* no "use strict" */
        write: false,
    });

    /* esbuild leaves functions that are called once as they are: 3 % in gzip */

    const { code } = minify_sync(result.outputFiles[0].text, {
        module: true,
        compress: { ecma: 2021, passes: 4 },
        format: { ecma: 2021, ascii_only: true },
    });

    /*
     * The settings come last, so that what is before them can be compressed
     * once for all tenants.  Whatever they and the page are like, a page sees
     * no error.
     */

    const parts = `try{($s=>{${code.replace(/;$/, '')}})(${PLACE})}catch{}`
        .split(PLACE);

    if (parts.length !== 2) {
        throw new Error(`"${PLACE}" is to be in ${name} exactly once`);
    }

    return { head: parts[0], tail: parts[1] };
}


export function bundles() {
    return Object.fromEntries(Object.keys(VARIANTS).map((name) =>
        [name, bundle(name)]));
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
export function literals(text) {
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


const PREFIX = 'ngx_http_sgtm_snippet';

export function array(name, text) {
    return `static ngx_str_t  ${PREFIX}_${name}[] = {\n`
           + literals(text).concat('    ngx_null_string').join(',\n')
           + '\n};\n';
}


export function header(scripts) {
    const names = Object.keys(scripts);
    const wide = Math.max(...names.map((name) => name.length));

    const defines = names.map((name, i) =>
        `#define ${PREFIX.toUpperCase()}_`
        + `${name.toUpperCase().padEnd(wide)}  ${i}`).join('\n');

    const arrays = names.map((name) =>
        array(`${name}_head`, scripts[name].head) + '\n\n'
        + array(`${name}_tail`, scripts[name].tail)).join('\n\n');

    const table = names.map((name) =>
        `    { ngx_string("${name}"),\n`
        + `      ${PREFIX}_${name}_head,\n`
        + `      ${PREFIX}_${name}_tail }`).join(',\n\n');

    return `
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Generated from snippet/ by "npm run build" there: not to be edited.
 *
 * The script t.js in its variants, each before and after the tenant's
 * settings, in parts; an empty part is the last.
 */


#ifndef _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_
#define _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_


${defines}


typedef struct {
    ngx_str_t   name;
    ngx_str_t  *head;
    ngx_str_t  *tail;
} ngx_http_sgtm_snippet_t;


${arrays}

static ngx_http_sgtm_snippet_t  ngx_http_sgtm_snippets[] = {

${table}
};


#endif /* _NGX_HTTP_SGTM_SNIPPET_H_INCLUDED_ */
`;
}


function main() {
    const scripts = bundles();
    const text = header(scripts);
    const heavy = [];

    for (const [name, { max }] of Object.entries(VARIANTS)) {
        const { head, tail } = scripts[name];
        const whole = head + JSON.stringify(SAMPLE) + tail;
        const size = gzipSync(whole, { level: 9 }).length;

        console.log(`${name}: ${whole.length} bytes,`
                    + ` ${size} of ${max} in gzip`);

        if (size > max) {
            heavy.push(`${name} is over ${max} bytes in gzip`);
        }
    }

    if (heavy.length) {
        throw new Error(heavy.join(', '));
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

/*
 * Bundles the check page and writes the C header from which the module is
 * built.
 *
 *     node check/build.mjs           writes ngx_http_sgtm_check_page.h
 *     node check/build.mjs --check   only compares it
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { literals } from '../build.mjs';

const HEADER = '../../src/page/ngx_http_sgtm_check_page.h';
const PLACE = 'SGTM_SETTINGS';          /* where the settings go */

const here = (name) => fileURLToPath(new URL(name, import.meta.url));


function bundle(name) {
    const result = buildSync({
        entryPoints: [here(name)],
        bundle: true,
        minify: true,
        format: 'iife',
        target: 'es2022',
        charset: 'ascii',
        legalComments: 'none',
        write: false,
    });

    return result.outputFiles[0].text;
}


/* what is not ASCII would want a charset of the answer's */
function html() {
    const text = readFileSync(here('check.html'), 'utf8');
    const parts = text.split(PLACE);

    if (parts.length !== 2) {
        throw new Error(`"${PLACE}" is to be in check.html exactly once`);
    }

    return parts;
}


function array(name, text) {
    return `static ngx_str_t  ngx_http_sgtm_check_${name}[] = {\n`
           + literals(text).concat('    ngx_null_string').join(',\n')
           + '\n};\n';
}


function header() {
    const [head, tail] = html();

    return `
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Generated from snippet/check/ by "npm run build" in snippet/: not to be
 * edited.
 *
 * The check page, before and after the tenant's settings, its script and its
 * style, in parts; an empty part is the last.
 */


#ifndef _NGX_HTTP_SGTM_CHECK_PAGE_H_INCLUDED_
#define _NGX_HTTP_SGTM_CHECK_PAGE_H_INCLUDED_


${array('html_head', head)}

${array('html_tail', tail)}

${array('js', bundle('check.ts'))}

${array('css', bundle('check.css'))}

#endif /* _NGX_HTTP_SGTM_CHECK_PAGE_H_INCLUDED_ */
`;
}


try {
    const text = header();

    if (!process.argv.includes('--check')) {
        writeFileSync(here(HEADER), text);

    } else if (readFileSync(here(HEADER), 'utf8') !== text) {
        throw new Error('ngx_http_sgtm_check_page.h is not up to date:'
                        + ' "npm run build" in snippet/');
    }

} catch (e) {
    console.error(`build: ${e.message}`);
    process.exitCode = 1;
}

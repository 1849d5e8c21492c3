/*
 * Judges documents by a JSON Schema of 2020-12:
 *
 *     node schema.mjs <schema> <file of documents, a JSON text a line>
 *
 * prints "1" or "0 <first error>" for each.
 */

import { readFileSync } from 'node:fs';
import Ajv from 'ajv/dist/2020.js';

const [schema, documents] = process.argv.slice(2)
    .map((name) => readFileSync(name, 'utf8'));

const ajv = new Ajv({ strict: true, strictRequired: false });
const validate = ajv.compile(JSON.parse(schema));

for (const text of documents.split('\n').filter((line) => line)) {
    const good = validate(JSON.parse(text));
    const [error] = validate.errors || [];

    console.log(good ? '1'
                : `0 ${error.instancePath} ${error.message}`);
}

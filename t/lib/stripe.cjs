// Signs with Stripe's own library what it reads from a file, and prints the
// header's value.
//
//     node stripe.cjs <file> <secret> [<time>]

'use strict';

const { readFileSync } = require('node:fs');
const Stripe = require('../node_modules/stripe');

const [file, secret, time] = process.argv.slice(2);

const stripe = new Stripe('sk_test_of_nobody');

process.stdout.write(stripe.webhooks.generateTestHeaderString({
    payload: readFileSync(file, 'utf8'),
    secret,
    timestamp: time ? Number(time) : undefined,
}));

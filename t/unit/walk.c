
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The walk over arguments looks at many bytes together: what comes out must not
 * depend on where they lie, nor on the lines that lie beside.  A client id that
 * is passed over because a block of 64 bytes ends there would leave the gate.
 */


#include "unit.h"


/* the arguments of a key of that length and "rest" */

static const char  rest[] = "=1&b=&c&%64=%3F=2&\xc3%A9=%00&f=1\x7f&";


static unsigned
wrong(sgtm_args_t *args, size_t len)
{
    unsigned    bad;
    sgtm_arg_t  arg;

    bad = !(sgtm_args_next(args, &arg) && arg.key.len == len
            && arg.value.len == 1 && !arg.fault && !arg.nested);
    bad += !(sgtm_args_next(args, &arg) && arg.key.len == 1
             && arg.value.len == 0 && !arg.bare && !arg.fault);
    bad += !(sgtm_args_next(args, &arg) && arg.key.len == 1
             && arg.bare && !arg.escaped && !arg.nested);
    bad += !(sgtm_args_next(args, &arg) && arg.key.len == 3
             && arg.value.len == 5 && arg.escaped && arg.nested);
    bad += !(sgtm_args_next(args, &arg) && arg.key.len == 4
             && arg.escaped && arg.fault == SGTM_REASON_BAD_BYTE);
    bad += !(sgtm_args_next(args, &arg) && arg.value.len == 2
             && arg.fault == SGTM_REASON_BAD_BYTE);
    bad += !(sgtm_args_next(args, &arg) && arg.key.len == 0
             && arg.bare && !arg.fault && !arg.nested);
    bad += sgtm_args_next(args, &arg);

    return bad;
}


/*
 * The walk looks at many bytes together: the same arguments come out wherever
 * they lie, and an argument may be longer than what is looked at.
 */

static void
test_places(void)
{
    size_t       pad, len;
    unsigned     bad, bad_lines;
    sgtm_str_t   in;
    sgtm_arg_t   arg;
    sgtm_args_t  args;
    char         text[4096];

    bad = 0;
    bad_lines = 0;

    for (pad = 1; pad < 2300; pad++) {

        memcpy(text, "?=%zz\r\n", 7);
        memset(text + 7, 'a', pad);
        memcpy(text + 7 + pad, rest, sizeof(rest));
        len = pad + sizeof(rest) - 1;

        in = unit_bytes(text + 7, len);
        sgtm_args_init(&args, &in);

        bad += wrong(&args, pad);

        /* a line has an end of its own */

        memcpy(text + 7 + len, "\r\n?%zz=&&", 9);

        in = unit_bytes(text, 7 + len + (pad & 1 ? 9 : 2));
        sgtm_args_init_lines(&args, &in);

        bad_lines += !(sgtm_args_begin(&args) && sgtm_args_next(&args, &arg)
                       && arg.nested && arg.fault);
        bad_lines += sgtm_args_next(&args, &arg);

        bad_lines += !sgtm_args_begin(&args);
        bad_lines += wrong(&args, pad);
        bad_lines += (args.line.data != in.data + 7 || args.line.len != len);

        bad_lines += ((unsigned) sgtm_args_begin(&args) != (pad & 1));
    }

    unit_ok(bad == 0, "the same arguments at every place");
    unit_ok(bad_lines == 0, "and in a line");
}


/* a body of any lines: of ends alone, of long arguments, of many short ones */

static sgtm_str_t
body_of(uint32_t seed)
{
    char      text[16384];
    size_t    i, n, len;

    static const char  *pieces[] = {
        "&", "&", "&", "=", "=", "en=scroll&_et=1", "a", "%41", "%3F", "?",
        "\xc3\xa9", "%zz", "\r", "\r\n", "\n", "\n"
    };

    n = 0;

    for (i = 0; i < 40; i++) {

        seed = seed * 1103515245 + 12345;

        if ((seed >> 16) % 19 == 0) {

            /* up to three times what is looked at together */

            len = (seed >> 8) % (3 * SGTM_ARGS_CHUNK);

            if (len > sizeof(text) - n - 32) {
                break;
            }

            memset(text + n, 'v', len);
            n += len;
            continue;
        }

        if (sizeof(text) - n < 32) {
            break;
        }

        n += (size_t) sprintf(text + n, "%s",
                              pieces[(seed >> 16) % unit_nelts(pieces)]);
    }

    return unit_bytes(text, n);
}


/* the arguments of all lines together are those of each alone */

static void
test_walk(void)
{
    unsigned     i, bad;
    sgtm_str_t   body, left, line, end;
    sgtm_arg_t   arg, one;
    sgtm_args_t  args, ones;

    bad = 0;

    for (i = 0; i < 3000; i++) {

        body = body_of(i);
        left = body;

        sgtm_args_init_lines(&args, &body);

        while (sgtm_args_line(&left, &line, &end)) {

            if (line.len == 0) {
                continue;
            }

            bad += !sgtm_args_begin(&args);

            sgtm_args_init(&ones, &line);

            while (sgtm_args_next(&ones, &one)) {

                if (!sgtm_args_next(&args, &arg)) {
                    bad++;
                    break;
                }

                bad += (arg.key.data != one.key.data
                        || arg.key.len != one.key.len
                        || arg.value.data != one.value.data
                        || arg.value.len != one.value.len
                        || arg.word != one.word || arg.fault != one.fault
                        || arg.bare != one.bare || arg.escaped != one.escaped
                        || arg.nested != one.nested);
            }

            bad += sgtm_args_next(&args, &arg);
            bad += (args.line.data != line.data || args.line.len != line.len);
        }

        bad += sgtm_args_begin(&args);
    }

    unit_ok(bad == 0, "lines together and one by one");

    body.len = 0;
    body.data = NULL;
    sgtm_args_init_lines(&args, &body);
    unit_ok(!sgtm_args_begin(&args), "no body has no line");
}


/* what is passed over is unknown and plain, and nothing else is */

static void
test_known(void)
{
    unsigned      i, n, m, bad, skipped;
    sgtm_str_t    body;
    sgtm_arg_t    arg, one;
    sgtm_args_t   args, ones;
    sgtm_names_t  names;

    static const char  lines[] =
        "en=x&_et=1&a=1&cid=1&zz=2&ep.x=1&%65n=1&b=%41&b=?&v&w&=&=1&c=2\r\n"
        "q=1&gclid=1&up.x=1&pr1=id1&dl=1&dr=1&dt=1&ee=1&epn.y=1&_s=3&zzz=1";

    unit_names(&names, sgtm_default_params);

    skipped = 0;
    bad = 0;

    for (i = 0; i < 3000; i++) {

        body = i ? body_of(i) : unit_str(lines);

        sgtm_args_init_lines(&args, &body);
        sgtm_args_init_lines(&ones, &body);

        while (sgtm_args_begin(&args) && sgtm_args_begin(&ones)) {

            n = 0;
            m = 0;

            while (sgtm_args_next_known(&args, &arg, &names, &n)) {

                for ( ;; ) {

                    if (!sgtm_args_next(&ones, &one)) {
                        bad++;
                        break;
                    }

                    if (one.key.data == arg.key.data) {
                        break;
                    }

                    bad += (one.fault || one.nested
                            || sgtm_args_rule(&names, &one) != NULL);
                    m++;
                }
            }

            while (sgtm_args_next(&ones, &one)) {
                bad += (one.fault || one.nested
                        || sgtm_args_rule(&names, &one) != NULL);
                m++;
            }

            bad += (n != m);
            skipped += n;

            if (i == 0 && body.data == args.line.data) {
                /* "_et", "a", "zz"; "=1", a name is none of the table's */
                unit_ok(n >= 3 && n <= 6, "%u of a line are passed over", n);
            }
        }

        bad += sgtm_args_begin(&ones);
    }

    unit_ok(bad == 0 && skipped > 100, "only what is unknown is passed over");
}


static void
test_long(void)
{
    size_t       len;
    unsigned     bad;
    sgtm_str_t   in;
    sgtm_arg_t   arg;
    sgtm_args_t  args;
    char         text[2048];
    const char  *tail;

    bad = 0;

    for (len = 400; len < 1400; len++) {

        /* what matters of it comes last */

        tail = (len & 1) ? "=%3F" : "\xe2\x82%AC";

        memset(text, 'v', len);
        memcpy(text, "k=", 2);
        memcpy(text + len - strlen(tail), tail, strlen(tail));
        memcpy(text + len, "&x", 2);

        in = unit_bytes(text, len + 2);

        sgtm_args_init(&args, &in);

        bad += !(sgtm_args_next(&args, &arg) && arg.key.len == 1
                 && arg.value.len == len - 2 && !arg.fault
                 && arg.nested == (len & 1) && !arg.escaped);
        bad += !(sgtm_args_next(&args, &arg) && arg.key.len == 1 && arg.bare);
        bad += sgtm_args_next(&args, &arg);

        /* a key alone */

        memset(text, 'k', len);
        text[len - 1] = (char) (len & 1 ? '#' : '\0');
        in = unit_bytes(text, len);

        sgtm_args_init(&args, &in);

        bad += !(sgtm_args_next(&args, &arg) && arg.bare
                 && arg.key.len == len && arg.nested == (len & 1)
                 && arg.fault == (len & 1 ? 0 : SGTM_REASON_BAD_BYTE));
        bad += sgtm_args_next(&args, &arg);
    }

    unit_ok(bad == 0, "arguments longer than a chunk");
}


int
main(void)
{
    test_places();
    test_walk();
    test_known();
    test_long();

    return unit_done();
}

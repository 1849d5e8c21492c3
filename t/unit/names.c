
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Tables of names: exact ones and prefixes, whatever order they come in.  An
 * operator's "g*" that forgot "gclid" because the table has it already would
 * leave a visitor's click id in the hit.
 */


#include "unit.h"


static const sgtm_rule_t *
find(const sgtm_names_t *names, const char *name)
{
    sgtm_str_t  str;

    str = unit_str(name);

    return sgtm_names_find(names, str.data, str.len,
                           sgtm_names_hash(str.data, str.len));
}


static sgtm_rule_t *
add(sgtm_names_t *names, const char *name)
{
    sgtm_str_t  str;

    str = unit_str(name);

    return sgtm_names_add(names, &str);
}


static int
change(sgtm_names_t *names, const char *name, unsigned deny_on,
    unsigned flags_on, unsigned deny_off, unsigned flags_off)
{
    sgtm_str_t   str;
    sgtm_rule_t  on, off;

    memset(&on, 0, sizeof(sgtm_rule_t));
    memset(&off, 0, sizeof(sgtm_rule_t));

    on.deny = (uint8_t) deny_on;
    on.flags = (uint8_t) flags_on;
    off.deny = (uint8_t) deny_off;
    off.flags = (uint8_t) flags_off;

    str = unit_str(name);

    return sgtm_names_change(names, &str, &on, &off);
}


static void
test_hash(void)
{
    size_t         len, i, n;
    unsigned       bad;
    sgtm_str_t     str;
    unsigned char  text[64], upper[64];

    bad = 0;

    for (len = 0; len < sizeof(text); len++) {

        for (i = 0; i < len; i++) {
            text[i] = (unsigned char) "abcdefghijklmnopqrstuvwxyz._0123"
                                      [i % 32];
            upper[i] = text[i];

            if (text[i] >= 'a') {
                upper[i] = (unsigned char) (text[i] - 'a' + 'A');
            }
        }

        str = unit_bytes(text, len);

        /* what lies behind a name must not count */

        n = (len < 8) ? len : 8;
        bad += (sgtm_names_word(str.data, n, len)
                != sgtm_names_word(text, n, sizeof(text)));
        bad += (sgtm_names_hash(str.data, len) != sgtm_names_hash(upper, len));

        for (i = 0; i < len; i++) {
            str.data[i] ^= 0x01;
            bad += (sgtm_names_hash(str.data, len)
                    == sgtm_names_hash(text, len));
            str.data[i] ^= 0x01;
        }
    }

    unit_ok(bad == 0, "a hash of every length, of either case");
    unit_ok(sgtm_names_hash(NULL, 0) == sgtm_names_hash(text, 0),
            "the hash of nothing");
}


static void
test_exact(void)
{
    unsigned      i, bad;
    char          name[32];
    void         *mem;
    sgtm_rule_t  *rule;
    sgtm_names_t  names;

    mem = unit_alloc(sgtm_names_size(100, 0));
    memset(mem, 0xa5, sgtm_names_size(100, 0));
    sgtm_names_init(&names, mem, 100, 0);

    unit_ok(find(&names, "a") == NULL && find(&names, "") == NULL,
            "an empty table");

    bad = 0;

    for (i = 0; i < 100; i++) {
        sprintf(name, "name%u", i);
        rule = add(&names, name);

        if (rule == NULL) {
            bad++;
            continue;
        }

        bad += (rule->deny || rule->flags || rule->key || rule->set);
        rule->set = (uint8_t) i;
        bad += (add(&names, name) != rule);
    }

    for (i = 0; i < 200; i++) {
        sprintf(name, "name%u", i);

        if (i < 100) {
            bad += (find(&names, name) == NULL || find(&names, name)->set != i);

        } else {
            bad += (find(&names, name) != NULL);
        }
    }

    unit_ok(bad == 0, "as many names as were asked for");

    for (i = 100; i < 1000 && add(&names, "x") != NULL; i++) {
        sprintf(name, "name%u", i);

        if (add(&names, name) == NULL) {
            break;
        }
    }

    unit_ok(i < 1000, "a table that is full says so");
    unit_ok(find(&names, "nothing") == NULL, "and a search in it ends");
    unit_ok(add(&names, "a*") == NULL, "no room for a prefix");

    sgtm_names_init(&names, mem, 10, 0);

    (void) add(&names, "");
    unit_ok(find(&names, "") != NULL && find(&names, "a") == NULL,
            "the empty name");

    (void) add(&names, "Ab");
    unit_ok(find(&names, "Ab") != NULL && find(&names, "ab") == NULL
            && find(&names, "AB") == NULL, "the case counts");

    unit_ok(add(&names, "12345678901234567890123456789012345678901234567890"
                        "12345678901234567890123456789012345678901234567890"
                        "12345678901234567890123456789") == NULL,
            "a name over SGTM_MAX_KEY");
}


static void
test_prefixes(void)
{
    sgtm_names_t  names;

    unit_names(&names, NULL);

    add(&names, "ep.*")->deny = 1;
    add(&names, "ep.user_*")->deny = 2;
    add(&names, "ep.user_x")->deny |= 4;

    unit_ok(find(&names, "ep.a")->deny == 1, "a prefix");
    unit_ok(find(&names, "ep.")->deny == 1, "a prefix alone");
    unit_ok(find(&names, "ep") == NULL, "less than a prefix");
    unit_ok(find(&names, "epn.a") == NULL, "beside a prefix");
    unit_ok(find(&names, "ep.user_a")->deny == 2, "the longest prefix");
    unit_ok(find(&names, "ep.user_x")->deny == 6,
            "an exact name starts as what covers it");
    unit_ok(find(&names, "") == NULL, "nothing has no prefix");

    add(&names, "*")->deny = 8;

    unit_ok(find(&names, "zzz")->deny == 8 && find(&names, "")->deny == 8,
            "a prefix of everything");
    unit_ok(add(&names, "new*")->deny == 8,
            "a prefix starts as what covers it, too");

    unit_names(&names, NULL);

    unit_ok(add(&names, "a*") == add(&names, "a*") && add(&names, "a*") != NULL,
            "a prefix twice");
    unit_ok(add(&names, "a") != add(&names, "a*"), "a name is no prefix");
}


/* a prefix of every length, and what may stand behind it */

static void
test_lengths(void)
{
    char          text[16], prefix[16];
    size_t        len, more;
    unsigned      c, bad;
    sgtm_names_t  names;

    static const char  all[] = "ab.d_fgHij";

    bad = 0;

    for (len = 1; len < sizeof(all); len++) {

        sprintf(prefix, "%.*s*", (int) len, all);

        unit_names(&names, NULL);
        add(&names, prefix)->deny = 1;

        for (more = 0; more < 3; more++) {
            for (c = 0; c < 256; c++) {

                memcpy(text, all, len);
                memset(text + len, (int) c, more);

                bad += (sgtm_names_find_prefix(&names, (unsigned char *) text,
                                               len + more) == NULL);

                text[0] = 'A';
                bad += (sgtm_names_deny_nocase(&names, (unsigned char *) text,
                                               len + more) != 1);
            }
        }

        bad += (sgtm_names_find_prefix(&names, (const unsigned char *) all,
                                       len - 1) != NULL);
    }

    unit_ok(bad == 0, "prefixes of every length");
}


/* a name that has a rule is known, whatever else may be */

static void
test_known(void)
{
    char           text[16];
    size_t         len;
    unsigned       i, a, b, bad;
    sgtm_str_t     str;
    sgtm_names_t   names;

    static const char  *rules[] = {
        "v", "en", "gclid", "measurement_id", "epn.user_data.x", "s*", "_gl*"
    };

    unit_names(&names, NULL);

    for (i = 0; i < unit_nelts(rules); i++) {
        (void) add(&names, rules[i]);
    }

    bad = 0;

    for (i = 0; i < unit_nelts(rules); i++) {
        for (a = 0; a < 256; a++) {

            /* the name, or what a prefix covers, with any byte behind it */

            len = strlen(rules[i]);
            memcpy(text, rules[i], len);

            if (text[len - 1] == '*') {
                text[len - 1] = (char) a;
            }

            for (b = 0; b < 256; b += 5) {
                text[len] = (char) b;
                bad += !sgtm_names_known(&names, (unsigned char *) text, len);
            }
        }
    }

    unit_ok(bad == 0, "names with a rule are known");

    bad = sgtm_names_known(&names, (unsigned char *) "_s=", 2)
          + sgtm_names_known(&names, (unsigned char *) "em=", 2)
          + sgtm_names_known(&names, (unsigned char *) "cid=", 3);

    unit_ok(bad == 0, "others are not");

    str = unit_str("em*");
    sgtm_names_note(&names, &str);

    unit_ok(sgtm_names_known(&names, (unsigned char *) "em=", 2)
            && sgtm_names_known(&names, (unsigned char *) "ema=", 3)
            && find(&names, "em") == NULL, "one that is noted has no rule");

    unit_names(&names, NULL);
    (void) add(&names, "*");
    unit_ok(sgtm_names_known(&names, (unsigned char *) "x=1", 1)
            && sgtm_names_known(&names, (unsigned char *) "=1", 0),
            "a prefix of nothing knows all");
}


static void
test_change(void)
{
    sgtm_names_t  names;

    unit_names(&names, sgtm_default_params);

    (void) change(&names, "g*", 0, SGTM_NAME_REMOVE, 0, 0);

    unit_ok(find(&names, "gclid")->flags == SGTM_NAME_REMOVE
            && find(&names, "gclid")->deny == SGTM_DENY_AD_STORAGE
            && find(&names, "gcs")->key == SGTM_KEY_GCS
            && find(&names, "gcs")->flags == SGTM_NAME_REMOVE
            && find(&names, "gnew")->flags == SGTM_NAME_REMOVE
            && find(&names, "dclid")->flags == 0,
            "a prefix reaches the names that are there");

    (void) change(&names, "gclid", 0, 0, SGTM_DENY_AD_STORAGE, 0);
    unit_ok(find(&names, "gclid")->deny == 0
            && find(&names, "gclaw")->deny == SGTM_DENY_AD_STORAGE,
            "an operator allows a name");

    (void) change(&names, "ep.*", SGTM_DENY_ANY, 0, 0, 0);
    unit_ok(find(&names, "ep.user_data.x")->deny
            == (SGTM_DENY_ANY|SGTM_DENY_AD_USER_DATA)
            && find(&names, "ep.x")->deny == SGTM_DENY_ANY,
            "a prefix reaches longer prefixes");

    (void) change(&names, "*", 0, 0, 0xff, 0xff);
    unit_ok(find(&names, "gclid")->deny == 0
            && find(&names, "dclid")->deny == 0
            && find(&names, "ep.user_data.x")->deny == 0
            && find(&names, "v")->key == SGTM_KEY_V,
            "everything is allowed again");

    unit_names(&names, NULL);
    (void) change(&names, "ep.user_data.mine", 0, SGTM_NAME_REMOVE, 0, 0);
    (void) sgtm_names_add_defaults(&names, sgtm_default_params);
    unit_ok(find(&names, "ep.user_data.mine")->deny == SGTM_DENY_AD_USER_DATA
            && find(&names, "ep.user_data.mine")->flags == SGTM_NAME_REMOVE,
            "the built-in prefixes reach what came before them");

    sgtm_names_init(&names, unit_alloc(sgtm_names_size(4, 0)), 4, 0);
    unit_ok(sgtm_names_add_defaults(&names, sgtm_default_params) == SGTM_ERROR,
            "a table too small for the built-in ones");
}


static void
test_nocase(void)
{
    sgtm_names_t  names;

    unit_names(&names, NULL);

    add(&names, "gclid")->deny = 1;
    add(&names, "GCLID")->deny = 2;
    add(&names, "Foo")->deny = 4;
    add(&names, "Bar.*")->deny = 8;
    add(&names, "Bar.Baz*")->deny = 16;

#define deny(name)                                                            \
    sgtm_names_deny_nocase(&names, (unsigned char *) name, sizeof(name) - 1)

    unit_ok(deny("gclid") == 3 && deny("GCLID") == 3 && deny("GcLiD") == 3,
            "names of either case");
    unit_ok(deny("foo") == 4 && deny("FOO") == 4 && deny("fo") == 0
            && deny("foo1") == 0, "a table's name of either case");
    unit_ok(deny("bar.x") == 8 && deny("BAR.") == 8 && deny("bar") == 0,
            "prefixes of either case");
    unit_ok(deny("bar.bazx") == 16 && deny("BAR.BAZ") == 16,
            "the longest prefix of either case");
    unit_ok(deny("") == 0 && deny("[clid") == 0 && deny("\x07" "clid") == 0,
            "what is no letter has no case");
}


int
main(void)
{
    test_hash();
    test_exact();
    test_prefixes();
    test_lengths();
    test_known();
    test_change();
    test_nocase();

    return unit_done();
}

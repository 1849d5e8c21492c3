#!/bin/sh

# The demo: one nginx in the foreground with a small shop, its gateway and a
# tagging server that records what it gets.  Everything it writes is in one
# temporary directory, which goes when it ends; Ctrl-C ends it.
#
#     demo/run.sh
#
# DEMO_PORT=8080     the port; without it the first free one from 8080 on, with
#                    0 any free one
# SGTM_MODULE=<file> the module; "static": it is in nginx already
# SGTM_NGINX=<file>  the nginx

set -eu

top=$(cd "$(dirname "$0")/.." && pwd)

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH


fail() {
    printf 'demo: %s\n' "$@" >&2
    exit 1
}


nginx=${SGTM_NGINX:-nginx}
module=${SGTM_MODULE:-$top/build/ngx_http_sgtm_module.so}

case $nginx in
    /*) ;;
    */*) nginx=$PWD/$nginx ;;
esac

command -v "$nginx" > /dev/null \
    || fail "$nginx is missing; Debian has it in the package nginx" \
            '("make setup" installs what is needed)'

command -v perl > /dev/null \
    || fail 'perl is missing; Debian has it in the package perl'

[ "$module" = static ] || [ -f "$module" ] \
    || fail "there is no $module: run \"make\" first"

case ${DEMO_PORT-} in
    *[!0-9]* | ??????*) port=65536 ;;
    *) port=${DEMO_PORT:-0} ;;
esac

[ "$port" -le 65535 ] \
    || fail "DEMO_PORT is \"$DEMO_PORT\", but may be a number up to 65535"


# "localhost" may be either of two addresses: both have to be free

port=$(perl -MIO::Socket::IP -e '
    my ($want) = @ARGV;
    my @ports = $want eq "" ? (8080 .. 8179) : ($want);
    my $error;

    PORT:
    for my $port (@ports) {
        for my $host ("127.0.0.1", "::1") {
            my $s = IO::Socket::IP->new(LocalHost => $host, Listen => 1,
                                        LocalPort => $port, ReuseAddr => 1);

            if (!$s) {
                next if $host eq "::1" && !$!{EADDRINUSE};
                $error = $!;
                next PORT;
            }

            $port = $s->sockport;
        }

        print $port;
        exit 0;
    }

    print $error;
    exit 1;
' "${DEMO_PORT-}" 2>&1) \
    || fail "port ${DEMO_PORT:-8080 to 8179}: $port" \
            'DEMO_PORT=<number> chooses another'


dir=
server=
show=

# whatever ends the demo ends everything that it has started

cleanup() {
    trap '' INT TERM HUP

    for pid in $show $server; do
        kill -TERM "$pid" 2> /dev/null || :
        wait "$pid" 2> /dev/null || :
    done

    [ -z "$dir" ] || rm -rf "$dir"
}

trap cleanup EXIT
trap 'exit 0' INT TERM HUP

dir=$(mktemp -d "${TMPDIR:-/tmp}/sgtm-demo.XXXXXX")


# The configuration names everything below this directory, so that no name of
# the machine's has to be written into it.

ln -s "$top/demo/shop" "$top/demo/tagging" "$dir/"
ln -s "$top/conf-examples/sgtm_proxy.conf" "$dir/"

load=
user=

if [ "$module" != static ]; then
    ln -s "$(cd "$(dirname "$module")" && pwd)/$(basename "$module")" \
        "$dir/module.so"
    load='load_module module.so;'
fi

# workers of root's would be nobody, who may not come in here

[ "$(id -u)" -ne 0 ] || user="user $(id -un) $(id -gn);"

sed -e "s/@LOAD@/$load/" -e "s/@USER@/$user/" -e "s/@PORT@/$port/g" \
    "$top/demo/nginx.conf.in" > "$dir/nginx.conf"

cp "$top/demo/shops.json" "$dir/"

cd "$dir"
mkdir tmp


run_nginx() {
    exec "$nginx" -p ./ -c nginx.conf -e error.log "$@"
}

(run_nginx -t -q) > output 2>&1 \
    || fail 'nginx does not take the configuration:' "$(cat output)"

run_nginx > output 2>&1 < /dev/null &
server=$!

for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ ! -s nginx.pid ] || break
    kill -0 "$server" 2> /dev/null || break
    sleep 0.25
done

[ -s nginx.pid ] \
    || fail 'nginx does not start:' "$(cat output; tail -n 5 error.log)"


shop=http://localhost:$port

cat <<END
The demo of ngx_http_sgtm_module runs.  Open

  $shop/                 the shop
  $shop/shops.html       three more, whose settings change live
  $shop/hits             what the tagging server received
  $shop/metrics/check    whether the gateway works, for operators
  $shop/status           the module's counters

and try

  1. Come from an ad, with click ids in the address of the page:
     $shop/?gclid=EAIaIQdemo&utm_source=google&utm_medium=cpc
  2. Choose "Accept all", look around, buy something: hits arrive as sent.
  3. Open "Cookie settings", choose "Reject all", go on: the page shows what
     the gateway takes out of the query, the cookies, Referer and address.
  4. Take the tagging server down, by the page's switch or from a terminal, go
     on, and bring it up again: hits wait on disk and arrive late, dated right.
     curl -X POST $shop/tagging/down
     curl -X POST $shop/tagging/up
  5. Change a shop's settings on the page of the three, or in their file, and
     go on in that shop: they are in force within a second.
     $dir/shops.json
  6. Choose another tier, with a tag of our own in the place of Google's.

Ctrl-C ends it.  Events that reach the tagging server:

END

perl "$top/demo/show.pl" hits.json switch changes shops.json &
show=$!

wait "$server" || :

fail 'nginx has ended:' "$(tail -n 5 error.log)"

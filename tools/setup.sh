#!/bin/sh
# The one install step: what is missing for a tier, and nothing else.
#
#     tools/setup.sh build | run | test | bench | soak [--check]
#
# Packages come from apt, as root or through sudo, and only if dpkg does not
# know them yet, so that where they are there no root is needed.  With --check
# nothing is installed: the missing packages are named and the status is 1.

set -eu

tier=${1:-test}
check=${2:-}
top=$(cd "$(dirname "$0")/.." && pwd)


build="gcc libc6-dev libcjson-dev libhiredis-dev libsqlite3-dev libssl-dev"
build="$build make nginx nginx-dev zlib1g-dev"
run="$build perl"
test="$run ca-certificates chromium clang cppcheck curl libclang-rt-14-dev"
test="$test nghttp2-client openssl redis-server sqlite3"
bench="$run valgrind"
soak="$run openssl"

case $tier in
    build)  packages=$build ;;
    run)    packages=$run ;;
    test)   packages=$test ;;
    bench)  packages=$bench ;;
    soak)   packages=$soak ;;
    *)      echo "usage: $0 build | run | test | bench | soak [--check]" >&2
            exit 2 ;;
esac


# Node from anywhere will do, if it is new enough and brings npm

has_node() {
    command -v npm > /dev/null || return 1
    command -v node > /dev/null || return 1

    [ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ]
}

case $tier in
    test)
        has_node || packages="$packages nodejs npm"
        ;;
esac


missing=

for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) \
        || status=

    [ "$status" = installed ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
    if [ "$check" = --check ]; then
        echo "not installed:$missing" >&2
        exit 1
    fi

    echo "installing:$missing"

    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo > /dev/null; then
            echo "$0: run as root: apt-get install$missing" >&2
            exit 1
        fi
        sudo=sudo
    fi

    $sudo apt-get update -q
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends $missing < /dev/null
fi


# npm's packages, if they are not there or the lock file has changed since

npm_ci() {
    [ -f "$1/package-lock.json" ] || return 0

    stamp="$1/node_modules/.installed"

    cmp -s "$1/package-lock.json" "$stamp" && return 0

    if [ "$check" = --check ]; then
        echo "npm ci has not run in $1" >&2
        exit 1
    fi

    echo "npm ci in $1"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund \
        < /dev/null)
    cp "$1/package-lock.json" "$stamp"
}

case $tier in
    test)
        npm_ci "$top/snippet"
        npm_ci "$top/t"
        ;;
esac

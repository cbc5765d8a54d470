#!/bin/sh
# Runs the k6 scripts against Weir in front of a simulated model server. Exits with 1 when a check or a threshold of
# one of them fails; the others run all the same.
#
#   run.sh           smoke; 50 users for 2 min; streams for 1 min
#   run.sh --short   the same for 3 s each, to see that it runs
#
#   WEIR_URL                 a gateway that runs already, instead of one started here (MODEL, WEIR_KEY: see weir.js)
#   WEIR_BIN, MODELSIM_BIN   programs to use instead of those under target/
#   K6_VENV                  where k6 is installed (default target/k6-venv)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=${K6_VENV:-$root/target/k6-venv}
work=$(mktemp -d)
children=

stop() {
    for child in $children; do
        kill -KILL "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    done
    children=
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    printf 'run.sh: %s\n' "$1" >&2
    exit 1
}

case "$#${1:-}" in
0) ;;
1--short) export DURATION=3s ITERATIONS=3 ;;
*) fail 'usage: run.sh [--short]' ;;
esac

# The release build if there is one, else the debug build, else a new one of that.
program() {
    for built in "$target/release/$1" "$target/debug/$1"; do
        if [ -x "$built" ]; then
            printf '%s\n' "$built"
            return
        fi
    done
    (cd "$root" && cargo build --bin "$1" --package "$2" >&2)
    printf '%s\n' "$target/debug/$1"
}

# start NAME COMMAND…: in the background, until its ready line gives an address; leaves that in $address.
start() {
    name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 &
    child=$!
    children="$children $child"
    tries=0
    address=
    while [ -z "$address" ]; do
        address=$(sed -n "s|^$name ready: \(data \)\{0,1\}http://\([0-9.:]*\).*|\2|p" "$work/$name.log")
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ] || ! kill -0 "$child" 2>/dev/null; then
            cat "$work/$name.log" >&2
            fail "$name did not get ready"
        fi
        [ -n "$address" ] || sleep 0.1
    done
}

if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi

# A caller's own settings for Weir, for k6 or for proxies are not what is tested.
unset WEIR_CONFIG WEIR_UPSTREAM WEIR_UPSTREAM_KEY_ENV WEIR_LISTEN WEIR_ADMIN
unset K6_VUS K6_DURATION K6_ITERATIONS K6_STAGES K6_NO_THRESHOLDS K6_OUT
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export K6_NO_USAGE_REPORT=true

if [ -z "${WEIR_URL:-}" ]; then
    weir=${WEIR_BIN:-$(program weir weir)}
    modelsim=${MODELSIM_BIN:-$(program modelsim loadtest)}
    start modelsim "$modelsim" --listen 127.0.0.1:0 --preset c --replicas 4
    cat >"$work/weir.yaml" <<CONFIG
listen: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
pools:
  live: { endpoints: [{ url: http://$address }] }
routes:
  letter-writer: { targets: [{ pool: live, model: sim, weight: 1 }] }
CONFIG
    start weir "$weir" run --config "$work/weir.yaml"
    export WEIR_URL="http://$address"
    export MODEL=letter-writer
fi

failed=
for script in smoke steady stream; do
    printf '\n%s\n' "$script"
    "$venv/bin/k6" run --quiet --no-color "$here/$script.js" || failed="$failed $script"
done
[ -z "$failed" ] || fail "not as it should be:$failed"
printf '\nok: smoke, steady, stream\n'

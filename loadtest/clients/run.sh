#!/bin/sh
# Runs unmodified SDKs against Weir in front of simulated model servers: once with a config file, once over TLS, once
# as `weir demo`; and what they make of keys, with a config that has some. One `ok` line a script; the first failure
# ends it with 1.
#
#   WEIR_BIN, MODELSIM_BIN   programs to use instead of those under target/
#   CLIENTS_VENV             where the SDKs and Node are installed (default target/clients-venv)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=${CLIENTS_VENV:-$root/target/clients-venv}
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
    # The file is there before it is read, however late the child begins.
    : >"$work/$name.log"
    "$@" >>"$work/$name.log" 2>&1 &
    child=$!
    children="$children $child"
    tries=0
    address=
    while [ -z "$address" ]; do
        address=$(sed -n "s|^$name ready: \(data \)\{0,1\}https\{0,1\}://\([0-9.:]*\).*|\2|p" "$work/$name.log")
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ] || ! kill -0 "$child" 2>/dev/null; then
            cat "$work/$name.log" >&2
            fail "$name did not get ready"
        fi
        [ -n "$address" ] || sleep 0.1
    done
}

# check SCRIPT COMMAND…: one script, with what it needs to know about the Weir at $weir_url.
check() {
    script=$1
    shift
    WEIR_URL=$weir_url "$@" || {
        tail -n 20 "$work/weir.log" >&2
        fail "$script failed against $pass; above, what Weir logged last"
    }
}

# scripts PASS: every script against the Weir at $address.
scripts() {
    pass=$1
    weir_url=http://$address
    for script in openai_sync openai_async anthropic_sync anthropic_async langchain_chat langchain_claude \
        mid_stream_cut ${SIM_URL:+leaving}; do
        check "$script" "$venv/bin/python" "$here/$script.py"
    done
    for script in openai_node http2_node; do
        check "$script" "$venv/bin/node" "$node/$script.mjs"
    done
    check curl_http2 "$here/curl_http2.sh"
    if [ -n "${DEAD_PREFIX:-}" ]; then
        check langserve_remote "$langserve/bin/python" "$here/langserve_remote.py"
    fi
}

# over_tls: the scripts that matter there against the Weir at $address, whose authority they are told by the means that
# users have.
over_tls() {
    pass='weir run, TLS'
    weir_url=https://$address
    for script in openai_sync openai_async anthropic_sync langchain_chat mid_stream_cut; do
        check "$script" env "SSL_CERT_FILE=$work/ca.pem" "$venv/bin/python" "$here/$script.py"
    done
    check openai_node env "NODE_EXTRA_CA_CERTS=$work/ca.pem" "$venv/bin/node" "$node/openai_node.mjs"
    for version in 1.1 2; do
        got=$(curl -q -sS --cacert "$work/ca.pem" "--http$version" --max-time 30 -o /dev/null \
            -w '%{http_version} %{http_code}' "$weir_url/v1/models") || fail "curl ended with $?"
        [ "$got" = "$version 200" ] || fail "curl --http$version: $got"
    done
    printf 'ok curl --cacert: 2 checks\n'
}

# A certificate for 127.0.0.1, and the authority that vouches for it.
certificates() {
    new='openssl req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256'
    $new -x509 -days 2 -subj /CN=authority -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
    $new -subj /CN=weir -keyout "$work/tls.key" -out "$work/tls.csr" 2>/dev/null
    printf 'subjectAltName=IP:127.0.0.1\n' >"$work/names"
    openssl x509 -req -days 2 -in "$work/tls.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial \
        -extfile "$work/names" -out "$work/tls.crt" 2>/dev/null
}

# install VENV REQUIREMENTS: Python packages, unless these very ones are there.
install() {
    cmp -s "$here/$2" "$1/installed.txt" && return
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/$2"
    cp "$here/$2" "$1/installed.txt"
}

# The SDK for Node; npm keeps its cache where it installs, not in the caller's home.
install_node() {
    mkdir -p "$node"
    cp "$here"/*.mjs "$here/package.json" "$node"
    cmp -s "$here/package-lock.json" "$node/installed.json" && return
    cp "$here/package-lock.json" "$node"
    npm_config_cache=$node/cache npm_config_update_notifier=false "$venv/bin/npm" ci --prefix "$node" \
        --loglevel error --ignore-scripts --no-audit --no-fund >/dev/null
    cp "$here/package-lock.json" "$node/installed.json"
}

node=$venv/clients-node
langserve=$venv/langserve-venv
install "$venv" requirements.txt
install "$langserve" requirements-langserve.txt
install_node
weir=${WEIR_BIN:-$(program weir weir)}
modelsim=${MODELSIM_BIN:-$(program modelsim loadtest)}

# A caller's own settings for Weir or for proxies are not what is tested.
unset WEIR_CONFIG WEIR_UPSTREAM WEIR_UPSTREAM_KEY_ENV WEIR_LISTEN WEIR_ADMIN SSL_CERT_FILE SSL_CERT_DIR
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore
export MODEL=letter-writer

start modelsim "$modelsim" --listen 127.0.0.1:0
export SIM_URL="http://$address"
sim=$address
start langserve_upstream "$langserve/bin/python" "$here/langserve_upstream.py"
chain=$address
start openai_upstream "$venv/bin/python" "$here/openai_upstream.py"
# Port 9 (discard) is bound by nobody.
cat >"$work/weir.yaml" <<CONFIG
listen: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
pools:
  live: { endpoints: [{ url: http://$sim }] }
  assembled: { endpoints: [{ url: http://$sim }], non_streaming: stream }
  other: { endpoints: [{ url: http://$address }] }
  dead: { endpoints: [{ url: http://127.0.0.1:9 }] }
  chain: { endpoints: [{ url: http://$chain }] }
routes:
  letter-writer: { targets: [{ pool: live, model: sim, weight: 1 }] }
  other-letters: { targets: [{ pool: other, model: sim, weight: 1 }] }
  assembled-letters: { targets: [{ pool: assembled, model: sim, weight: 1 }] }
  nobody-home: { targets: [{ pool: dead, weight: 1 }] }
passthrough:
  - { prefix: /chain, pool: chain, timeout: 5s }
  - { prefix: /nowhere, pool: dead, timeout: 5s }
CONFIG
printf 'weir run --config\n'
start weir "$weir" run --config "$work/weir.yaml"
export ASSEMBLED_MODEL=assembled-letters DEAD_MODEL=nobody-home OTHER_MODEL=other-letters DEAD_PREFIX=/nowhere
scripts 'weir run'

printf 'weir run, TLS\n'
certificates
sed "s|^listen: .*|listen: [{ address: 127.0.0.1:0, tls: { certificate: $work/tls.crt, key: { file: $work/tls.key } } }]|" \
    "$work/weir.yaml" >"$work/tls.yaml"
start weir "$weir" run --config "$work/tls.yaml"
over_tls
stop

# made KEY FIELD: a field of what `weir key new` printed.
made() {
    printf '%s' "$1" | sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p"
}

printf 'weir run with keys\n'
start modelsim "$modelsim" --listen 127.0.0.1:0
good=$("$weir" key new --json)
expired=$("$weir" key new --json)
cat >"$work/weir.yaml" <<CONFIG
admin: { address: 127.0.0.1:0 }
listen: [{ address: 127.0.0.1:0 }]
pools: { live: { endpoints: [{ url: http://$address }] } }
routes:
  letter-writer: { targets: [{ pool: live, model: sim }] }
  novelist: { targets: [{ pool: live, model: sim }] }
segments:
  gold:
    keys:
      - { id: client, sha256: "$(made "$good" sha256)", routes: [letter-writer] }
      - { id: client, sha256: "$(made "$expired" sha256)", expires: 2020-01-01T00:00:00Z }
CONFIG
start weir "$weir" run --config "$work/weir.yaml"
pass='weir run with keys'
weir_url=http://$address
KEY=$(made "$good" key) EXPIRED_KEY=$(made "$expired" key) FORBIDDEN_MODEL=novelist \
    check keys "$venv/bin/python" "$here/keys.py"
if grep -q -e "$(made "$good" key)" -e "$(made "$expired" key)" "$work/weir.log"; then
    fail 'a key is in the log'
fi
stop

printf 'weir demo\n'
start weir "$weir" demo --listen 127.0.0.1:0 --admin 127.0.0.1:0
unset ASSEMBLED_MODEL DEAD_MODEL OTHER_MODEL DEAD_PREFIX SIM_URL
scripts 'weir demo'
printf 'ok: all scripts, all ways\n'

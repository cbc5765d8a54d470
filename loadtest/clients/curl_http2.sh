#!/bin/sh
# curl speaking HTTP/2 in clear text, without asking first (prior knowledge): answers, streams, errors, large bodies.
# The environment says where to go, as support.py tells. One connection a request: curl 7.88, which is Debian 12's,
# cannot use such a connection twice (curl's issue 10634), so many on one are for http2_node.mjs.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checks=0
head='{"model":"'$MODEL'","max_tokens":24,"messages":[{"role":"user","content":"Write to Zoë."}]'
whole="$head}"
stream="$head,\"stream\":true}"

fail() {
    printf '%s\nFAILED curl_http2: %s\n' "$(head -c 2000 "$work/body")" "$1" >&2
    exit 1
}

# h2 PATH OPTION…: posts; the body is in $work/body, "VERSION STATUS" in $got.
h2() {
    path=$1
    shift
    : >"$work/body"
    got=$(curl -q --http2-prior-knowledge -sS --max-time 30 -o "$work/body" -w '%{http_version} %{http_code}' \
        -H 'content-type: application/json' "$@" "$WEIR_URL$path") || fail "$path: curl ended with $?"
}

# due WHAT "VERSION STATUS" PATTERN…: what the last answer must be and hold.
due() {
    what=$1
    [ "$got" = "$2" ] || fail "$what: $got where $2 is due"
    shift 2
    for pattern; do
        grep -q -- "$pattern" "$work/body" || fail "$what: no $pattern"
    done
    checks=$((checks + 1))
}

chat=/v1/chat/completions

h2 $chat -d "$whole"
due 'a whole answer' '2 200' '"content":".' '"finish_reason":"length"'
h2 $chat -N -d "$stream"
due 'a stream' '2 200' '"finish_reason":"length"' '^data: \[DONE\]'
[ "$(grep -c '"delta":' "$work/body")" -gt 20 ] || fail 'a stream: events are missing'
h2 /v1/messages -N -H 'anthropic-version: 2023-06-01' -d "$stream"
due "Anthropic's stream" '2 200' '^event: message_start' '^event: message_stop'
h2 /v1/models -G
due 'models' '2 200' "\"$MODEL\""

h2 $chat -d '{"model":"no-such-model","messages":[]}'
due 'an unknown model' '2 404' '"code":"model_not_found"'
h2 $chat -d '{"model":'
due 'bad JSON' '2 400' '"code":"invalid_json"'
h2 $chat -d "$whole" -H 'x-sim-fault: refuse'
due 'no upstream' '2 502' '"type":"upstream_error"'
h2 $chat -d "$whole" -H 'x-sim-fault: status=429;retry-after=2'
due 'an upstream that is busy' '2 429' '"type":"rate_limit_error"'

# A stream that the upstream breaks off ends with an error event and in good order; a whole answer is reset.
h2 $chat -N -d "$stream" -H 'x-sim-fault: cut=5'
due 'a stream that is broken off' '2 200' '"delta":' '"type":"upstream_error"'
if curl -q --http2-prior-knowledge -sS --max-time 30 -o "$work/body" -H 'content-type: application/json' \
    -H 'x-sim-fault: cut=5' -d "$whole" "$WEIR_URL$chat" 2>/dev/null; then
    fail 'a whole answer that is broken off: curl took it for whole'
fi
checks=$((checks + 1))

# More than a flow-control window, and more than Weir takes: 1 MiB and 33 MiB.
large() {
    { printf '%s,"metadata":{"text":"' "$head" && head -c "$1" /dev/zero | tr '\0' x && printf '"}}'; } >"$work/large"
}
large 1048576
h2 $chat --data-binary "@$work/large"
due 'a large body' '2 200' '"finish_reason":"length"'
large 34603008
# Its caller still sends when the answer comes: a reset would make curl 7.88 lose that.
h2 $chat --data-binary "@$work/large"
due 'a body that is too large' '2 413' '"type":"invalid_request_error"'

# A caller that asks for the change in a header instead is answered in the version that it spoke.
h2 $chat --http2 -d "$whole"
due 'an offer to change to HTTP/2' '1.1 200' '"content":".'

printf 'ok curl_http2: %s checks\n' "$checks"

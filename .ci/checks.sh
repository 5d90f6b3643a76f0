# shellcheck shell=bash
#
# What the scripts with real parts share: a clean environment, checks that are counted, what hosts say, and signers. To be sourced
# by bash, before anything else is done; it sources servers.sh.
#
#   source .ci/checks.sh
#   required cosign2 "$BIN"
#   servers_begin && work=$SERVERS_DIR/work && mkdir "$work"
#   attempt "cosign 2 accepts it" COMMAND...
#   finish
#
# It sets project; BIN, the program (default: the static release build); and real_luet (LUET, or the one on PATH, or empty).
# `attempt` calls new_machine, which is the script's own; the signers look for keys in $keys.
# shellcheck disable=SC2034,SC2154 # the scripts use what is set here, and set the rest

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
BIN=$(realpath -m -- "${BIN:-$project/target/x86_64-unknown-linux-musl/release/luet-cosign}")
real_luet=${LUET:-$(type -P luet || true)}

for variable in "${!COSIGN_@}" "${!LUET_COSIGN_@}" LUET_PLUGIN DOCKER_CONFIG DOCKER_HOST REGISTRY_AUTH_FILE \
    http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY; do
    [ "$variable" = LUET_COSIGN_TOOLS ] || unset "$variable"
done
umask 022

# shellcheck source=servers.sh
source "$project/.ci/servers.sh" || exit 1

# --- checks that are counted -----------------------------------------------------------------------------------------

passed=0
failed=0

# attempt NAME COMMAND...: one check, in a shell of its own, on a machine that never saw any of these images. Leaves its exit code
# in $status. Not to be called behind `if`, `&&` or `||`: there bash ignores `set -e`, and only the last command would count.
attempt() {
    local name=$1 began=$EPOCHREALTIME
    shift
    machine=$(mktemp -d "$work/machine.XXXXXX")
    (
        set -eE
        trap 'echo "--- line $LINENO: $BASH_COMMAND"' ERR
        new_machine
        "$@"
    ) >"$work/evidence" 2>&1 </dev/null
    status=$?
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        echo "ok $name ($(since "$began"))"
        [ ! -e "$machine/note" ] || sed 's/^/    /' "$machine/note"
    else
        failed=$((failed + 1))
        echo "FAILED $name (exit $status)"
        tail -n 60 "$work/evidence" | cut -c -1500 | sed 's/^/    /'
    fi
    remove "$machine"
}

since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'; }

# remove DIR: a host that was stopped leaves plugins behind that still write for a moment.
remove() {
    local try
    for try in {1..50}; do
        if rm -rf "$1" 2>/dev/null; then return; fi
        sleep 0.1
    done
    rm -rf "$1"
}

fail() {
    echo "--- $*"
    return 1
}

# finish: the last line, which .ci/run reads.
finish() {
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

# stop WHY: ends a script that cannot begin.
stop() {
    echo "FAILED $1"
    failed=$((failed + 1))
    finish
    exit 1
}

# required NAME...: programs without which nothing here means anything.
required() {
    local program missing=
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=" $program"
    done
    [ -z "$missing" ] || stop "missing:$missing; run .ci/tools.sh"
}

# prepared COMMAND...: shows what it says only where it fails, and ends the script then.
prepared() {
    if ! "$@" >"$work/prepared" 2>&1; then
        cat "$work/prepared"
        stop "to prepare"
    fi
}

# --- hosts: $host is `luet` or `luet-host`, $code and $machine/output are what it left -----------------------------------

host_program() { if [ "$host" = luet ]; then echo "$real_luet"; else type -P luet-host; fi; }

exited() { [ "$code" = "$1" ] || fail "exit code $code, expected $1"; }
said() { grep -qE -- "$1" "$machine/output" || fail "the host's output does not say: $1"; }
said_nothing() { ! grep -E 'state reported|had an error|WARN|ERROR|warning' "$machine/output" || fail "it should have been silent"; }

# --- signatures ------------------------------------------------------------------------------------------------------

# signature_tag IMAGE: where the legacy signature of what IMAGE is now lies.
signature_tag() {
    local digest
    digest=$(crane digest "$1") || return
    echo "${1%:*}:${digest/:/-}.sig"
}

# sign_MAKER KEY IMAGE...
sign_ours() { "$BIN" sign --key "$keys/$1.key" "${@:2}"; }

sign_cosign2() { cosign2 sign --key "$keys/$1.key" --tlog-upload=false --allow-http-registry -y "${@:2}"; }

sign_cosign3() {
    cosign3 sign --key "$keys/$1.key" --use-signing-config=false --new-bundle-format=false --tlog-upload=false \
        --allow-http-registry -y "${@:2}"
}

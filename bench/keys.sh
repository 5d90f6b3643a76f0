#!/usr/bin/env bash
#
# What keys cost, beside cosign 3 and openssl, in one run on one machine:
#
#   bench/keys.sh    .ci/tools.sh must have run; exit 1 when a bar is missed
#
#   BIN=PATH   the program (default: the static release build)
#   RUNS=15    runs of each program
#
# open      `public-key` of an encrypted key: scrypt, and little else
# verify    `verify-blob` with a key of each type, beside cosign (which starts for longer) and `openssl dgst -verify`
# sign      `sign-blob` with a key of each type
#
# Times are medians of interleaved runs. Ratios are held, not times.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=report.sh
source "$here/report.sh"

RUNS=${RUNS:-15}

row() { printf '%-52s %12s %12s %10s %9s  %s\n' "$@"; }

# compared NAME LIMIT: of what was measured last, both programs did it, and how long they took.
compared() {
    bar_true "$1: both do it" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0" ]
    compare milliseconds "$1" "${times[0]}" "${times[1]}" "$2"
}

make_key() {
    case $1 in
        p-*) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:P-${1#p-}" -out "$work/$1.pem" ;;
        ed25519) openssl genpkey -algorithm ED25519 -out "$work/$1.pem" ;;
        rsa-*) openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:${1#rsa-}" -out "$work/$1.pem" ;;
    esac
    "$BIN" import-key-pair --key "$work/$1.pem" --output-key-prefix "$work/$1"
}

# The digest that the scheme of a key is over, for openssl.
digest_of() {
    case $1 in
        p-384) echo -sha384 ;;
        *) echo -sha256 ;;
    esac
}

measure_open() {
    local kind
    for kind in p-256 rsa-4096; do
        side_by_side "$RUNS" "$BIN" public-key --key "$work/$kind.key" -- cosign3 public-key --key "$work/$kind.key"
        compared "open a key, $kind / cosign 3" 0.8
    done
}

measure_kind() {
    local kind=$1 verify=()
    "$BIN" sign-blob --key "$work/$kind.key" --output-signature "$work/$kind.sig" "$work/file"
    base64 -d <"$work/$kind.sig" >"$work/$kind.raw"
    verify=(openssl dgst "$(digest_of "$kind")" -verify "$work/$kind.pub" -signature "$work/$kind.raw" "$work/file")
    [ "$kind" != ed25519 ] || verify=(openssl pkeyutl -verify -pubin -inkey "$work/$kind.pub" -rawin -in "$work/file" -sigfile "$work/$kind.raw")
    side_by_side "$((RUNS * 4))" "$BIN" verify-blob --key "$work/$kind.pub" --signature "$work/$kind.sig" "$work/file" -- "${verify[@]}"
    compared "verify-blob, $kind / openssl" 1
    side_by_side "$RUNS" "$BIN" sign-blob --key "$work/$kind.key" "$work/file" -- \
        cosign3 sign-blob --key "$work/$kind.key" --signing-config "$work/signing.json" --bundle "$work/bundle" -y "$work/file"
    if [ "${codes[*]}" = "0 0" ]; then
        compared "sign-blob, $kind / cosign 3" 0.8
    else
        # cosign 3 does not sign files with every type of key.
        bar_true "sign-blob, $kind: done, by cosign 3 not" "exit ${codes[0]}, ${codes[1]}" [ "${codes[0]}" = 0 ]
    fi
}

main() {
    local kind
    need cosign3 openssl cc
    make_side_by_side
    head -c 1024 /dev/urandom >"$work/file"
    cosign3 signing-config create >"$work/signing.json"
    for kind in p-256 p-384 p-521 ed25519 rsa-2048 rsa-4096; do make_key "$kind" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; done
    row "bar" ours theirs measured limit ""
    measured measure_open
    for kind in p-256 p-384 p-521 ed25519 rsa-2048 rsa-4096; do measured measure_kind "$kind"; done
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

in_services -- "$0"
export COSIGN_PASSWORD=pw
main

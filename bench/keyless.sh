#!/usr/bin/env bash
#
# The bars of keyless signatures, each measured beside its peer, in one run on one machine:
#
#   bench/keyless.sh         .ci/tools.sh and .ci/tools.sh sigstore must have run, as root; exit 1 when a bar is missed
#
#   BIN=PATH     the program (default: the static release build)
#   VERIFIES=40  runs of the programs that verify
#   BLOB_MIB=1024, BLOBS=5  the large file, and how often it is verified
#   FILES=200    small files that are verified by one command
#
# The signatures are made first, with a Sigstore of the real programs in a network namespace (crates/e2e/src/sigstore). Times are
# medians of interleaved runs, memory is the largest resident set. Ratios are held, not times.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=report.sh
source "$here/report.sh"

VERIFIES=${VERIFIES:-40}
BLOB_MIB=${BLOB_MIB:-1024}
BLOBS=${BLOBS:-5}
FILES=${FILES:-200}
signer=dev@example.com

row() { printf '%-64s %14s %14s %12s %12s  %s\n' "$@"; }

# --- images ----------------------------------------------------------------------------------------------------------

# measure_verify NAME IMAGE
measure_verify() {
    local root=(--trusted-root "$SERVICES_TRUST/trusted_root.json")
    side_by_side "$VERIFIES" "$BIN" verify "${expected[@]}" "${root[@]}" "$2" -- \
        cosign3 verify "${expected[@]}" "${root[@]}" --allow-http-registry "$2"
    bar_true "keyless verify, $1: both accept" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0" ]
    bar "keyless verify, $1 / cosign 3, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 0.25
    bar "keyless verify, $1 / cosign 3, memory" "$(mebibytes "${peaks[0]}")" "$(mebibytes "${peaks[1]}")" \
        "$(ratio "${peaks[0]}" "${peaks[1]}")" 0.2
}

# --- a large file ----------------------------------------------------------------------------------------------------

# Both read the file from the page cache. Ours hashes on one core, as sha256sum does.
measure_blob() {
    local root=(--trusted-root "$SERVICES_TRUST/trusted_root.json")
    cat "$work/blob" >/dev/null
    side_by_side "$BLOBS" "$BIN" verify-blob "${expected[@]}" "${root[@]}" --bundle "$work/blob.bundle" "$work/blob" -- \
        sha256sum "$work/blob" -- "$BIN" verify-blob "${expected[@]}" "${root[@]}" --bundle "$work/small.bundle" "$work/small"
    bar_true "verify-blob, $BLOB_MIB MiB: accepted" "exit ${codes[0]}" [ "${codes[*]}" = "0 0 0" ]
    bar "verify-blob, $BLOB_MIB MiB / sha256sum, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 1.1
    bar "verify-blob, $BLOB_MIB MiB / the same of 1 KiB, memory" "$(mebibytes "${peaks[0]}")" "$(mebibytes "${peaks[2]}")" \
        "$(ratio "${peaks[0]}" "${peaks[2]}")" 1.1
}

# --- many files ------------------------------------------------------------------------------------------------------

# cosign verifies one file a command.
measure_files() {
    local number many=() root=(--trusted-root "$SERVICES_TRUST/trusted_root.json")
    mkdir -p "$work/many"
    for number in $(seq "$FILES"); do
        many+=("$work/many/$number")
        cp "$work/small" "$work/many/$number"
        cp "$work/small.bundle" "$work/many/$number.bundle"
    done
    # shellcheck disable=SC2016 # for the inner shell
    side_by_side 1 "$BIN" verify-blob "${expected[@]}" "${root[@]}" --bundle-suffix .bundle "${many[@]}" -- \
        sh -c 'for file; do cosign3 verify-blob --certificate-identity "$SIGNER" --certificate-oidc-issuer "$ISSUER" --trusted-root "$ROOT" \
            --bundle "$file.bundle" "$file" || exit; done' sh "${many[@]}"
    bar_true "verify-blob, $FILES files with bundles: all accepted" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0" ]
    compare milliseconds "verify-blob, $FILES files in one command / cosign 3 for each, time" "${times[0]}" "${times[1]}" 0.05
}

# --- trust -----------------------------------------------------------------------------------------------------------

tuf_requests() { grep -c '"GET ' "$TUF_LOG" || true; }

# A machine whose trust came by TUF, and was kept, beside one that was given a file.
measure_cache() {
    local before with=(env "TUF_MIRROR=$TUF_URL" "TUF_ROOT_JSON=$SERVICES_TRUST/tuf/1.root.json" "$BIN" verify "${expected[@]}")
    # Nothing is kept yet, the second time as little as the first.
    local XDG_CACHE_HOME LUET_COSIGN_STATE
    LUET_COSIGN_STATE=$(mktemp -d "$work/state.XXXXXX")
    XDG_CACHE_HOME=$(mktemp -d "$work/cache.XXXXXX")
    export XDG_CACHE_HOME LUET_COSIGN_STATE
    before=$(tuf_requests)
    "${with[@]}" "$1" >/dev/null 2>&1 || true
    bar_true "trust by TUF: the first verify asks" "$(($(tuf_requests) - before))" [ "$(tuf_requests)" -gt "$before" ]
    before=$(tuf_requests)
    side_by_side "$VERIFIES" "${with[@]}" "$1" -- env "TUF_MIRROR=$TUF_URL" "TUF_ROOT_JSON=$SERVICES_TRUST/tuf/1.root.json" \
        "$BIN" verify "${expected[@]}" --trusted-root "$SERVICES_TRUST/trusted_root.json" "$1"
    bar_true "trust by TUF, kept: both accept" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0" ]
    bar_true "trust by TUF, kept: no requests" "$(($(tuf_requests) - before))" [ "$(tuf_requests)" = "$before" ]
    bar "trust by TUF, kept - a file: milliseconds" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(awk -v a="${times[0]}" -v b="${times[1]}" 'BEGIN { printf "%.2f", (a - b) / 1000 }')" 1
}

# With the root that is built in, no home and no network: what the public Sigstore signed is verified.
measure_built_in() {
    local beacon=https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon
    mkdir "$work/empty"
    HOME=$work/empty XDG_CACHE_HOME=$work/empty/cache LUET_COSIGN_STATE=$work/empty/state side_by_side "$VERIFIES" \
        "$BIN" verify-blob --bundle "$here/public-good/bundle.sigstore.json" \
        --certificate-identity "$beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main" \
        --certificate-oidc-issuer https://token.actions.githubusercontent.com "$here/public-good/a.txt"
    bar_true "the public root, built in, offline, empty home: accepted" "exit ${codes[0]}" [ "${codes[0]}" = 0 ]
}

# --- all of it -------------------------------------------------------------------------------------------------------

token() { curl -fs -m 5 "$ISSUER_URL/token?$1"; }

# sign_blob FILE
sign_blob() {
    cosign3 sign-blob -y --trusted-root "$SERVICES_TRUST/trusted_root.json" --signing-config "$SERVICES_TRUST/rekor2-tsa.json" \
        --identity-token "$(token "email=$signer")" --bundle "$1.bundle" "$1"
}

prepare() {
    local address common=(-y --allow-http-registry --trusted-root "$SERVICES_TRUST/trusted_root.json")
    make_side_by_side
    plain=$DOCKER_REGISTRY referrers=$OLAREG
    mkdir "$work/content"
    echo content >"$work/content/file"
    tar -C "$work/content" -cf "$work/layer.tar" file
    for address in "$plain" "$referrers"; do
        crane append --oci-empty-base -f "$work/layer.tar" -t "$address/legacy/image:1"
        crane append --oci-empty-base -f "$work/layer.tar" -t "$address/bundle/image:1"
        cosign2 sign "${common[@]}" --fulcio-url "$FULCIO_URL" --rekor-url "$REKOR1_URL" \
            --identity-token "$(token "email=$signer")" "$address/legacy/image:1"
        cosign3 sign "${common[@]}" --signing-config "$SERVICES_TRUST/rekor2-tsa.json" \
            --identity-token "$(token "email=$signer")" "$address/bundle/image:1"
    done
    head -c 1024 /dev/urandom >"$work/small"
    head -c "${BLOB_MIB}M" /dev/urandom >"$work/blob"
    sign_blob "$work/small"
    sign_blob "$work/blob"
}

main() {
    expected=(--certificate-identity "$signer" --certificate-oidc-issuer "$ISSUER_URL")
    need cosign2 cosign3 crane docker-registry olareg cc
    # Behind `||`, bash would go on after what fails in a function.
    exec 3>&1
    set -E
    trap 'cat "$work/prepared" >&3' ERR
    prepare >"$work/prepared" 2>&1
    trap - ERR
    row "bar" ours theirs measured limit ""
    measured measure_verify "legacy, docker-registry" "$plain/legacy/image:1"
    measured measure_verify "legacy, olareg" "$referrers/legacy/image:1"
    measured measure_verify "bundle, docker-registry" "$plain/bundle/image:1"
    measured measure_verify "bundle, olareg" "$referrers/bundle/image:1"
    measured measure_blob
    SIGNER=$signer ISSUER=$ISSUER_URL ROOT=$SERVICES_TRUST/trusted_root.json measured measure_files
    measured measure_cache "$plain/legacy/image:1"
    measure_built_in
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

in_services docker-registry olareg sigstore -- "$0"
main

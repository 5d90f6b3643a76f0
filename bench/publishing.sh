#!/usr/bin/env bash
#
# The bars of publishing, each measured beside its peer, in one run on one machine:
#
#   bench/publishing.sh      .ci/tools.sh and .ci/tools.sh sigstore must have run, as root; exit 1 when a bar is missed
#
#   BIN=PATH        the program (default: the static release build)
#   SIGNATURES=10   keyless signatures by each program
#   PACKAGES=40     packages of a repository; with them come as many descriptions and 8 more images
#   BLOB_MIB=1024, BLOBS=5   the large file, and how often it is signed
#
# All of Sigstore runs here (crates/e2e/src/sigstore), behind proxies that write down how long each request took: what the services
# need is nobody's merit, so it is taken off the time of one signature. Signing 500 images over a network:
# bench/repositories.sh.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=report.sh
source "$here/report.sh"

SIGNATURES=${SIGNATURES:-10}
PACKAGES=${PACKAGES:-40}
BLOB_MIB=${BLOB_MIB:-1024}
BLOBS=${BLOBS:-5}
job='repo=acme/packages&workflow=publish.yml&left=3000'

row() { printf '%-58s %12s %12s %10s %10s  %s\n' "$@"; }

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
now() { python3 -c 'import time; print("%.6f" % time.monotonic())'; }

# measure COMMAND...: sets seconds and peak (KiB); ends everything where the command fails.
measure() {
    local code
    read -r seconds peak _ code < <(python3 "$here/measured.py" "$@")
    [ "$code" = 0 ] || { echo "exit $code: $*"; exit 1; }
}

# asked BEGAN ENDED: seconds in which at least one request to a service was under way.
asked() {
    awk -v began="$1" -v ended="$2" 'FNR > 1 && $1 >= began && $2 <= ended { print $1, $2 }' \
        "$work"/{fulcio,tsa,rekor}-proxy.log | sort -n | awk '
            NR == 1 || $1 > end { total += end - start; start = $1; end = $2 }
            $2 > end { end = $2 }
            END { printf "%.6f", total + end - start }'
}

# posted NAME: how often a service was asked to make something.
posted() { grep -c ' POST ' "$work/$1-proxy.log" || true; }

# image NAME: an image of its own.
image() {
    echo "$1" >"$work/content/file"
    tar -C "$work/content" -cf "$work/layer.tar" file
    crane append --oci-empty-base -f "$work/layer.tar" -t "$registry/$1" >/dev/null 2>&1
}

# --- one signature ---------------------------------------------------------------------------------------------------

# sign_once NAME COMMAND...: adds to $work/NAME what a signature took outside of the services, and in all its peak.
sign_once() {
    local name=$1 began ended
    shift
    began=$(now)
    measure "$@"
    ended=$(now)
    awk -v all="$seconds" -v asked="$(asked "$began" "$ended")" 'BEGIN { print all - asked }' >>"$work/$name.times"
    echo "$peak" >>"$work/$name.peaks"
}

one_signature() {
    local number ours theirs with=(-y --signing-config "$work/signing.json" --trusted-root "$SERVICES_TRUST/trusted_root.json")
    for number in $(seq "$SIGNATURES"); do
        image "one/a:$number"
        image "one/b:$number"
        sign_once ours "$BIN" sign "${with[@]}" --identity-token "$(job_token)" "$registry/one/a:$number"
        sign_once theirs cosign3 sign "${with[@]}" --allow-http-registry --identity-token "$(job_token)" "$registry/one/b:$number"
    done
    ours=$(median <"$work/ours.times") theirs=$(median <"$work/theirs.times")
    bar 'one signature / cosign 3, time outside of the services' "$ours s" "$theirs s" "$(ratio "$ours" "$theirs")" 0.8
    ours=$(sort -n "$work/ours.peaks" | tail -n 1) theirs=$(sort -n "$work/theirs.peaks" | tail -n 1)
    bar 'one signature / cosign 3, memory' "$(mebibytes "$ours")" "$(mebibytes "$theirs")" "$(ratio "$ours" "$theirs")" 0.25
}

# --- a repository ----------------------------------------------------------------------------------------------------

job_token() { curl -fs -m 5 "$WORKLOAD_ISSUER_URL/token?$job"; }

# publish NAME OPTION...: create-repo, as it is timed.
publish() {
    measure luet-host create-repo --type docker --push-images --backend none --packages "$work/packages" \
        --output "$registry/$1" --name "$1" "${@:2}"
}

a_repository() {
    local number plain loop images=$((PACKAGES * 2 + 8)) tags tag began
    for number in $(seq "$PACKAGES"); do
        mkdir -p "$work/package/usr/bin"
        echo "$number" >"$work/package/usr/bin/p$number"
        luet-host pack "test/p$number@1.0" "$work/package" --packages "$work/packages"
        rm -rf "$work/package"
    done
    # The peer: the same without the plugin, and cosign 2 for each image.
    publish theirs
    plain=$seconds
    mapfile -t tags < <(crane ls "$registry/theirs" | grep -v '^sha256-')
    [ "${#tags[@]}" = "$images" ] || { echo "${#tags[@]} images, expected $images"; exit 1; }
    began=$(now)
    for tag in "${tags[@]}"; do
        cosign2 sign -y --allow-http-registry --trusted-root "$SERVICES_TRUST/trusted_root.json" --fulcio-url "$fulcio" \
            --rekor-url "$rekor" --identity-token "$(job_token)" "$registry/theirs:$tag" >/dev/null 2>&1
    done
    loop=$(awk -v plain="$plain" -v began="$began" -v ended="$(now)" 'BEGIN { printf "%.3f", plain + ended - began }')

    export PATH=$work/plugin:$PATH COSIGN_EXPERIMENTAL=1 COSIGN_FULCIO_URL=$fulcio COSIGN_REKOR_URL=$rekor
    export LUET_COSIGN_ENGINE=registry COSIGN_TRUSTED_ROOT=$SERVICES_TRUST/trusted_root.json
    local certificates entries
    entries=$(posted rekor)
    SIGSTORE_ID_TOKEN=$(job_token) publish each --plugin luet-cosign
    bar "create-repo, $images images: log entries - $images" "" "" "$(($(posted rekor) - entries - images))" 0
    bar "create-repo / a loop of cosign 2, time" "$seconds s" "$loop s" "$(ratio "$seconds" "$loop")" 0.5
    certificates=$(posted fulcio)
    SIGSTORE_ID_TOKEN=$(job_token) LUET_COSIGN_RUN_CERTIFICATE=1 publish run --plugin luet-cosign
    bar "create-repo, one certificate: certificates" "" "" "$(($(posted fulcio) - certificates))" 1
    bar "create-repo, one certificate / a loop of cosign 2, time" "$seconds s" "$loop s" "$(ratio "$seconds" "$loop")" 0.33
    publish later
    certificates=$(posted fulcio) entries=$(posted rekor)
    measure env "SIGSTORE_ID_TOKEN=$(job_token)" "$BIN" sign-repo -y --trust-registry "$registry/later"
    bar "sign-repo, $images images: certificates" "" "" "$(($(posted fulcio) - certificates))" 1
    bar "sign-repo, $images images: log entries - $images" "" "" "$(($(posted rekor) - entries - images))" 0
    row "sign-repo, $images images" "$seconds s" "" "$(mebibytes "$peak")" "" ""
}

# --- a large file ----------------------------------------------------------------------------------------------------

a_file() {
    local number key ours small peer type
    head -c "${BLOB_MIB}M" /dev/urandom >"$work/blob"
    echo small >"$work/small"
    (cd "$work" && COSIGN_PASSWORD='' "$BIN" generate-key-pair --output-key-prefix p256 2>/dev/null)
    openssl genpkey -algorithm ed25519 -out "$work/ed25519.pem" 2>/dev/null
    (cd "$work" && COSIGN_PASSWORD='' "$BIN" import-key-pair --key ed25519.pem --output-key-prefix ed25519 2>/dev/null)
    export COSIGN_PASSWORD=''
    # An Ed25519 signature hashes the file twice, by SHA-512, and the second hash begins with the result of the first.
    for type in p256:sha256sum ed25519:sha512sum; do
        key=${type%:*} peer=${type#*:}
        : >"$work/ours.times"
        : >"$work/peer.times"
        for number in $(seq "$BLOBS"); do
            measure "$BIN" sign-blob --key "$work/$key.key" -y --output-signature "$work/blob.sig" "$work/blob"
            echo "$seconds" >>"$work/ours.times"
            ours=$peak
            if [ "$key" = p256 ]; then measure "$peer" "$work/blob"; else measure "$peer" "$work/blob" "$work/blob"; fi
            echo "$seconds" >>"$work/peer.times"
        done
        measure "$BIN" sign-blob --key "$work/$key.key" -y --output-signature "$work/small.sig" "$work/small"
        small=$peak
        [ "$key" = p256 ] || peer="$peer, twice"
        bar "sign-blob, $key, $BLOB_MIB MiB / $peer, time" "$(median <"$work/ours.times") s" "$(median <"$work/peer.times") s" \
            "$(ratio "$(median <"$work/ours.times")" "$(median <"$work/peer.times")")" 1.1
        bar "sign-blob, $key / the same of a small file, memory" "$(mebibytes "$ours")" "$(mebibytes "$small")" \
            "$(ratio "$ours" "$small")" 1.1
    done
}

main() {
    need cosign2 cosign3 crane docker-registry luet-host
    mkdir "$work/content" "$work/packages" "$work/plugin"
    memory=$(mktemp -d /dev/shm/luet-cosign-bench.XXXXXX)
    # shellcheck disable=SC2064 # the folder is known now
    trap "rm -rf '$memory'" EXIT
    export LUET_COSIGN_STATE=$memory/state LUET_COSIGN_POLICY=
    cp "$BIN" "$work/plugin/luet-cosign"
    registry=$DOCKER_REGISTRY
    serve fulcio-proxy python3 "$here/timed_proxy.py" "${FULCIO_URL#http://}" && fulcio=http://$address
    serve rekor-proxy python3 "$here/timed_proxy.py" "${REKOR1_URL#http://}" && rekor=http://$address
    serve tsa-proxy python3 "$here/timed_proxy.py" "${TSA_URL#http://}" && tsa=http://$address
    sed -e "s|$FULCIO_URL|$fulcio|; s|$REKOR1_URL|$rekor|; s|$TSA_URL|$tsa|" "$SERVICES_TRUST/rekor1-tsa.json" >"$work/signing.json"
    row "bar" ours theirs measured limit ""
    one_signature
    a_repository
    a_file
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

in_services docker-registry sigstore -- "$0"
main

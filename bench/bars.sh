#!/usr/bin/env bash
#
# The bars that this program has to hold, each measured beside its peer, in one run on one machine:
#
#   bench/bars.sh            .ci/tools.sh must have run; exit 1 when a bar is missed
#   bench/bars.sh hostile    the rows of hostile answers alone
#   bench/bars.sh hosts      those of hosts beyond luet alone: containerd's question, and archives
#
#   BIN=PATH     the program (default: the static release build)
#   RUNS=500     runs of the programs that do nothing
#   VERIFIES=40  runs of the programs that verify
#   PULL=1024    MiB of the image that is pulled; less than that to try the script
#
# Times are medians of interleaved runs, memory is the largest resident set. Ratios are held, not times: they are the
# same on a slow machine.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=report.sh
source "$here/report.sh"

RUNS=${RUNS:-500}
VERIFIES=${VERIFIES:-40}
PULL=${PULL:-1024}
deadline=3
rtt=0.3

row() { printf '%-58s %14s %14s %12s %12s  %s\n' "$@"; }

# --- an ignored event ------------------------------------------------------------------------------------------------

# The empty program is what `cc -static` makes on this machine: with glibc, on Debian. Beside it, held by nothing, the
# smallest there is, with musl, which has a tenth of our pages to map; glibc's start-up costs more on a virtual machine
# than on real hardware (it asks the processor for its features), so look at both.
measure_start() {
    local event='{"name":"package.install","data":"","file":"/tmp/pluggable3341172"}'
    echo 'int main(void) { return 0; }' >"$work/empty.c"
    musl-gcc -static -O2 -o "$work/empty" "$work/empty.c"
    cc -static -O2 -o "$work/empty-glibc" "$work/empty.c"
    side_by_side "$RUNS" "$BIN" package.install "$event" -- "$work/empty-glibc" -- "$work/empty"
    bar "ignored event / an empty static C program, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 1.5
    info "  the same with musl in the C program" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[2]}")" \
        "$(ratio "${times[0]}" "${times[2]}")"
    bar_true "ignored event: exit 0" "exit ${codes[0]}" [ "${codes[0]}" = 0 ]
}

# --- a keyed verify --------------------------------------------------------------------------------------------------

# verifies IMAGE: the words of both programs, as `ours` and `theirs`.
verifies() {
    ours=("$BIN" verify --key "$work/bars.pub" "$1")
    theirs=(cosign3 verify --key "$work/bars.pub" --insecure-ignore-tlog --allow-http-registry "$1")
}

measure_verify() {
    local ours theirs
    verifies "$2"
    side_by_side "$VERIFIES" "${ours[@]}" -- "${theirs[@]}"
    bar_true "keyed verify, $1: both accept" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0" ]
    bar "keyed verify, $1 / cosign 3, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 0.2
    bar "keyed verify, $1 / cosign 3, memory" "$(mebibytes "${peaks[0]}")" "$(mebibytes "${peaks[1]}")" \
        "$(ratio "${peaks[0]}" "${peaks[1]}")" 0.2
}

# --- requests and round trips ----------------------------------------------------------------------------------------

# requests: docker-registry's own access log.
requests() { grep -oE '"(GET|HEAD|POST|PUT|PATCH|DELETE) /v2/[^"]*"' "$DOCKER_REGISTRY_LOG"; }

# requests_of COMMAND...: those that the command made, into a file. The log may be a moment late.
requests_of() {
    local before after=-1 last=-2
    before=$(requests | wc -l)
    "$@" >/dev/null 2>&1
    while [ "$after" != "$last" ]; do
        last=$after
        sleep 0.1
        after=$(requests | wc -l)
    done
    requests | tail -n +$((before + 1)) >"$work/requests"
}

# count_requests NAME IMAGE MOST
count_requests() {
    local ours theirs ours_count theirs_count twice
    verifies "$2"
    requests_of "${theirs[@]}"
    theirs_count=$(wc -l <"$work/requests")
    requests_of "${ours[@]}"
    ours_count=$(wc -l <"$work/requests")
    twice=$(sort "$work/requests" | uniq -d | wc -l)
    bar "keyed verify, $1: requests at docker-registry" "$ours_count" "$theirs_count" "$ours_count" "$3"
    bar "keyed verify, $1: requests made twice" "$twice" "" "$twice" 0
}

# count_round_trips NAME IMAGE MOST: each answer comes $rtt late; so many times that fits into the run, so many answers were waited for
# one after the other.
count_round_trips() {
    local ours theirs theirs_trips
    verifies "$2"
    side_by_side 1 "${theirs[@]}"
    theirs_trips=$(trips)
    side_by_side 3 "${ours[@]}"
    bar_true "keyed verify, $1, late answers: accepted" "exit ${codes[0]}" [ "${codes[0]}" = 0 ]
    bar "keyed verify, $1: sequential round trips" "$(trips)" "$theirs_trips" "$(trips)" "$3"
}

trips() { awk -v us="${times[0]}" -v rtt="$rtt" 'BEGIN { print int(us / 1e6 / rtt) }'; }

# --- many signatures -------------------------------------------------------------------------------------------------

# The last of 100 is by whom we trust; all are looked at.
measure_many() {
    local one=("$BIN" verify --key "$work/bars.pub" "$1:1") many=("$BIN" verify --key "$work/bars.pub" "$1:many")
    [ "$(signatures_of "$1:many")" = 100 ] || { echo "not 100 signatures"; exit 1; }
    side_by_side "$VERIFIES" "${many[@]}" -- "${one[@]}"
    bar_true "100 legacy signatures, and one: both accepted" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0" ]
    bar "keyed verify, 100 legacy signatures / one, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 3
}

signatures_of() {
    local digest
    digest=$(crane digest "$1")
    crane manifest "${1%:*}:${digest/:/-}.sig" | grep -o dev.cosignproject.cosign/signature | wc -l
}

# --- the file --------------------------------------------------------------------------------------------------------

is_static() { ! readelf -lW "$BIN" | grep -q INTERP && ! readelf -dW "$BIN" | grep -q NEEDED; }

measure_file() {
    bar_true "the program is static" "" is_static
    bar "size of the program, MB" "$(stat -c %s "$BIN")" "" \
        "$(awk -v bytes="$(stat -c %s "$BIN")" 'BEGIN { printf "%.2f", bytes / 1e6 }')" 12
}

# --- hostile answers -------------------------------------------------------------------------------------------------

# attack NAME [COMMAND...]: one row: the peak of memory, held by the limit, and then the time and the exit code.
attack() {
    local name=$1 found
    shift
    [ $# -gt 0 ] || set -- "$BIN" verify --key "$work/bars.pub" "$hostile/$name/bars/image:1"
    side_by_side 1 "$@"
    found="$(awk -v us="${times[0]}" 'BEGIN { printf "%.2f", us / 1e6 }')"
    if ! true_code "$name" "${codes[0]}"; then
        found="exit ${codes[0]}"
    elif awk -v seconds="$found" -v limit=$((deadline + 1)) 'BEGIN { exit seconds <= limit }'; then
        found="$found s"
    else
        found=$(awk -v kib="${peaks[0]}" 'BEGIN { printf "%.1f", kib / 1024 }')
    fi
    bar "  $name: memory in MiB" "$(milliseconds "${times[0]}")" "exit ${codes[0]}" "$found" 64
}

# true_code ATTACK CODE: never "unsigned", never a bug; and no success, unless what is right is left to be found.
true_code() {
    case $1 in
        event-*) [ "$2" = 0 ] ;;
        *referrers | *pages | *fallback) [ "$2" != 10 ] && [ "$2" -lt 70 ] ;;
        *) [ "$2" != 0 ] && [ "$2" != 10 ] && [ "$2" -lt 70 ] ;;
    esac
}

measure_attacks() {
    local name
    serve hostile python3 "$here/hostile.py" "$1"
    hostile=$address
    export LUET_COSIGN_TIMEOUT=$deadline
    echo "hostile answers, the last ones a byte a second; each within LUET_COSIGN_TIMEOUT=$deadline and one second more:"
    while read -r name; do attack "$name"; done < <(python3 "$here/hostile.py" --list)
    # What comes with a signature is read where an identity counts.
    for name in annotation-sig small-annotation-sig large-referrers; do
        attack "keyless-$name" "$BIN" verify "${nobody[@]}" "$hostile/$name/bars/image:1"
    done
    attack_files
    slow_event slow-body
    slow_event slow-sig
    unset LUET_COSIGN_TIMEOUT
}

nobody=(--certificate-identity nobody@example.com --certificate-oidc-issuer https://issuer.example)

# Files: bundles that ask for too much, and one that an Ed25519 key may have signed as it is.
attack_files() {
    local name
    mkdir "$work/bundles"
    python3 "$here/hostile.py" --bundles "$work/bundles"
    for name in "$work/bundles"/*; do
        attack "bundle-${name##*/}" "$BIN" verify-blob --bundle "$name" "${nobody[@]}" "$here/public-good/a.txt"
    done
    truncate -s 300M "$work/long"
    head -c 64 /dev/urandom >"$work/long.sig"
    attack ed25519-300-mib "$BIN" verify-blob --key "$project/src/trust/testdata/keys/ed25519.pub" \
        --signature "$work/long.sig" "$work/long"
    rm "$work/long"
}

# An event has to keep the deadline as well: the host waits for ever.
slow_event() {
    local event
    mkdir "$work/dest"
    event=$(printf '{"name":"image.pre.unpack","data":"{\\"Image\\":\\"%s\\",\\"Dest\\":\\"%s\\"}","file":""}' \
        "$hostile/$1/bars/image:1" "$work/dest")
    COSIGN_PUBLIC_KEY_LOCATION=$work/bars.pub attack "event-$1" "$BIN" image.pre.unpack "$event"
    rmdir "$work/dest"
}

# --- all of it -------------------------------------------------------------------------------------------------------

# What hostile answers are in front of: a registry with one image that is signed.
prepare_hostile() {
    mkdir "$work/content"
    export COSIGN_PASSWORD=pw
    make_side_by_side
    plain=$DOCKER_REGISTRY
    "$BIN" generate-key-pair --output-key-prefix "$work/bars"
    image "$plain/bars/image:1"
    "$BIN" sign --key "$work/bars.key" "$plain/bars/image:1"
}

prepare() {
    local number
    prepare_hostile
    cosign3 signing-config create >"$work/signing.json"
    cosign3 trusted-root create >"$work/root.json"
    referrers=$OLAREG
    serve late python3 "$project/.ci/slow_proxy.py" "$plain" --delay "$rtt"
    late=$address
    "$BIN" generate-key-pair --output-key-prefix "$work/stranger"
    image "$referrers/bars/image:1"
    "$BIN" sign --key "$work/bars.key" "$referrers/bars/image:1"
    for address in "$plain" "$referrers"; do
        image "$address/bars/bundle:1"
        "$BIN" sign --key "$work/bars.key" --format bundle "$address/bars/bundle:1"
    done
    image "$plain/bars/image:many"
    for number in {1..99}; do "$BIN" sign --key "$work/stranger.key" -a "number=$number" "$plain/bars/image:many"; done
    "$BIN" sign --key "$work/bars.key" "$plain/bars/image:many"
    image "$plain/bars/bundle:many"
    for number in {1..15}; do "$BIN" sign --key "$work/stranger.key" -a "number=$number" --format bundle "$plain/bars/bundle:many"; done
    # For the proxy, which is another host: our own signature would rightly be refused there, for it names the registry.
    image "$plain/bars/image:late"
    cosign2 sign --key "$work/bars.key" --tlog-upload=false --allow-http-registry -y "$plain/bars/image:late"
    image "$plain/bars/bundle:late"
    sign_bundle "$plain/bars/bundle:late"
    sign_bundle "$plain/bars/bundle:many"
}

# image NAME: pushes an image that no other name has.
image() {
    echo "$1" >"$work/content/file"
    tar -C "$work/content" -cf "$work/layer.tar" file
    crane append --oci-empty-base -f "$work/layer.tar" -t "$1"
}

sign_bundle() {
    cosign3 sign --key "$work/bars.key" --signing-config "$work/signing.json" --trusted-root "$work/root.json" \
        --allow-http-registry -y "$1"
}

# --- a large file ----------------------------------------------------------------------------------------------------

# It is in memory for both, so what is measured is reading and hashing; ours checks a signature beside.
measure_large() {
    head -c 1073741824 /dev/urandom >"$work/large"
    cosign2 sign-blob --key "$work/bars.key" --tlog-upload=false -y --output-signature "$work/large.sig" "$work/large" >"$work/large.log" 2>&1
    sha256sum "$work/large" >/dev/null
    side_by_side 7 "$BIN" verify-blob --key "$work/bars.pub" --signature "$work/large.sig" "$work/large" -- sha256sum "$work/large"
    bar_true "verify-blob of 1 GiB: exit 0" "exit ${codes[0]}" [ "${codes[0]}" = 0 ]
    bar "verify-blob of 1 GiB / sha256sum, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 1.1
    bar "verify-blob of 1 GiB: memory in MiB" "$(mebibytes "${peaks[0]}")" "" "$(ratio "${peaks[0]}" 1024)" 12
    # Opening the key takes its 66 MiB whatever is signed, so the file may add nothing to what an empty one takes.
    : >"$work/nothing"
    side_by_side 7 "$BIN" sign-blob --key "$work/bars.key" --output-signature "$work/ours.sig" "$work/large" -- sha256sum "$work/large" \
        -- "$BIN" sign-blob --key "$work/bars.key" --output-signature "$work/ours.sig" "$work/nothing"
    bar_true "sign-blob of 1 GiB: exit 0" "exit ${codes[0]}" [ "${codes[0]}" = 0 ]
    bar "sign-blob of 1 GiB / sha256sum, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 1.1
    bar "sign-blob of 1 GiB / of nothing, memory" "$(mebibytes "${peaks[0]}")" "$(mebibytes "${peaks[2]}")" \
        "$(ratio "${peaks[0]}" "${peaks[2]}")" 1.05
    rm "$work/large"
}

# --- many rules, many packages ----------------------------------------------------------------------------------------

# rules COUNT: a policy, the last of whose rules is about the image that is asked for.
rules() {
    printf 'version: 1\ndefaults: {unmatched: deny, unsigned: deny}\nsigners:\n  bars: {key: bars.pub}\nrepositories:\n'
    seq "$(($1 - 1))" | sed 's|.*|  - {name: team-&, scope: registry.example.com/team-&/**, trust: [bars]}|'
    echo "  - {name: bars, scope: registry.example.com/bars/**, trust: [bars]}"
}

# Every event reads the policy.
measure_rules() {
    rules 1 >"$work/one.yaml"
    rules 1000 >"$work/thousand.yaml"
    chmod 644 "$work"/{one,thousand}.yaml
    local asked=(policy explain registry.example.com/bars/image:1)
    side_by_side 101 env "LUET_COSIGN_POLICY=$work/thousand.yaml" "$BIN" "${asked[@]}" -- \
        env "LUET_COSIGN_POLICY=$work/one.yaml" "$BIN" "${asked[@]}"
    bar_true "a policy of 1,000 rules, and of one: both read" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0" ]
    # Nearly all of it is the YAML parser. Comparing each rule with each, it was 6.3.
    bar "a policy of 1,000 rules / of one, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 5
}

# A signature by cosign, which binds no tag, is good for each of them.
measure_packages() {
    local number ratio first last files
    {
        image "$1:1"
        cosign2 sign --key "$work/bars.key" --tlog-upload=false --allow-http-registry -y "$1:1"
    } >"$work/packages.log" 2>&1
    crane manifest "$1:1" >"$work/manifest"
    for number in {1..1000}; do printf 'url = "http://%s/v2/%s/manifests/t%s"\n' "${1%%/*}" "${1#*/}" "$number"; done >"$work/tags"
    curl --silent --show-error --fail --output /dev/null --request PUT --data-binary "@$work/manifest" \
        --header "Content-Type: $(python3 -c 'import json, sys; print(json.load(sys.stdin)["mediaType"])' <"$work/manifest")" --config "$work/tags"
    read -r ratio first last files < <(COSIGN_PUBLIC_KEY_LOCATION=$work/bars.pub \
        python3 "$here/packages.py" "$BIN" "$1" "$work/layer.tar" 1000)
    # What grows is reading the lines about the repository.
    bar "1,000 packages: the last 100 / the first 100, CPU" "" "" "$ratio" 2.5
    bar "1,000 packages: the last 100 / the first 100, memory" "$(mebibytes "$last")" "$(mebibytes "$first")" \
        "$(ratio "$last" "$first")" 1.1
    info "  files in the run's folder, for each" "$files" "" ""
}

# --- containerd's question -------------------------------------------------------------------------------------------

# Its descriptor comes on standard input, so both are started by a shell that becomes them. cosign is asked for the digest, as in a
# script in containerd's folder.
measure_verifier() {
    local digest
    digest=$(crane digest "$plain/bars/image:1")
    printf '{"mediaType":"%s","digest":"%s","size":%s}\n' application/vnd.oci.image.manifest.v1+json "$digest" \
        "$(crane manifest "$plain/bars/image:1" | wc -c)" >"$work/descriptor"
    printf 'version: 1\ndefaults: {unmatched: deny}\nsigners: {bars: {key: bars.pub}}\nrepositories:\n  - {name: bars, scope: "%s/**", trust: [bars]}\n' \
        "$plain" >"$work/policy.yaml"
    # shellcheck disable=SC2016 # for the inner shell
    LUET_COSIGN_POLICY=$work/policy.yaml side_by_side "$VERIFIES" \
        sh -c 'exec "$0" "$@" <"$DESCRIPTOR"' "$BIN" -name "$plain/bars/image:1" -digest "$digest" \
        -stdin-media-type application/vnd.oci.descriptor.v1+json -- \
        sh -c 'exec "$0" "$@" <"$DESCRIPTOR"' cosign3 verify --key "$work/bars.pub" --insecure-ignore-tlog --allow-http-registry \
        "$plain/bars/image@$digest"
    bar_true "containerd's question: both accept" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0" ]
    bar "containerd's question / cosign 3, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 0.25
    bar "containerd's question: memory in MiB" "$(mebibytes "${peaks[0]}")" "$(mebibytes "${peaks[1]}")" \
        "$(ratio "${peaks[0]}" 1024)" 16
}

# --- an archive ------------------------------------------------------------------------------------------------------

# 1 GiB in 20 layers, into a folder in OCI's layout; skopeo verifies nothing.
measure_pull() {
    local number layers=() copy small
    for number in {1..20}; do
        head -c $((PULL * 1048576 / 20)) /dev/urandom >"$work/content/file"
        tar -C "$work/content" -cf - file | gzip -1 >"$work/layer-$number.tar.gz"
        layers+=(-f "$work/layer-$number.tar.gz")
    done
    crane append --oci-empty-base "${layers[@]}" -t "$plain/bars/large:1" >"$work/large.log" 2>&1
    rm "$work"/layer-*.tar.gz
    "$BIN" sign --key "$work/bars.key" --recursive "$plain/bars/large:1" >"$work/large.log" 2>&1
    # shellcheck disable=SC2016 # for the inner shell
    copy='rm -rf "$0"; exec "$@"'
    small=("$BIN" pull --key "$work/bars.pub" "$plain/bars/image:1" "oci:$work/small")
    side_by_side 3 sh -c "$copy" "$work/ours" "$BIN" pull --key "$work/bars.pub" "$plain/bars/large:1" "oci:$work/ours" -- \
        sh -c "$copy" "$work/theirs" skopeo --insecure-policy copy -q --src-tls-verify=false "docker://$plain/bars/large:1" "oci:$work/theirs:1" -- \
        sh -c "$copy" "$work/small" "${small[@]}"
    bar_true "pull of $PULL MiB: both accept" "exit ${codes[0]}, ${codes[1]}" [ "${codes[*]}" = "0 0 0" ]
    bar "pull of $PULL MiB in 20 layers / skopeo copy, time" "$(milliseconds "${times[0]}")" "$(milliseconds "${times[1]}")" \
        "$(ratio "${times[0]}" "${times[1]}")" 1.15
    bar "pull of $PULL MiB: memory in MiB" "$(mebibytes "${peaks[0]}")" "$(mebibytes "${peaks[1]}")" "$(ratio "${peaks[0]}" 1024)" 48
    info "  of an image of a few bytes" "$(mebibytes "${peaks[2]}")" "" ""
    rm -rf "$work/ours" "$work/theirs" "$work/small"
}

measure_hosts() {
    export DESCRIPTOR=$work/descriptor
    measured measure_verifier
    measured measure_pull
}

main() {
    need cosign2 cosign3 crane curl docker-registry olareg skopeo python3 cc musl-gcc readelf
    local prepare=prepare
    [ "$1" = all ] || prepare=prepare_hostile
    "$prepare" >"$work/prepared" 2>&1 || { cat "$work/prepared"; exit 1; }
    row "bar" ours theirs measured limit ""
    [ "$1" != all ] || measure_peers
    [ "$1" = hostile ] || measure_hosts
    [ "$1" = hosts ] || measure_attacks "$plain"
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

measure_peers() {
    measured measure_start
    measured measure_verify "legacy, docker-registry" "$plain/bars/image:1"
    measured measure_verify "legacy, olareg" "$referrers/bars/image:1"
    measured measure_verify "bundle, docker-registry" "$plain/bars/bundle:1"
    measured measure_verify "bundle, olareg" "$referrers/bars/bundle:1"
    measured measure_many "$plain/bars/image"
    # The tag, the three places, and of each signature its manifest and its content; a legacy signature's manifest is its place.
    count_requests legacy "$plain/bars/image:1" 5
    count_requests bundle "$plain/bars/bundle:1" 6
    count_requests "16 bundles" "$plain/bars/bundle:many" 36
    measured count_round_trips legacy "$late/bars/image:late" 3
    measured count_round_trips bundle "$late/bars/bundle:late" 4
    # Eight at a time.
    measured count_round_trips "16 bundles" "$late/bars/bundle:many" 6
    measure_file
    measured measure_rules
    measure_packages "$plain/bars/packages"
    measured measure_large
}

in_services docker-registry olareg -- "$0" "$@"
main "${1:-all}"

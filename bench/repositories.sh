#!/usr/bin/env bash
#
# Whole repositories over a network, beside a shell loop that calls cosign 2 for each image, in one run:
#
#   bench/repositories.sh          .ci/tools.sh must have run; exit 1 when a bar is missed
#
#   BIN=PATH       the program (default: the static release build)
#   PACKAGES=246   packages; with them come as many descriptions and 8 more images, so 500 images
#   RTT=20         the round trip of the network, in ms
#   SAMPLE=40      images that cosign is called for; its time is scaled to all of them, for each call is a process of its own
#
# The shell loop is called with every image's name; that it first has to find those out is not counted.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=report.sh
source "$here/report.sh"

PACKAGES=${PACKAGES:-246}
RTT=${RTT:-20}
SAMPLE=${SAMPLE:-40}

row() { printf '%-44s %12s %12s %10s %10s  %s\n' "$@"; }
# Smaller than the others', and numbers alone.
ratio() { awk -v ours="$1" -v theirs="$2" 'BEGIN { printf "%.3f", ours / theirs }'; }
mebibytes() { awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'; }

in_services docker-registry -- "$0"
need cosign2 docker-registry luet-host python3
export COSIGN_PASSWORD=pw LUET_COSIGN_POLICY=
(cd "$work" && "$BIN" generate-key-pair --output-key-prefix acme 2>/dev/null)

# publish NAME COUNT: packages, as the host packs and pushes them; sets nothing and signs nothing.
publish() {
    local number
    for number in $(seq "$2"); do
        mkdir -p "$work/content/usr/bin"
        echo "$1 $number" >"$work/content/usr/bin/p$number"
        luet-host pack "test/p$number@1.0" "$work/content" --packages "$work/$1"
        rm -rf "$work/content"
    done
    luet-host create-repo --type docker --push-images --backend none --packages "$work/$1" --output "$registry/$1" --name "$1" >/dev/null
}

# measure COMMAND...: sets seconds, peak, after (KiB), code.
measure() { read -r seconds peak after code < <(python3 "$here/measured.py" "$@"); }

# loop TAG...: cosign for each image, as a script calls it; sets seconds.
loop() {
    local verb=$1 began ended tag
    shift
    began=$(date +%s.%N)
    for tag in "$@"; do
        case $verb in
            sign) cosign2 sign --key "$work/acme.key" --tlog-upload=false --allow-http-registry -y "$far/theirs:$tag" ;;
            verify) cosign2 verify --key "$work/acme.pub" --insecure-ignore-tlog --allow-http-registry "$far/theirs:$tag" ;;
        esac >/dev/null 2>&1
    done
    ended=$(date +%s.%N)
    seconds=$(awk -v began="$began" -v ended="$ended" -v n="$#" -v all="$images" 'BEGIN { printf "%.3f", (ended - began) * all / n }')
}

registry=$DOCKER_REGISTRY
serve delay python3 "$here/delay.py" "$registry" "$RTT"
far=$address

small=20
images=$((PACKAGES * 2 + 8))
publish small "$small"
publish ours "$PACKAGES"
publish theirs "$SAMPLE"
mapfile -t tags < <(seq -f 'p%g-test-1.0' "$SAMPLE")

echo "$images images over a round trip of $RTT ms; cosign's time is that of $SAMPLE images, scaled"
printf '%-44s %12s %12s %10s %10s\n' '' ours cosign2 measured bar

"$BIN" sign-repo --key "$work/acme.key" --trust-registry "$far/small" >/dev/null
measure "$BIN" sign-repo --key "$work/acme.key" --trust-registry "$far/ours"
[ "$code" = 0 ] || { echo "sign-repo: exit $code"; exit 1; }
ours=$seconds sign_after=$after
loop sign "${tags[@]}"
bar 'sign-repo: time' "$ours s" "$seconds s" "$(ratio "$ours" "$seconds")" 0.2
bar 'sign-repo: memory once the key is open, MiB' "" "" "$(mebibytes "$sign_after")" 48

measure "$BIN" verify-repo --key "$work/acme.pub" "$far/small"
small_peak=$peak
measure "$BIN" verify-repo --key "$work/acme.pub" "$far/ours"
[ "$code" = 0 ] || { echo "verify-repo: exit $code"; exit 1; }
ours=$seconds verify_peak=$peak
loop verify "${tags[@]}"
bar 'verify-repo: time' "$ours s" "$seconds s" "$(ratio "$ours" "$seconds")" 0.2
bar 'verify-repo: memory, MiB' "" "" "$(mebibytes "$verify_peak")" 48
bar "verify-repo: memory beside that for $((small * 2 + 8)) images" "" "" "$(ratio "$verify_peak" "$small_peak")" 1.5

measure "$BIN" sign-repo --key "$work/acme.key" --trust-registry "$far/ours"
[ "$code" = 0 ] || { echo "sign-repo again: exit $code"; exit 1; }
printf '%-44s %12s\n' 'sign-repo of what is signed already' "$seconds s"

echo "$passed bars held, $failed missed"
[ "$failed" = 0 ]

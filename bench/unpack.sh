#!/usr/bin/env bash
#
# What it costs that what is unpacked is what was verified, beside the programs that do the same work, in one run:
#
#   bench/unpack.sh          .ci/tools.sh must have run, as root; exit 1 when a bar is missed
#
#   BIN=PATH   the program (default: the static release build)
#   LUET=PATH  the real luet (default: the one on PATH); held by the bar of the install as well, where there is one
#   RUNS=5     runs of each measurement
#
# tree      the post event, less that of an image of one file, held by what `sha256sum` takes for the same files on one
#           core, divided by the cores
# layers    the same with `post_unpack: layers`, held by `gunzip | sha256sum` of the layers
# install   100 small packages from loopback, with the plugin and without it
#
# Times are medians of interleaved runs (of the install: of the ratio of neighbouring runs), with all files in the page
# cache. Ratios are held, not times. Everything is on the disk of TMPDIR, the run's directory of the plugin too, which is
# in memory elsewhere (/run).
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=report.sh
source "$here/report.sh"

RUNS=${RUNS:-5}
real_luet=${LUET:-$(type -P luet || true)}

row() { printf '%-66s %12s %12s %10s %9s  %s\n' "$@"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# --- trees and layers ------------------------------------------------------------------------------------------------

# make_tree FOLDER large|small: content that packs to about a third, as programs do.
make_tree() {
    mkdir -p "$1"
    python3 - "$1" "$2" <<'EOT'
import os, random, sys
folder, what = sys.argv[1:]
rng = random.Random(what)
words = [rng.randbytes(rng.randrange(8, 40)) for _ in range(4096)]
def content(size): return b"".join(rng.choices(words, k=size // 20))[:size]
if what == "large":
    for i in range(24): open(f"{folder}/{i}", "wb").write(content(16 << 20))
elif what == "small":
    for i in range(200):
        os.mkdir(f"{folder}/{i}")
        for j in range(100): open(f"{folder}/{i}/file-{j}", "wb").write(content(rng.randrange(100, 16000)))
else:
    open(f"{folder}/file", "wb").write(b"x")
EOT
}

make_image() {
    make_tree "$work/$1" "$1"
    (cd "$work/$1" && tar --sort=name --owner=0 --group=0 --numeric-owner -cf "$work/$1.tar" -- *)
    gzip -5 <"$work/$1.tar" >"$work/$1.tar.gz"
    crane append --oci-empty-base -f "$work/$1.tar.gz" -t "$plain/bench/unpack:$1"
    "$BIN" sign --key "$work/bench.key" "$plain/bench/unpack:$1"
}

# The events of one run of a host: one pre event for each image, then all post events, in turn, after the same unpacking.
cat_events() {
    cat <<'EOT'
import json, os, statistics, subprocess, sys, time
plugin, repository, work, runs = sys.argv[1:4] + [int(sys.argv[4])]
trees = ["tiny", "large", "small"]
os.environ["COSIGN_DEBUG"] = "1"
def event(name, tag, mode):
    data = json.dumps({"Image": f"{repository}:{tag}", "Dest": f"{work}/dest-{tag}"})
    words = [plugin, name, json.dumps({"name": name, "data": data, "file": ""})]
    environment = {**os.environ, "LUET_COSIGN_POST_UNPACK": mode}
    began = time.monotonic()
    run = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    took = time.monotonic() - began
    answer = json.loads(run.stdout)
    wanted = {"tree": "equal to the signed tree", "layers": "equal to the layers"}[mode]
    if run.returncode or answer["error"] or name == "image.post.unpack" and wanted not in answer["state"]:
        sys.exit(f"{name} {tag} {mode}: {answer} {run.stderr}")
    return took
def peer(command):
    began = time.monotonic()
    subprocess.run(["bash", "-c", "set -o pipefail; " + command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began
for tag in trees:
    os.mkdir(f"{work}/dest-{tag}", 0o700)
    event("image.pre.unpack", tag, "tree")
    subprocess.run(["tar", "-C", f"{work}/dest-{tag}", "-xpf", f"{work}/{tag}.tar"], check=True)
times = {}
for _ in range(runs):
    for tag in trees:
        for mode in ("tree", "layers"): times.setdefault((tag, mode), []).append(event("image.post.unpack", tag, mode))
        if tag != "tiny":
            files = f"find {work}/dest-{tag} -type f -print0 | taskset -c 0 xargs -0 sha256sum"
            times.setdefault((tag, "sha256sum"), []).append(peer(files))
            times.setdefault((tag, "gunzip"), []).append(peer(f"gunzip <{work}/{tag}.tar.gz | sha256sum"))
for (tag, what), values in times.items(): print(tag, what, statistics.median(values))
EOT
}

# beside NAME OURS THEIRS: the same otherwise, held by nothing.
beside() { info "  $1" "$(seconds "$2")" "$(seconds "$3")" "$(ratio "$2" "$3")"; }
less() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.6f", a - b }'; }

measure_events() {
    local tag what took cores name
    declare -A times=()
    cores=$(nproc)
    python3 <(cat_events) "$BIN" "$plain/bench/unpack" "$work" "$RUNS" >"$work/times" || { cat "$work/times"; exit 1; }
    while read -r tag what took; do times[$tag,$what]=$took; done <"$work/times"
    for tag in large small; do
        name="24 files of 16 MiB"
        [ "$tag" = large ] || name="20,000 files of 8 KB"
        compare seconds "tree, $name / sha256sum on one core / $cores cores" "$(less "${times[$tag,tree]}" "${times[tiny,tree]}")" \
            "$(awk -v s="${times[$tag,sha256sum]}" -v n="$cores" 'BEGIN { print s / n }')" 1.15
        beside "with start-up and the store" "${times[$tag,tree]}" "$(awk -v s="${times[$tag,sha256sum]}" -v n="$cores" 'BEGIN { print s / n }')"
        compare seconds "layers, $name / gunzip | sha256sum" "$(less "${times[$tag,layers]}" "${times[tiny,layers]}")" "${times[$tag,gunzip]}" 1.3
        beside "without hashing the directory" "$(less "${times[$tag,layers]}" "${times[$tag,tree]}")" "${times[$tag,gunzip]}"
    done
}

# --- an install ------------------------------------------------------------------------------------------------------

make_packages() {
    local number images=()
    for number in {1..100}; do
        mkdir -p "$work/packages-in/$number/usr/share/p$number"
        head -c 20000 /dev/urandom >"$work/packages-in/$number/usr/share/p$number/data"
        echo "$number" >"$work/packages-in/$number/usr/share/p$number/name"
        luet-host pack "bench/p$number@1.0" "$work/packages-in/$number" --packages "$work/packages"
        images+=("$plain/bench/packages:p$number-bench-1.0")
    done
    luet-host create-repo --type docker --push-images --backend none --packages "$work/packages" --output "$plain/bench/packages" --name bench
    "$BIN" sign --key "$work/bench.key" "${images[@]}" "$plain"/bench/packages:{repository.yaml,tree.tar.gz,repository.meta.yaml.tar}
}

# install HOST [OPTION...]: prints how long it took, into an empty root.
install_all() {
    local root began names=()
    root=$(mktemp -d "$work/root.XXXXXX")
    {
        echo "system: {rootfs: $root, database_path: /var/cache/luet, tmpdir_base: $root/tmp/tmpluet}"
        echo "repositories: [{name: bench, type: docker, enable: true, priority: 1, urls: ['$plain/bench/packages']}]"
    } >"$root.yaml"
    mapfile -t names < <(printf 'bench/p%s\n' {1..100})
    began=$EPOCHREALTIME
    "$1" install -y "${names[@]}" --config "$root.yaml" "${@:2}" >"$work/installed" 2>&1 || { cat "$work/installed" >&2; exit 1; }
    awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
    [ "$(find "$root/usr/share" -type f | wc -l)" = 200 ] || { cat "$work/installed" >&2; echo "not all was installed" >&2; exit 1; }
    rm -rf "$root" "$root.yaml"
}

# measure_install HOST NAME: the pair of neighbouring runs whose ratio is the median. One of these runs takes seconds, over which a
# virtual machine changes its speed: medians of each side could be of different speeds.
measure_install() {
    local run with without
    : >"$work/pairs"
    # What was prepared is written back now, and not while something is measured.
    sync
    for run in $(seq $((RUNS * 4 - 1))); do
        without=$(install_all "$1")
        with=$(install_all "$1" --plugin luet-cosign)
        grep -q 'Enabled plugins' "$work/installed" || { echo "run $run: the plugin was not loaded"; exit 1; }
        echo "$(ratio "$with" "$without") $with $without" >>"$work/pairs"
    done
    read -r _ with without < <(sort -n "$work/pairs" | sed -n "$((RUNS * 2))p")
    compare seconds "$2" "$with" "$without" 1.6
}

# --- all of it -------------------------------------------------------------------------------------------------------

prepare() {
    mkdir "$work/plugins"
    cp "$BIN" "$work/plugins/luet-cosign"
    BIN=$work/plugins/luet-cosign
    export PATH=$work/plugins:$PATH COSIGN_PASSWORD=pw
    plain=$DOCKER_REGISTRY
    "$BIN" generate-key-pair --output-key-prefix "$work/bench"
    export COSIGN_PUBLIC_KEY_LOCATION=$work/bench.pub
    for tree in tiny large small; do make_image "$tree"; done
    make_packages
}

main() {
    need luet-host crane docker-registry python3 gzip taskset
    prepare >"$work/prepared" 2>&1 || { cat "$work/prepared"; exit 1; }
    row "bar" ours theirs measured limit ""
    measured measure_events
    measured measure_install luet-host "install of 100 packages by the stand-in host, with / without"
    [ -z "$real_luet" ] || measured measure_install "$real_luet" "the same by the real luet"
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

in_services docker-registry -- "$0"
main

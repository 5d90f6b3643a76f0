# shellcheck shell=bash
#
# What the benches run in, count and print alike. Sourced; the script says how wide its columns are: row NAME OURS THEIRS
# MEASURED LIMIT VERDICT.

project=$(dirname -- "$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)")
BIN=$(realpath -m -- "${BIN:-$project/target/x86_64-unknown-linux-musl/release/luet-cosign}")
export BIN

# in_services SERVER... -- SCRIPT WORD...: starts the script again beside these servers, in an environment of its own
# (crates/e2e/src/bin/services.rs says which variables name them). There, sets work: a directory of its own.
in_services() {
    if [ -z "${SERVICES_WORK-}" ]; then
        exec cargo run --locked --quiet --manifest-path "$project/Cargo.toml" -p e2e --bin services -- "$@"
    fi
    work=$SERVICES_WORK
}

# need PROGRAM...: ends the script where one is missing.
need() {
    local program
    for program in "$@" "$BIN"; do
        command -v "$program" >/dev/null || { echo "$program is missing: run .ci/tools.sh"; exit 1; }
    done
}

# serve NAME COMMAND...: runs a server of ours as long as the script; sets address to the first line that it prints. All of
# its output is in $work/NAME.log.
serve() {
    local log=$work/$1.log
    shift
    "$@" </dev/null >"$log" 2>&1 &
    until address=$(head -n 1 "$log") && [ -n "$address" ]; do
        kill -0 $! || { cat "$log"; exit 1; }
        sleep 0.05
    done
}

make_side_by_side() { cc -O2 -Wall -Wextra -static -o "$work/side_by_side" "$project/bench/side_by_side.c"; }

passed=0
failed=0
# How many of the failed are not measurements.
wrong=0

# bar NAME OURS THEIRS MEASURED LIMIT: held when MEASURED <= LIMIT.
bar() {
    local verdict=ok
    if awk -v measured="$4" -v limit="$5" 'BEGIN { exit !(measured == measured + 0 && measured <= limit) }'; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)) verdict=MISSED
    fi
    row "$1" "$2" "$3" "$4" "<= $5" "$verdict"
}

# compare UNIT NAME OURS THEIRS LIMIT: held when OURS / THEIRS <= LIMIT. UNIT prints both: milliseconds, mebibytes or seconds.
compare() { bar "$2" "$("$1" "$3")" "$("$1" "$4")" "$(ratio "$3" "$4")" "$5"; }

# bar_true NAME FOUND COMMAND...: held when the command succeeds.
bar_true() {
    local name=$1 found=$2 verdict=ok
    shift 2
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) wrong=$((wrong + 1)) verdict=MISSED; fi
    row "$name" "$found" "" "" "" "$verdict"
}

# info NAME OURS THEIRS MEASURED: shown beside a bar, held by nothing.
info() { row "$1" "$2" "$3" "$4" "" ""; }

# measured COMMAND...: what it measures, and all of it again when a bar is missed, twice at most; the last time counts. Other work
# on the machine spoils one measurement now and then; a program that has become slow misses each of them. What is wrong (bar_true)
# stays wrong: that is no matter of speed.
measured() {
    local before=("$passed" "$failed" "$wrong") _
    "$@"
    for _ in 1 2; do
        [ "$failed" != "${before[1]}" ] && [ "$wrong" = "${before[2]}" ] || return 0
        info "  missed, so measured again:" "" "" ""
        passed=${before[0]} failed=${before[1]}
        "$@"
    done
}

ratio() { awk -v ours="$1" -v theirs="$2" 'BEGIN { printf "%.2f", ours / theirs }'; }
milliseconds() { awk -v us="$1" 'BEGIN { printf "%.2f ms", us / 1000 }'; }
seconds() { awk -v s="$1" 'BEGIN { printf "%.3f s", s }'; }
mebibytes() { awk -v kib="$1" 'BEGIN { printf "%.1f MiB", kib / 1024 }'; }

# side_by_side RUNS PROGRAM... [-- PROGRAM...]: after make_side_by_side; sets times, peaks and codes, one element for each program.
side_by_side() {
    local output time peak code
    output=$("$work/side_by_side" "$@")
    times=() peaks=() codes=()
    while read -r time peak code; do
        times+=("$time") peaks+=("$peak") codes+=("$code")
    done <<<"$output"
}

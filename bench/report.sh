# shellcheck shell=bash
#
# What the benches count and print alike. Sourced; the script says how wide its columns are: row NAME OURS THEIRS MEASURED
# LIMIT VERDICT. `side_by_side` wants bench/side_by_side.c compiled into $work.

passed=0
failed=0

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

# bar_true NAME FOUND COMMAND...: held when the command succeeds.
bar_true() {
    local name=$1 found=$2 verdict=ok
    shift 2
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) verdict=MISSED; fi
    row "$name" "$found" "" "" "" "$verdict"
}

# info NAME OURS THEIRS MEASURED: shown beside a bar, held by nothing.
info() { row "$1" "$2" "$3" "$4" "" ""; }

ratio() { awk -v ours="$1" -v theirs="$2" 'BEGIN { printf "%.2f", ours / theirs }'; }
milliseconds() { awk -v us="$1" 'BEGIN { printf "%.2f ms", us / 1000 }'; }
mebibytes() { awk -v kib="$1" 'BEGIN { printf "%.1f MiB", kib / 1024 }'; }

# side_by_side RUNS PROGRAM... [-- PROGRAM...]: sets times, peaks and codes, one element for each program.
side_by_side() {
    local output time peak code
    # shellcheck disable=SC2154 # the script has made it
    output=$("$work/side_by_side" "$@")
    times=() peaks=() codes=()
    while read -r time peak code; do
        times+=("$time") peaks+=("$peak") codes+=("$code")
    done <<<"$output"
}

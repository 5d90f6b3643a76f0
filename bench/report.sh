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

# compare UNIT NAME OURS THEIRS LIMIT: held when OURS / THEIRS <= LIMIT. UNIT prints both: milliseconds, mebibytes or seconds.
compare() { bar "$2" "$("$1" "$3")" "$("$1" "$4")" "$(ratio "$3" "$4")" "$5"; }

# bar_true NAME FOUND COMMAND...: held when the command succeeds.
bar_true() {
    local name=$1 found=$2 verdict=ok
    shift 2
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) verdict=MISSED; fi
    row "$name" "$found" "" "" "" "$verdict"
}

# info NAME OURS THEIRS MEASURED: shown beside a bar, held by nothing.
info() { row "$1" "$2" "$3" "$4" "" ""; }

# measured COMMAND...: what it measures, and all of it once more when a bar is missed; the second time counts. Other work on the
# machine spoils one measurement now and then; a program that has become slow misses both.
measured() {
    local before=("$passed" "$failed")
    "$@"
    [ "$failed" != "${before[1]}" ] || return 0
    info "  missed, so measured again:" "" "" ""
    passed=${before[0]} failed=${before[1]}
    "$@"
}

ratio() { awk -v ours="$1" -v theirs="$2" 'BEGIN { printf "%.2f", ours / theirs }'; }
milliseconds() { awk -v us="$1" 'BEGIN { printf "%.2f ms", us / 1000 }'; }
seconds() { awk -v s="$1" 'BEGIN { printf "%.3f s", s }'; }
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

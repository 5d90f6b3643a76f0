#!/usr/bin/env bash
#
# Keyless signatures, with a real Sigstore: images and blobs signed there by cosign 2, cosign 3 and sigstore-python, in every
# form that these write; judged by us and by them.
#
#   .ci/sigstore.sh             everything; .ci/tools.sh and .ci/tools.sh sigstore must have run, as root
#   .ci/sigstore.sh WORD...     only the checks with a WORD in their name, to work on one: `olareg`, `tlog`, `c2_legacy`
#
#   BIN=PATH    the program (default: the static release build)
#
# Everything is in a network namespace of its own: what asks anybody outside fails. A check prints `ok NAME`, or `FAILED NAME`
# with all that was seen. Our verdicts are checked, and so are those of the others: one that changes must be looked at. The
# end is a table of all verdicts, and `N passed, M failed`. Nothing is left behind.
# shellcheck disable=SC2317 # checks are called by their names
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
project=$(dirname -- "$here")
BIN=$(realpath -m -- "${BIN:-$project/target/x86_64-unknown-linux-musl/release/luet-cosign}")
export BIN
only=("$@")

for variable in "${!COSIGN_@}" "${!LUET_COSIGN_@}" "${!SIGSTORE_@}" "${!TUF_@}" LUET_PLUGIN DOCKER_CONFIG DOCKER_HOST \
    REGISTRY_AUTH_FILE http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY; do
    [ "$variable" = LUET_COSIGN_TOOLS ] || unset "$variable"
done
umask 022

# shellcheck source=servers.sh
source "$here/servers.sh" || exit 1
# shellcheck source=services.sh
source "$here/services.sh" || exit 1

# --- checks ----------------------------------------------------------------------------------------------------------

passed=0
failed=0

# check NAME COMMAND...: one check, in a shell of its own on a machine that never saw any of these images.
check() {
    local name=$1 status
    shift
    wanted "$name" || return 0
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
        echo "ok $name"
    else
        failed=$((failed + 1))
        echo "FAILED $name (exit $status)"
        tail -n 40 "$work/evidence" | cut -c -1000 | sed 's/^/    /'
    fi
    rm -rf "$machine" 2>/dev/null || { sleep 1 && rm -rf "$machine"; }
}

# What makes images and files is always done: with words on the command line, only the judging is chosen.
wanted() {
    local word
    [ ${#only[@]} -gt 0 ] && [[ $1 != *" is made" ]] || return 0
    for word in "${only[@]}"; do
        [[ $1 != *"$word"* ]] || return 0
    done
    return 1
}

new_machine() {
    mkdir -p "$machine/root" "$machine/tmp" "$machine/home"
    install -d -m 700 "$machine/state" "$machine/runtime" "$machine/cache"
    export HOME=$machine/home TMPDIR=$machine/tmp XDG_STATE_HOME=$machine/state XDG_RUNTIME_DIR=$machine/runtime \
        XDG_CACHE_HOME=$machine/cache
}

fail() {
    echo "--- $*"
    return 1
}

required() {
    local program missing=
    for program in "$@"; do
        command -v "$program" >/dev/null || { echo "FAILED $program is missing: run .ci/tools.sh"; missing=1; }
    done
    for program in $(services_missing); do
        echo "FAILED $program is missing: run .ci/tools.sh sigstore, as root"
        missing=1
    done
    [ -z "$missing" ] || { printf '\n%s passed, %s failed\n' "$passed" $((failed + 1)); exit 1; }
}

# --- who signs -------------------------------------------------------------------------------------------------------

# Signers: dev and eve are persons, job is a workload. identity SIGNER, issuer SIGNER: as certificates name them.
workload=https://github.com/acme/pkgs/.github/workflows/release.yml@refs/heads/main

identity() { if [ "$1" = job ]; then echo "$workload"; else echo "$1@example.com"; fi; }
issuer() { if [ "$1" = job ]; then echo "$workload_issuer_url"; else echo "$issuer_url"; fi; }
token_of() { if [ "$1" = job ]; then workload_token; else token "email=$(identity "$1")"; fi; }

# strangers SIGNER: identities that are not this signer's, one a line: WHICH SUBJECT ISSUER.
strangers() {
    local subject issuer
    subject=$(identity "$1") issuer=$(issuer "$1")
    printf '%s %s %s\n' \
        subject "another-$subject" "$issuer" \
        issuer "$subject" "$issuer/other" \
        prefix "${subject%?}" "$issuer" \
        case "${subject^^}" "$issuer"
}

# MAKER_FORM SIGNER IMAGE...

cosign2_signs() {
    cosign2 sign -y --allow-http-registry --trusted-root "$sigstore_trust/trusted_root.json" --fulcio-url "$fulcio_url" \
        --rekor-url "$rekor1_url" --identity-token "$(token_of "$1")" "${@:2}"
}

cosign2_legacy() { cosign2_signs "$@"; }
cosign2_legacy_tsa() { cosign2_signs "$@" --timestamp-server-url "$tsa_url"; }
cosign2_bundle() { cosign2_signs "$@" --new-bundle-format; }
cosign2_bundle_tsa() { cosign2_signs "$@" --new-bundle-format --timestamp-server-url "$tsa_url"; }

cosign3_legacy() {
    cosign3 sign -y --allow-http-registry --trusted-root "$sigstore_trust/trusted_root.json" --fulcio-url "$fulcio_url" \
        --use-signing-config=false --new-bundle-format=false --rekor-url "$rekor1_url" --identity-token "$(token_of "$1")" "${@:2}"
}

# cosign3_bundle CONFIG SIGNER IMAGE...
cosign3_bundle() {
    cosign3 sign -y --allow-http-registry --trusted-root "$sigstore_trust/trusted_root.json" \
        --signing-config "$sigstore_trust/$1.json" --identity-token "$(token_of "$2")" "${@:3}"
}

cosign3_attestation() {
    echo '{"builder": {"id": "https://example.com/builder"}}' >"$machine/predicate"
    cosign3 attest -y --allow-http-registry --trusted-root "$sigstore_trust/trusted_root.json" --type custom \
        --predicate "$machine/predicate" --signing-config "$sigstore_trust/rekor1.json" --identity-token "$(token_of "$1")" "$2"
}

cosign2_key() {
    cosign2 sign -y --allow-http-registry --key "$work/keys/acme.key" --trusted-root "$sigstore_trust/trusted_root.json" \
        --rekor-url "$rekor1_url" "$@"
}

cosign3_key_bundle() {
    cosign3 sign -y --allow-http-registry --key "$work/keys/acme.key" --trusted-root "$sigstore_trust/trusted_root.json" \
        --signing-config "$sigstore_trust/rekor1.json" "$@"
}

# --- what is signed --------------------------------------------------------------------------------------------------

# NAME|MAKER|FORM|SIGNER|what the judges below say, in their order. The words are those of `verdict`.
#   no-root      cosign reads a bundle only with a whole trusted root
#   no-tsa       with --use-signed-timestamps cosign 2 wants one
#   no-time      cosign 2 takes no other time than the log's
# Where a bundle lies, both cosigns look at nothing else: the rows both, beside and strange.
judges=(cosign2-env cosign2-root cosign2-tsa cosign3-env cosign3-root ours-env ours-root)
images=(
    "c2_legacy|cosign 2|legacy, Rekor v1|dev|ok ok ok ok ok ok ok"
    "c2_legacy_tsa|cosign 2|legacy, Rekor v1, TSA|dev|ok ok ok ok ok ok ok"
    "c3_legacy|cosign 3|legacy, Rekor v1|dev|ok ok ok ok ok ok ok"
    "c2_bundle1|cosign 2|bundle, Rekor v1|dev|no-root ok no-tsa no-root ok ok ok"
    "c2_bundle1_tsa|cosign 2|bundle, Rekor v1, TSA|dev|no-root ok ok no-root ok ok ok"
    "c3_bundle1|cosign 3|bundle, Rekor v1|dev|no-root ok no-tsa no-root ok ok ok"
    "c3_bundle1_tsa|cosign 3|bundle, Rekor v1, TSA|dev|no-root ok ok no-root ok ok ok"
    "c3_bundle2_tsa|cosign 3|bundle, Rekor v2, TSA|dev|no-root no-time ok no-root ok ok ok"
    "job_legacy|cosign 2|legacy, Rekor v1|job|ok ok ok ok ok ok ok"
    "job_bundle1|cosign 3|bundle, Rekor v1|job|no-root ok no-tsa no-root ok ok ok"
    "job_bundle2_tsa|cosign 3|bundle, Rekor v2, TSA|job|no-root no-time ok no-root ok ok ok"
    "both|cosign 2, 3|legacy; bundle, Rekor v2, TSA|dev|no-root no-time ok no-root ok ok ok"
    "two|cosign 3|bundles by eve and dev|dev|no-root ok no-tsa no-root ok ok ok"
    "strange|cosign 2, 3|legacy by dev; bundle by eve|dev|no-root identity no-tsa no-root identity ok ok"
    "key_beside|cosign 2, 3|legacy by a key; bundle by dev|dev|no-root ok no-tsa no-root ok ok ok"
    "beside_key|cosign 2, 3|legacy by dev; bundle by a key|dev|no-root key no-tsa no-root key ok ok"
    "attested|cosign 3|an attestation only|dev|no-root ok no-tsa no-root ok unsigned unsigned"
    "moved|cosign 2|legacy, of another image|dev|binding binding binding binding binding binding binding"
    "unsigned|nobody|nothing|dev|unsigned unsigned unsigned unsigned unsigned unsigned unsigned"
)

make_c2_legacy() { cosign2_legacy dev "$1"; }
make_c2_legacy_tsa() { cosign2_legacy_tsa dev "$1"; }
make_c3_legacy() { cosign3_legacy dev "$1"; }
make_c2_bundle1() { cosign2_bundle dev "$1"; }
make_c2_bundle1_tsa() { cosign2_bundle_tsa dev "$1"; }
make_c3_bundle1() { cosign3_bundle rekor1 dev "$1"; }
make_c3_bundle1_tsa() { cosign3_bundle rekor1-tsa dev "$1"; }
make_c3_bundle2_tsa() { cosign3_bundle rekor2-tsa dev "$1"; }
make_job_legacy() { cosign2_legacy job "$1"; }
make_job_bundle1() { cosign3_bundle rekor1 job "$1"; }
make_job_bundle2_tsa() { cosign3_bundle rekor2-tsa job "$1"; }
make_both() { cosign2_legacy dev "$1" && cosign3_bundle rekor2-tsa dev "$1"; }
make_two() { cosign3_bundle rekor1 eve "$1" && cosign3_bundle rekor1 dev "$1"; }
make_strange() { cosign2_legacy dev "$1" && cosign3_bundle rekor1 eve "$1"; }
make_key_beside() { cosign2_key "$1" && cosign3_bundle rekor1 dev "$1"; }
make_beside_key() { cosign2_legacy dev "$1" && cosign3_key_bundle "$1"; }
make_attested() { cosign3_attestation dev "$1"; }
make_unsigned() { crane manifest "$1"; }

make_moved() {
    local other=${1%/*}/other
    other=$other@$(append_image "$other:1" moved-from | sed 's/.*@//')
    cosign2_legacy dev "$other"
    crane copy "$(dot_sig "$other")" "$(dot_sig "$1")"
}

dot_sig() { local digest=${1#*@}; echo "${1%@*}:${digest/:/-}.sig"; }

# append_image REFERENCE CONTENT: prints it by digest.
append_image() {
    mkdir -p "$machine/content"
    echo "$2" >"$machine/content/file"
    tar -C "$machine/content" -cf "$machine/layer.tar" file
    crane append --oci-empty-base -f "$machine/layer.tar" -t "$1" 2>"$machine/crane" || { cat "$machine/crane" >&2; return 1; }
}

# make_image NAME: in the registry, by the function of this name.
make_image() {
    append_image "$address/$1/image:1" "$1" >"$work/images/$registry-$1"
    "make_$1" "$(image "$1")"
}

image() { cat "$work/images/$registry-$1"; }

# --- who judges ------------------------------------------------------------------------------------------------------

sigstore_variables() {
    export SIGSTORE_ROOT_FILE=$sigstore_trust/fulcio.pem SIGSTORE_REKOR_PUBLIC_KEY=$sigstore_trust/rekor1.pub \
        SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=$sigstore_trust/ctlog.pub SIGSTORE_TSA_CERTIFICATE_FILE=$sigstore_trust/tsa.pem
}

# judge_JUDGE SUBJECT ISSUER IMAGE. env is the trust of the SIGSTORE_ variables alone.
judge_cosign2-env() { sigstore_variables && cosign_judges cosign2 "$@"; }
judge_cosign2-root() { cosign_judges cosign2 "$@" --trusted-root "$sigstore_trust/trusted_root.json"; }
judge_cosign2-tsa() { cosign_judges cosign2 "$@" --trusted-root "$sigstore_trust/trusted_root.json" --use-signed-timestamps; }
judge_cosign3-env() { sigstore_variables && cosign_judges cosign3 "$@"; }
judge_cosign3-root() { cosign_judges cosign3 "$@" --trusted-root "$sigstore_trust/trusted_root.json"; }
judge_ours-env() { sigstore_variables && ours_judges "$@"; }
judge_ours-root() { ours_judges "$@" --trusted-root "$sigstore_trust/trusted_root.json"; }

cosign_judges() { "$1" verify --allow-http-registry --certificate-identity "$2" --certificate-oidc-issuer "$3" "${@:4}"; }
ours_judges() { "$BIN" verify --certificate-identity "$1" --certificate-oidc-issuer "$2" "${@:3}"; }

# verdict JUDGE COMMAND...: what it says, in one word, into $machine/verdict. Ours are told by the exit code alone; the words
# for the others are found in what they write, and what no word fits is shown with its exit code.
verdict() {
    local code=0 word
    "${@:2}" >"$machine/said" 2>&1 || code=$?
    cat "$machine/said"
    if [ "$code" = 0 ]; then
        word=ok
    elif [[ $1 == ours* ]]; then
        word=$(our_word "$code")
    else
        word=$(their_word "$machine/said") || word="exit-$code"
    fi
    echo "$word" >"$machine/verdict"
    echo "--- exit $code: $word"
}

our_word() {
    case $1 in
        10) echo unsigned ;;
        12) echo identity ;;
        14) echo binding ;;
        *) echo "exit-$1" ;;
    esac
}

their_word() {
    local text word
    while IFS='|' read -r word text; do
        if grep -qF -- "$text" "$1"; then
            echo "$word"
            return
        fi
    done <<'EOT'
no-root|trusted root is required when using new bundle format
no-tsa|threshold not met for verified signed timestamps
no-time|threshold not met for verified log entry integrated timestamps
identity|none of the expected identities matched
identity|failed to verify certificate identity
key|expected certificate signature, not public key
key|expected key signature, not certificate
binding|invalid or missing digest in claim
unsigned|no signatures found
EOT
    return 1
}

# judge_says JUDGE EXPECTED COMMAND...
judge_says() {
    verdict "$1" "${@:3}"
    [ "$(cat "$machine/verdict")" = "$2" ] || fail "expected: $2"
}

# judged NAME JUDGE EXPECTED SUBJECT ISSUER: also for the table.
judged() {
    verdict "$2" "judge_$2" "$4" "$5" "$(image "$1")"
    cp "$machine/verdict" "$work/verdicts/$registry-$1-$2"
    [ "$(cat "$machine/verdict")" = "$3" ] || fail "expected: $3"
}

# --- images ----------------------------------------------------------------------------------------------------------

# everything_at REGISTRY ADDRESS
everything_at() {
    local name maker form signer expected judge index
    registry=$1 address=$2
    for row in "${images[@]}"; do
        IFS='|' read -r name maker form signer expected <<<"$row"
        check "$registry, $name is made" make_image "$name"
        index=0
        for judge in "${judges[@]}"; do
            read -ra words <<<"$expected"
            check "$registry, $name: $judge says ${words[index]}" judged "$name" "$judge" "${words[index]}" \
                "$(identity "$signer")" "$(issuer "$signer")"
            index=$((index + 1))
        done
        strangers_at "$name" "$signer" "${words[-1]}"
    done
}

# strangers_at NAME SIGNER WORD: who is not the signer is told so, unless there is no signature at all.
strangers_at() {
    local which subject issuer word=identity
    [ "$3" = ok ] || word=$3
    while read -r which subject issuer; do
        check "$registry, $1: another $which: ours says $word" judge_says ours "$word" judge_ours-root "$subject" "$issuer" "$(image "$1")"
    done < <(strangers "$2")
}

# --- all of it -------------------------------------------------------------------------------------------------------

print_row() { printf '%-12s %-30s %-16s' "${@:1:3}" && printf ' %-12s' "${@:4}" && echo; }

print_table() {
    local row name maker form signer judge words
    echo
    print_row maker form registry "${judges[@]}"
    for row in "${images[@]}"; do
        IFS='|' read -r name maker form signer _ <<<"$row"
        [ "$signer" != job ] || form="$form (job)"
        for registry in olareg docker-registry; do
            words=()
            for judge in "${judges[@]}"; do words+=("$(cat "$work/verdicts/$registry-$name-$judge" 2>/dev/null || echo -)"); done
            print_row "$maker" "$form" "$registry" "${words[@]}"
        done
    done
}

prepare() {
    start_sigstore || return
    referrers=$(start_olareg olareg) || return
    plain=$(start_docker_registry docker-registry) || return
    (cd "$work/keys" && COSIGN_PASSWORD='' cosign2 generate-key-pair --output-key-prefix acme)
}

main() {
    in_private_network "$0" "${only[@]}"
    required cosign2 cosign3 crane docker-registry olareg luet-host "$BIN"
    servers_begin
    work=$SERVERS_DIR/work
    mkdir -p "$work"/{home,images,keys,plugins,verdicts}
    # Copied: the program must not change under a run.
    cp "$BIN" "$work/plugins/luet-cosign"
    BIN=$work/plugins/luet-cosign
    export PATH=$work/plugins:$PATH HOME=$work/home COSIGN_PASSWORD=''
    local began=$EPOCHREALTIME
    if ! prepare >"$work/prepared" 2>&1; then
        cat "$work/prepared"
        echo "FAILED to prepare"
        printf '\n%s passed, %s failed\n' "$passed" $((failed + 1))
        exit 1
    fi
    echo "Sigstore is up after $(since "$began") s"
    everything_at olareg "$referrers"
    everything_at docker-registry "$plain"
    print_table
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

main

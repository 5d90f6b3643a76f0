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
    install -d -m 700 "$machine/state" "$machine/cache"
    export HOME=$machine/home TMPDIR=$machine/tmp LUET_COSIGN_STATE=$machine/state \
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

# ours_signs CONFIG SIGNER IMAGE...: twice, for the second time must find the first.
ours_signs() {
    local said=$machine/signed
    for _ in first second; do
        "$BIN" sign -y --trusted-root "$sigstore_trust/trusted_root.json" --signing-config "$sigstore_trust/$1.json" \
            --identity-token "$(token_of "$2")" "${@:3}" 2>&1 | tee "$said"
    done
    grep -q '^already signed:' "$said" || fail "signed twice"
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
    "c3_bundle2_tsa|cosign 3|bundle, Rekor v2, TSA|dev|no-root no-time ok no-root ok tlog ok"
    "job_legacy|cosign 2|legacy, Rekor v1|job|ok ok ok ok ok ok ok"
    "job_bundle1|cosign 3|bundle, Rekor v1|job|no-root ok no-tsa no-root ok ok ok"
    "job_bundle2_tsa|cosign 3|bundle, Rekor v2, TSA|job|no-root no-time ok no-root ok tlog ok"
    "both|cosign 2, 3|legacy; bundle, Rekor v2, TSA|dev|no-root no-time ok no-root ok ok ok"
    "us_legacy|ours|legacy, Rekor v1|dev|ok ok ok ok ok ok ok"
    "us_legacy_tsa|ours|legacy, Rekor v1, TSA|dev|ok ok ok ok ok ok ok"
    "us_bundle1|ours|bundle, Rekor v1|dev|no-root ok no-tsa no-root ok ok ok"
    "us_bundle1_tsa|ours|bundle, Rekor v1, TSA|dev|no-root ok ok no-root ok ok ok"
    "us_bundle2_tsa|ours|bundle, Rekor v2, TSA|dev|no-root no-time ok no-root ok tlog ok"
    "us_both|ours|legacy and bundle, Rekor v1, TSA|dev|no-root ok ok no-root ok ok ok"
    "us_job_legacy|ours|legacy, Rekor v1, TSA|job|ok ok ok ok ok ok ok"
    "us_job_bundle2|ours|bundle, Rekor v2, TSA|job|no-root no-time ok no-root ok tlog ok"
    "two|cosign 3|bundles by eve and dev|dev|no-root ok no-tsa no-root ok ok ok"
    "strange|cosign 2, 3|legacy by dev; bundle by eve|dev|no-root identity no-tsa no-root identity ok ok"
    "key_beside|cosign 2, 3|legacy by a key; bundle by dev|dev|no-root ok no-tsa no-root ok ok ok"
    "beside_key|cosign 2, 3|legacy by dev; bundle by a key|dev|no-root key key no-root key ok ok"
    "attested|cosign 3|an attestation only|dev|no-root ok no-tsa no-root ok unsigned unsigned"
    "unlogged|cosign 2|legacy, TSA, no log|dev|no-log no-log no-log no-log no-log tlog tlog"
    "c3_tuf|cosign 3|bundle, as TUF says|dev|no-root ok no-tsa no-root ok ok ok"
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
make_unlogged() { cosign2_legacy_tsa dev "$1" --tlog-upload=false; }
make_us_legacy() { ours_signs rekor1 dev "$1"; }
make_us_legacy_tsa() { ours_signs rekor1-tsa dev "$1"; }
make_us_bundle1() { ours_signs rekor1 dev "$1" --format bundle; }
make_us_bundle1_tsa() { ours_signs rekor1-tsa dev "$1" --format bundle; }
make_us_bundle2_tsa() { ours_signs rekor2-tsa dev "$1"; }
make_us_both() { ours_signs rekor1-tsa dev "$1" --format both; }
make_us_job_legacy() { ours_signs rekor1-tsa job "$1"; }
make_us_job_bundle2() { ours_signs rekor2-tsa job "$1"; }
make_unsigned() { crane manifest "$1"; }

make_c3_tuf() {
    cosign3 initialize --mirror "$tuf_url" --root "$sigstore_trust/tuf/1.root.json"
    cosign3 sign -y --allow-http-registry --identity-token "$(token_of dev)" "$1"
}

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

cosign_judges() {
    "$1" verify --allow-http-registry --rekor-url "$rekor1_url" --certificate-identity "$2" --certificate-oidc-issuer "$3" "${@:4}"
}
ours_judges() { "$BIN" verify --certificate-identity "$1" --certificate-oidc-issuer "$2" "${@:3}"; }

# verdict JUDGE COMMAND...: what it says, in one word, into $machine/verdict. Ours are classes, if the exit code is that of the
# class; the words for the others are found in what they write. What no word fits is shown with its exit code.
verdict() {
    local code=0 word
    "${@:2}" >"$machine/said" 2>&1 || code=$?
    cat "$machine/said"
    if [ "$code" = 0 ]; then
        word=ok
    elif [[ $1 == ours* ]]; then
        word=$(our_word "$machine/said" "$code") || word="exit-$code"
    else
        word=$(their_word "$machine/said") || word="exit-$code"
    fi
    echo "$word" >"$machine/verdict"
    echo "--- exit $code: $word"
}

declare -A exit_of=(
    [usage]=2 [trustroot]=3 [unsigned]=10 [identity]=12 [malformed]=14 [digest]=14 [signature]=14 [time]=14 [tlog]=14 [binding]=14
    [unsupported]=15 [net]=20
)

our_word() {
    local class
    class=$(sed -n 's/^error: \([a-z-]*\): .*/\1/p' "$1" | head -n 1)
    [ -n "$class" ] && [ "${exit_of[$class]-}" = "$2" ] && echo "$class"
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
key|transparency log certificate does not match
key|expected key signature, not certificate
binding|invalid or missing digest in claim
unsigned|no signatures found
no-log|signature not found in transparency log
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
    keys_at
    others_at
    tuf_at
    installs_at
    published_at
}

# strangers_at NAME SIGNER WORD: who is not the signer is told so, unless there is no signature at all. Of a signature that was
# made for another image too: who made it comes first.
strangers_at() {
    local which subject issuer word=identity
    case $3 in ok | binding) ;; *) word=$3 ;; esac
    while read -r which subject issuer; do
        check "$registry, $1: another $which: ours says $word" judge_says ours "$word" judge_ours-root "$subject" "$issuer" "$(image "$1")"
        check "$registry, $1: another $which: event says $word" event_for_stranger "$word" "$2" "$subject" "$issuer" "$(image "$1")"
    done < <(strangers "$2")
    check "$registry, $1: event says $3" event_for_signer "$3" "$2" "$(image "$1")"
}

# --- events ----------------------------------------------------------------------------------------------------------

# trusting SIGNER: what somebody sets who trusts this one.
trusting() {
    export COSIGN_EXPERIMENTAL=1 COSIGN_TRUSTED_ROOT=$sigstore_trust/trusted_root.json
    COSIGN_CERTIFICATE_IDENTITY=$(identity "$1") COSIGN_CERTIFICATE_OIDC_ISSUER=$(issuer "$1")
    export COSIGN_CERTIFICATE_IDENTITY COSIGN_CERTIFICATE_OIDC_ISSUER
}

# event IMAGE: the event before it is unpacked; the class of the error, or ok, into $machine/verdict.
event() {
    mkdir -p "$machine/dest"
    "$BIN" image.pre.unpack "$(printf '{"name":"image.pre.unpack","data":"{\\"Image\\":\\"%s\\",\\"Dest\\":\\"%s\\"}","file":""}' \
        "$1" "$machine/dest")" >"$machine/answer"
    cat "$machine/answer"
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["error"].split(":")[0] or "ok")' "$machine/answer" >"$machine/verdict"
}

event_says() {
    event "$2"
    [ "$(cat "$machine/verdict")" = "$1" ] || fail "expected: $1"
}

event_for_signer() { trusting "$2" && event_says "$1" "$3"; }

event_for_stranger() {
    trusting "$2"
    COSIGN_CERTIFICATE_IDENTITY=$3 COSIGN_CERTIFICATE_OIDC_ISSUER=$4 event_says "$1" "$5"
}

# Without a word about who may have signed, nobody may; the text names who did.
event_without_identity() {
    trusting dev
    unset COSIGN_CERTIFICATE_IDENTITY COSIGN_CERTIFICATE_OIDC_ISSUER
    event_says identity "$1"
    grep -F dev@example.com "$machine/answer" | grep -qF "$issuer_url" || fail "it does not name the signer"
}

# The root that is built in does not know this Sigstore; asking outside is not possible here, and ends soon.
event_with_public_root() {
    local began=$SECONDS
    trusting dev
    unset COSIGN_TRUSTED_ROOT
    event "$1"
    ! grep -xE 'ok|unsigned' "$machine/verdict" || fail "that must be refused, as signed"
    [ $((SECONDS - began)) -lt 20 ] || fail "it took $((SECONDS - began)) s"
}

# --- keys beside certificates ----------------------------------------------------------------------------------------

judge_key_cosign2() { cosign2 verify --allow-http-registry --key "$work/keys/acme.pub" --trusted-root "$sigstore_trust/trusted_root.json" "$1"; }
judge_key_cosign3() { cosign3 verify --allow-http-registry --key "$work/keys/acme.pub" --trusted-root "$sigstore_trust/trusted_root.json" "$1"; }
judge_key_ours() { "$BIN" verify --key "$work/keys/acme.pub" "$1"; }

# The key's signature counts for whoever trusts the key, wherever the other one lies.
keys_at() {
    check "$registry, key_beside: cosign2 --key says key" judge_says cosign2 key judge_key_cosign2 "$(image key_beside)"
    check "$registry, key_beside: cosign3 --key says key" judge_says cosign3 key judge_key_cosign3 "$(image key_beside)"
    check "$registry, key_beside: ours --key says ok" judge_says ours ok judge_key_ours "$(image key_beside)"
    check "$registry, beside_key: cosign2 --key says ok" judge_says cosign2 ok judge_key_cosign2 "$(image beside_key)"
    check "$registry, beside_key: cosign3 --key says ok" judge_says cosign3 ok judge_key_cosign3 "$(image beside_key)"
    check "$registry, beside_key: ours --key says ok" judge_says ours ok judge_key_ours "$(image beside_key)"
    check "$registry, c2_legacy: ours --key says identity" judge_says ours identity judge_key_ours "$(image c2_legacy)"
    check "$registry, c3_bundle1: ours --key says identity" judge_says ours identity judge_key_ours "$(image c3_bundle1)"
}

# --- patterns, other roots -------------------------------------------------------------------------------------------

judge_regexp() {
    "$BIN" verify --trusted-root "$sigstore_trust/trusted_root.json" --certificate-identity-regexp "$1" \
        --certificate-oidc-issuer-regexp "$2" "$3"
}

judge_other_root() { ours_judges "$(identity dev)" "$issuer_url" "$1" --trusted-root "$work/other.json"; }

others_at() {
    local name
    for name in c2_legacy c3_bundle2_tsa; do
        check "$registry, $name: ours says ok to a pattern" judge_says ours ok \
            judge_regexp '^dev@example\.com$' '^http://127\.0\.0\.1:8888$' "$(image "$name")"
        check "$registry, $name: ours says identity to another pattern" judge_says ours identity \
            judge_regexp '^eve@example\.com$' '^http://127\.0\.0\.1:8888$' "$(image "$name")"
        check "$registry, $name: ours says identity to another pattern of issuers" judge_says ours identity \
            judge_regexp '^dev@example\.com$' '^https://' "$(image "$name")"
        check "$registry, $name: another root with the same names, ours" refused_as_signed judge_other_root "$(image "$name")"
        check "$registry, $name: event without an identity" event_without_identity "$(image "$name")"
        check "$registry, $name: event with the public root" event_with_public_root "$(image "$name")"
    done
}

# refused_as_signed COMMAND...: neither a success, nor "unsigned", nor a bug.
refused_as_signed() {
    verdict ours "$@"
    case $(cat "$machine/verdict") in
        ok | unsigned | exit-*) fail "that must be refused, as signed" ;;
    esac
}

# make_other_root: the same Sigstore by all names, with other keys.
make_other_root() {
    local sigstore_keys=$work/other/keys sigstore_trust=$work/other/trust
    mkdir -p "$sigstore_keys" "$sigstore_trust"
    make_service_keys && make_trust && cp "$sigstore_trust/trusted_root.json" "$work/other.json"
}

# --- blobs -----------------------------------------------------------------------------------------------------------

# NAME|MAKER|FORM|SIGNER|what cosign 2, cosign 3, sigstore-python and we say. `-`: it can't be asked.
# KIND of FORM: files are a signature and a certificate; old is cosign's first bundle; new is Sigstore's.
blob_judges=(cosign2 cosign3 python ours)
blobs=(
    "c2_files|cosign 2|files, Rekor v1|dev|ok ok - ok"
    "c3_files|cosign 3|files, Rekor v1|dev|ok ok - ok"
    "py_files|sigstore-python|files, Rekor v1|dev|ok ok - ok"
    "c2_old|cosign 2|old bundle, Rekor v1|dev|ok ok - ok"
    "c3_old|cosign 3|old bundle, Rekor v1|dev|ok ok - ok"
    "c2_new1|cosign 2|new bundle, Rekor v1|dev|ok ok ok ok"
    "c2_new1_tsa|cosign 2|new bundle, Rekor v1, TSA|dev|ok ok ok ok"
    "c2_new2_tsa|cosign 2|new bundle, Rekor v2, TSA|dev|no-time ok ok ok"
    "c3_new1|cosign 3|new bundle, Rekor v1|dev|ok ok ok ok"
    "c3_new1_tsa|cosign 3|new bundle, Rekor v1, TSA|dev|ok ok ok ok"
    "c3_new2_tsa|cosign 3|new bundle, Rekor v2, TSA|dev|no-time ok ok ok"
    "py_new1|sigstore-python|new bundle, Rekor v1|dev|ok ok ok ok"
    "py_new1_tsa|sigstore-python|new bundle, Rekor v1, TSA|dev|ok ok ok ok"
    "py_new2_tsa|sigstore-python|new bundle, Rekor v2, TSA|dev|no-time ok ok ok"
    "us_files|ours|files, Rekor v1|dev|ok ok - ok"
    "us_old|ours|old bundle, Rekor v1|dev|ok ok - ok"
    "us_new1|ours|new bundle, Rekor v1|dev|ok ok ok ok"
    "us_new1_tsa|ours|new bundle, Rekor v1, TSA|dev|ok ok ok ok"
    "us_new2_tsa|ours|new bundle, Rekor v2, TSA|dev|no-time ok ok ok"
    "us_job_new2|ours|new bundle, Rekor v2, TSA|job|no-time ok ok ok"
    "job_new1|cosign 3|new bundle, Rekor v1|job|ok ok ok ok"
    "job_new2_tsa|sigstore-python|new bundle, Rekor v2, TSA|job|no-time ok ok ok"
    "unlogged_files|cosign 2|files, not logged|dev|no-log no-log - tlog"
)

# FUNCTION SIGNER, in the folder of the blob
cosign2_blob() {
    cosign2 sign-blob -y --trusted-root "$sigstore_trust/trusted_root.json" --fulcio-url "$fulcio_url" --rekor-url "$rekor1_url" \
        --identity-token "$(token_of "$1")" "${@:2}" blob
}
old_blob() {
    cosign3 sign-blob -y --trusted-root "$sigstore_trust/trusted_root.json" --fulcio-url "$fulcio_url" --rekor-url "$rekor1_url" \
        --use-signing-config=false --new-bundle-format=false --identity-token "$(token_of "$1")" "${@:2}" blob
}
# cosign_new_blob COSIGN CONFIG SIGNER
cosign_new_blob() {
    "$1" sign-blob -y --trusted-root "$sigstore_trust/trusted_root.json" --signing-config "$sigstore_trust/$2.json" \
        --new-bundle-format --identity-token "$(token_of "$3")" --bundle new blob
}
# ours_blob CONFIG SIGNER OPTION...
ours_blob() {
    "$BIN" sign-blob -y --trusted-root "$sigstore_trust/trusted_root.json" --signing-config "$sigstore_trust/$1.json" \
        --identity-token "$(token_of "$2")" "${@:3}" blob
}
sigstore_python() { "$services_python" -m sigstore --trust-config "$sigstore_trust/python/$1.json" "${@:2}"; }
python_blob() { sigstore_python "$1" sign --identity-token "$(token_of "$2")" --bundle new --signature sig --certificate pem blob; }

make_us_files() { ours_blob rekor1 dev --output-signature sig --output-certificate pem; }
make_us_old() { ours_blob rekor1 dev --new-bundle-format=false --bundle old; }
make_us_new1() { ours_blob rekor1 dev --bundle new; }
make_us_new1_tsa() { ours_blob rekor1-tsa dev --bundle new; }
make_us_new2_tsa() { ours_blob rekor2-tsa dev --bundle new; }
make_us_job_new2() { ours_blob rekor2-tsa job --bundle new; }
make_c2_files() { cosign2_blob dev --output-signature sig --output-certificate pem; }
make_c3_files() { old_blob dev --output-signature sig --output-certificate pem; }
make_py_files() { python_blob rekor1-tsa dev; }
make_c2_old() { cosign2_blob dev --bundle old; }
make_c3_old() { old_blob dev --bundle old; }
make_c2_new1() { cosign_new_blob cosign2 rekor1 dev; }
make_c2_new1_tsa() { cosign_new_blob cosign2 rekor1-tsa dev; }
make_c2_new2_tsa() { cosign_new_blob cosign2 rekor2-tsa dev; }
make_c3_new1() { cosign_new_blob cosign3 rekor1 dev; }
make_c3_new1_tsa() { cosign_new_blob cosign3 rekor1-tsa dev; }
make_c3_new2_tsa() { cosign_new_blob cosign3 rekor2-tsa dev; }
make_py_new1() { python_blob rekor1 dev; }
make_py_new1_tsa() { python_blob rekor1-tsa dev; }
make_py_new2_tsa() { python_blob rekor2-tsa dev; }
make_job_new1() { cosign_new_blob cosign3 rekor1 job; }
make_job_new2_tsa() { python_blob rekor2-tsa job; }
make_unlogged_files() { cosign2_blob dev --output-signature sig --output-certificate pem --tlog-upload=false; }

make_blob() {
    mkdir -p "$work/blobs/$1"
    cd "$work/blobs/$1"
    { echo "$1" && head -c 100000 /dev/urandom; } >blob
    "make_$1"
    ls -l
}

# evidence NAME KIND: the words by which every verifier is told where the signature is.
evidence() {
    local dir=$work/blobs/$1
    case $2 in
        files) printf '%s\n' --signature "$dir/sig" --certificate "$dir/pem" --rekor-url "$rekor1_url" ;;
        *) printf '%s\n' --bundle "$dir/$2" ;;
    esac
}

# judge_blob_JUDGE NAME KIND SUBJECT ISSUER FILE. The cosigns take a root file for new bundles only.
judge_blob_cosign2() { cosign_judges_blob cosign2 "$@"; }
judge_blob_cosign3() { cosign_judges_blob cosign3 "$@"; }
cosign_judges_blob() {
    local words
    mapfile -t words < <(evidence "$2" "$3")
    if [ "$3" = new ]; then words+=(--new-bundle-format --trusted-root "$sigstore_trust/trusted_root.json"); else sigstore_variables; fi
    "$1" verify-blob "${words[@]}" --certificate-identity "$4" --certificate-oidc-issuer "$5" "$6"
}
judge_blob_python() {
    sigstore_python rekor1-tsa verify identity --offline --bundle "$work/blobs/$1/$2" --cert-identity "$3" --cert-oidc-issuer "$4" "$5"
}
judge_blob_ours() {
    local words
    mapfile -t words < <(evidence "$1" "$2")
    "$BIN" verify-blob "${words[@]}" --trusted-root "$sigstore_trust/trusted_root.json" --certificate-identity "$3" \
        --certificate-oidc-issuer "$4" "$5"
}

# What cosign's scripts look for.
ours_says_verified_ok() {
    judge_blob_ours "$@" >"$machine/stdout" 2>"$machine/stderr"
    grep -x 'Verified OK' "$machine/stderr" || fail "not Verified OK"
    [ ! -s "$machine/stdout" ] || fail "it wrote to its output"
}

blob_judged() {
    verdict "$2" "judge_blob_$2" "$1" "$4" "$5" "$6" "$work/blobs/$1/blob"
    cp "$machine/verdict" "$work/verdicts/blob-$1-$2"
    [ "$(cat "$machine/verdict")" = "$3" ] || fail "expected: $3"
}

ours_refuses_changed_blob() {
    { cat "$work/blobs/$1/blob" && echo; } >"$machine/changed"
    verdict ours judge_blob_ours "$1" "$2" "$3" "$4" "$machine/changed"
    case $(cat "$machine/verdict") in
        digest | signature | binding | tlog) ;;
        *) fail "that is another file" ;;
    esac
}

# Nothing else says when it was signed, so without the log nobody knows whether the certificate was valid.
ours_wants_a_log() {
    verdict ours "$BIN" verify-blob --signature "$work/blobs/c2_files/sig" --certificate "$work/blobs/c2_files/pem" \
        --rekor-url http://127.0.0.1:9 --trusted-root "$sigstore_trust/trusted_root.json" \
        --certificate-identity "$(identity dev)" --certificate-oidc-issuer "$issuer_url" "$work/blobs/c2_files/blob"
    [ "$(cat "$machine/verdict")" = net ] || fail "expected: net"
}

all_blobs() {
    local row name maker form signer expected kind judge index words which subject issuer
    for row in "${blobs[@]}"; do
        IFS='|' read -r name maker form signer expected <<<"$row"
        kind=${form%%[ ,]*}
        check "blob $name is made" make_blob "$name"
        read -ra words <<<"$expected"
        for index in "${!blob_judges[@]}"; do
            judge=${blob_judges[index]}
            [ "${words[index]}" != - ] || continue
            check "blob $name: $judge says ${words[index]}" blob_judged "$name" "$judge" "${words[index]}" "$kind" \
                "$(identity "$signer")" "$(issuer "$signer")"
        done
        [ "${words[-1]}" = ok ] || continue
        check "blob $name: ours says Verified OK" ours_says_verified_ok "$name" "$kind" "$(identity "$signer")" "$(issuer "$signer")" \
            "$work/blobs/$name/blob"
        while read -r which subject issuer; do
            check "blob $name: another $which: ours says identity" judge_says ours identity judge_blob_ours "$name" "$kind" \
                "$subject" "$issuer" "$work/blobs/$name/blob"
        done < <(strangers "$signer")
        check "blob $name: ours refuses a changed file" ours_refuses_changed_blob "$name" "$kind" "$(identity "$signer")" "$(issuer "$signer")"
    done
    check "blob c2_files: ours wants a log that answers" ours_wants_a_log
}

# --- the log, as text ------------------------------------------------------------------------------------------------

# Every entry that this run made: of files and of envelopes, by certificates and by keys.
tlog_prints() {
    local by=$1 size index word count=0
    size=$(curl -fs "$rekor1_url/api/v1/log" | python3 -c 'import json, sys; print(json.load(sys.stdin)["treeSize"])')
    for ((index = 0; index < size; index++)); do
        rekor-cli get --rekor_server "$rekor1_url" --log-index "$index" >"$machine/theirs"
        word=$index
        [ "$by" = log-index ] || word=$(sed -n 's/^UUID: //p' "$machine/theirs")
        [ "$by" != leaf ] || word=${word: -64}
        "$BIN" tlog get "--${by/leaf/uuid}" "$word" --rekor-url "$rekor1_url" --trusted-root "$sigstore_trust/trusted_root.json" >"$machine/ours" || fail "entry $index"
        cmp "$machine/theirs" "$machine/ours" || { diff "$machine/theirs" "$machine/ours" | head -n 20; fail "entry $index"; }
        grep -oE '"[A-Za-z]+Obj"' "$machine/theirs" >>"$machine/kinds"
        count=$((count + 1))
    done
    sort "$machine/kinds" | uniq -c
    [ "$(sort -u "$machine/kinds" | wc -l)" -ge 2 ] || fail "all of one kind"
    [ "$count" -ge 20 ] || fail "only $count entries"
}

tlog_says_absent() {
    local code=0
    "$BIN" tlog get --log-index 999999 --rekor-url "$rekor1_url" || code=$?
    [ "$code" = 11 ] || fail "exit $code, expected 11"
}

all_tlog() {
    check "tlog get --log-index prints what rekor-cli prints" tlog_prints log-index
    check "tlog get --uuid prints what rekor-cli prints" tlog_prints uuid
    check "tlog get --uuid takes an identifier without the tree" tlog_prints leaf
    check "tlog get says that there is no such entry" tlog_says_absent
}

# --- TUF -------------------------------------------------------------------------------------------------------------

tuf_requests() { grep -c '"GET ' "$SERVERS_DIR/tuf/log"; }

# cosign_trusts_tuf COSIGN IMAGE
cosign_trusts_tuf() {
    "$1" initialize --mirror "$tuf_url" --root "$sigstore_trust/tuf/1.root.json"
    judge_says "$1" ok cosign_judges "$1" "$(identity dev)" "$issuer_url" "$2"
}

# Our trust is refreshed when a signature names a key that is not known yet, and only then.
ours_trusts_tuf() {
    local before twice
    export TUF_MIRROR=$tuf_url TUF_ROOT_JSON=$sigstore_trust/tuf/1.root.json
    before=$(tuf_requests)
    judge_says ours ok ours_judges "$(identity dev)" "$issuer_url" "$1"
    echo "--- $(($(tuf_requests) - before)) requests"
    [ "$(tuf_requests)" -gt "$before" ] || fail "nothing was asked"
    twice=$(grep -oE '"GET [^ ]*' "$SERVERS_DIR/tuf/log" | tail -n +$((before + 1)) | sort | uniq -d)
    [ -z "$twice" ] || fail "asked twice: $twice"
    before=$(tuf_requests)
    judge_says ours ok ours_judges "$(identity dev)" "$issuer_url" "$1"
    [ "$(tuf_requests)" = "$before" ] || fail "asked again"
    LUET_COSIGN_OFFLINE=1 judge_says ours ok ours_judges "$(identity dev)" "$issuer_url" "$1"
    [ "$(tuf_requests)" = "$before" ] || fail "asked again"
}

ours_distrusts_tuf() {
    export TUF_MIRROR=$tuf_url TUF_ROOT_JSON=$work/other/trust/tuf/1.root.json
    refused_as_signed ours_judges "$(identity dev)" "$issuer_url" "$1"
}

ours_asks_no_tuf() {
    local before
    export TUF_MIRROR=$tuf_url TUF_ROOT_JSON=$sigstore_trust/tuf/1.root.json
    before=$(tuf_requests)
    judge_says ours ok judge_ours-root "$(identity dev)" "$issuer_url" "$1"
    [ "$(tuf_requests)" = "$before" ] || fail "a root was given, and yet it asked"
}

event_trusts_tuf() {
    trusting dev
    unset COSIGN_TRUSTED_ROOT
    export TUF_MIRROR=$tuf_url TUF_ROOT_JSON=$sigstore_trust/tuf/1.root.json
    event_says ok "$1"
}

tuf_at() {
    local name
    check "$registry, tuf: cosign2 says ok" cosign_trusts_tuf cosign2 "$(image c2_legacy)"
    check "$registry, tuf: cosign3 says ok" cosign_trusts_tuf cosign3 "$(image c3_bundle2_tsa)"
    for name in c2_legacy c3_bundle1 c3_bundle2_tsa; do
        check "$registry, tuf, $name: ours refreshes once, keeps it, and asks no more" ours_trusts_tuf "$(image "$name")"
        check "$registry, tuf, $name: ours refuses a repository of another root" ours_distrusts_tuf "$(image "$name")"
        check "$registry, tuf, $name: ours asks nobody where a root is given" ours_asks_no_tuf "$(image "$name")"
        check "$registry, tuf, $name: event says ok" event_trusts_tuf "$(image "$name")"
    done
}

# --- installs --------------------------------------------------------------------------------------------------------

# What a host that publishes is given more: a plugin.
publishing=()

make_package() {
    mkdir -p "$machine/content/usr/bin"
    echo toolchain/yip@1.0 >"$machine/content/usr/bin/yip"
    luet-host pack toolchain/yip@1.0 "$machine/content" --packages "$machine/packages"
    luet-host create-repo "${publishing[@]}" --type docker --push-images --backend none --packages "$machine/packages" --output "$1" --name repo
}

# make_repository ADDRESS SIGN...: everything that an install fetches is signed.
make_repository() {
    local tag images=()
    make_package "$1"
    for tag in repository.yaml tree.tar.gz repository.meta.yaml.tar yip-toolchain-1.0; do
        images+=("$1@$(crane digest "$1:$tag")")
    done
    [ "$2" = true ] || "${@:2}" "${images[@]}"
}

# publishes ADDRESS SIGNER VARIABLE...: the host, with nothing but a token and where the services are.
publishes() {
    local publishing=(--plugin luet-cosign) tag
    (
        export COSIGN_EXPERIMENTAL=1 LUET_COSIGN_ENGINE=registry "${@:3}"
        SIGSTORE_ID_TOKEN=$(token_of "$2")
        export SIGSTORE_ID_TOKEN
        make_package "$1" 2>&1 | tee "$machine/published"
        ! grep -qF "$SIGSTORE_ID_TOKEN" "$machine/published" || fail "the token is shown"
    )
    ! grep -E 'had an error|was replaced' "$machine/published" || fail "not published"
}

# key_is_logged FORM CONFIG JUDGE...: a key tells the log, and cosign asks for that.
key_is_logged() {
    local image
    image=$(append_image "$address/logged/$1-$2:1" logged)
    for _ in first second; do
        "$BIN" sign --key "$work/keys/acme.key" --tlog-upload --format "$1" --trusted-root "$sigstore_trust/trusted_root.json" \
            --signing-config "$sigstore_trust/$2.json" "$image"
    done
    for judge in "${@:3}"; do
        "$judge" verify --allow-http-registry --key "$work/keys/acme.pub" --rekor-url "$rekor1_url" \
            --trusted-root "$sigstore_trust/trusted_root.json" "$image"
    done
}

published_at() {
    local root=COSIGN_TRUSTED_ROOT=$sigstore_trust/trusted_root.json
    check "$registry, luet-host publishes keyless" publishes "$address/published/acme" job "$root" \
        "COSIGN_FULCIO_URL=$fulcio_url" "COSIGN_REKOR_URL=$rekor1_url" "COSIGN_TIMESTAMP_SERVER_URL=$tsa_url"
    check "$registry, luet-host installs published" installs "$address/published/acme" job
    check "$registry, luet-host does not install published by another workflow" install_is_refused "$address/published/acme" job \
        "${workload/release/test}" identity
    check "$registry, luet-host publishes keyless by TUF alone" publishes "$address/tuf/acme" dev "TUF_MIRROR=$tuf_url" \
        "TUF_ROOT_JSON=$sigstore_trust/tuf/1.root.json"
    check "$registry, luet-host installs published by TUF alone" installs "$address/tuf/acme" dev
    check "$registry, published: cosign2 says ok" judge_says cosign2 ok judge_cosign2-root "$(identity job)" "$(issuer job)" \
        "$address/published/acme:repository.yaml"
    check "$registry, published: cosign3 says ok" judge_says cosign3 ok judge_cosign3-root "$(identity job)" "$(issuer job)" \
        "$address/published/acme:repository.yaml"
    check "$registry, a key is logged in Rekor v1, legacy" key_is_logged legacy rekor1 cosign2 cosign3
    check "$registry, a key is logged in Rekor v1, bundle" key_is_logged bundle rekor1 cosign3
    check "$registry, a key is logged in Rekor v2" key_is_logged auto rekor2-tsa cosign3
    check "$registry, skopeo accepts us_legacy" skopeo_accepts us_legacy
    check "$registry, skopeo accepts us_legacy_tsa" skopeo_accepts us_legacy_tsa
}

# skopeo_accepts NAME: by the certificate's e-mail address; it knows no workflows. The intermediate comes from the signature.
skopeo_accepts() {
    mkdir -p "$machine/registries.d" "$machine/copied"
    cat >"$machine/policy.json" <<EOT
{"default": [{"type": "sigstoreSigned", "rekorPublicKeyPath": "$sigstore_trust/rekor1.pub", "signedIdentity": {"type": "matchRepository"},
  "fulcio": {"caPath": "$sigstore_keys/root.pem", "oidcIssuer": "$issuer_url", "subjectEmail": "dev@example.com"}}]}
EOT
    echo 'default-docker: {use-sigstore-attachments: true}' >"$machine/registries.d/default.yaml"
    skopeo --policy "$machine/policy.json" --registries.d "$machine/registries.d" --tmpdir "$machine/tmp" \
        copy --src-tls-verify=false "docker://$(image "$1")" "dir:$machine/copied"
}

install_package() {
    mkdir -p "$machine/root"
    cat >"$machine/luet.yaml" <<EOT
logging: {enable_emoji: false, color: false}
system: {rootfs: $machine/root, database_path: /var/cache/luet, tmpdir_base: $machine/tmp/tmpluet}
repositories:
- {name: acme, type: docker, enable: true, urls: ['$1']}
EOT
    code=0
    luet-host install --plugin luet-cosign -y toolchain/yip --config "$machine/luet.yaml" >"$machine/output" 2>&1 || code=$?
    cat "$machine/output"
    echo "--- exit $code"
    found=$(cd "$machine/root" && find . -path ./var/cache/luet -prune -o ! -type d -print)
}

installs() {
    trusting "$2"
    install_package "$1"
    [ "$code $found" = "0 ./usr/bin/yip" ] || fail "not installed: $found"
    ! grep -E 'state reported|had an error|WARN|ERROR|warning' "$machine/output" || fail "it should have been silent"
}

install_is_refused() {
    trusting "$2"
    [ -z "${3-}" ] || COSIGN_CERTIFICATE_IDENTITY=$3
    install_package "$1"
    [ "$code $found" = "2 " ] || fail "not refused, or installed: $found"
    grep -qE "had an error: $4: " "$machine/output" || fail "not $4"
}

installs_at() {
    local repository
    check "$registry, legacy repository is made" make_repository "$address/legacy/acme" cosign2_legacy dev
    check "$registry, bundle1 repository is made" make_repository "$address/bundle1/acme" cosign3_bundle rekor1 dev
    check "$registry, bundle1_tsa repository is made" make_repository "$address/bundle1_tsa/acme" cosign3_bundle rekor1-tsa dev
    check "$registry, bundle2_tsa repository is made" make_repository "$address/bundle2_tsa/acme" cosign3_bundle rekor2-tsa dev
    check "$registry, job repository is made" make_repository "$address/job/acme" cosign3_bundle rekor2-tsa job
    check "$registry, unsigned repository is made" make_repository "$address/unsigned/acme" true
    for repository in legacy bundle1 bundle1_tsa bundle2_tsa; do
        check "$registry, luet-host installs $repository" installs "$address/$repository/acme" dev
        check "$registry, luet-host does not install $repository by another" install_is_refused "$address/$repository/acme" dev \
            eve@example.com identity
    done
    check "$registry, luet-host installs job" installs "$address/job/acme" job
    check "$registry, luet-host does not install job of another workflow" install_is_refused "$address/job/acme" job \
        "${workload/release/test}" identity
    check "$registry, luet-host does not install what is unsigned" install_is_refused "$address/unsigned/acme" dev "" unsigned
}

# --- all of it -------------------------------------------------------------------------------------------------------

print_row() { printf '%-16s %-32s %-16s' "${@:1:3}" && printf ' %-12s' "${@:4}" && echo; }

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
    echo
    print_row maker form blob "${blob_judges[@]}"
    for row in "${blobs[@]}"; do
        IFS='|' read -r name maker form signer _ <<<"$row"
        [ "$signer" != job ] || form="$form (job)"
        words=()
        for judge in "${blob_judges[@]}"; do words+=("$(cat "$work/verdicts/blob-$name-$judge" 2>/dev/null || echo -)"); done
        print_row "$maker" "$form" - "${words[@]}"
    done
}

prepare() {
    start_sigstore || return
    make_other_root || return
    referrers=$(start_olareg olareg) || return
    plain=$(start_docker_registry docker-registry) || return
    (cd "$work/keys" && COSIGN_PASSWORD='' cosign2 generate-key-pair --output-key-prefix acme)
}

main() {
    in_private_network "$0" "${only[@]}"
    required cosign2 cosign3 crane docker-registry olareg luet-host "$BIN"
    servers_begin
    work=$SERVERS_DIR/work
    mkdir -p "$work"/{blobs,home,images,keys,plugins,verdicts}
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
    all_blobs
    all_tlog
    print_table
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

main

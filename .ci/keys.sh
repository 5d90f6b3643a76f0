#!/usr/bin/env bash
#
# Which type of key signs in which form with which program, and which program reads it: all of it, with the real cosign 2 and 3,
# skopeo and openssl, at a registry that lists referrers and at one that does not. The tables of docs/keys.md are held against
# what was seen, cell by cell.
#
#   .ci/keys.sh            .ci/tools.sh must have run
#   .ci/keys.sh --write    writes the tables of docs/keys.md anew; then look at what changed
#
#   BIN=PATH    the program (default: the static release build)
#
# A refusal is a cell only where the program says why, in words that are known here (`reason`). A program that accepts is asked
# once more with another key of the same type, and has to refuse that one: a check of its own. The last line is
# `N passed, M failed`.
# shellcheck disable=SC2016 # Markdown's backquotes
set -uo pipefail

options=("$@")

# shellcheck source=checks.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh" || exit 1

types=(P-256 P-384 P-521 Ed25519 "RSA 2048" "RSA 3072" "RSA 4096")

# file TYPE: the type as part of the name of a file, and of a repository.
file() { local name=${1,,}; echo "${name// /-}"; }

# digest_of TYPE: the hash that cosign 2.6 and 3 sign with where it is not SHA-256, to be named when they verify.
digest_of() { case $1 in P-384) echo sha384 ;; P-521) echo sha512 ;; esac; }

# cell TABLE REGISTRY READER VERDICT LABEL...: what was seen, for the end. `control` is the table of those that must refuse.
cell() { (IFS=$'\t' && echo "$*") >>"$seen"; }

# --- keys, and the files that they come in ------------------------------------------------------------------------------

generate() {
    case $1 in
        P-*) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$1" ;;
        Ed25519) openssl genpkey -algorithm ED25519 ;;
        RSA*) openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:${1#RSA }" ;;
    esac
}

# Of each type a key and a stranger's, by openssl; the first is imported by this program (TYPE.ours) and by cosign 3 (TYPE.cosign3).
make_keys() {
    local type name
    for type in "${types[@]}"; do
        name=$keys/$(file "$type")
        generate "$type" >"$name.pem" && openssl pkey -in "$name.pem" -pubout -out "$name.pub" || return
        generate "$type" | openssl pkey -pubout -out "$name.stranger.pub" || return
        "$BIN" import-key-pair --key "$name.pem" --output-key-prefix "$name.ours" || return
        cosign3 import-key-pair --key "$name.pem" --output-key-prefix "$name.cosign3" || return
        skopeo_policy "$name.pub" && skopeo_policy "$name.stranger.pub"
    done
}

forms=(
    '`PRIVATE KEY` (PKCS#8)' '`EC PRIVATE KEY` (SEC1)' '`EC PRIVATE KEY` behind `EC PARAMETERS`' '`RSA PRIVATE KEY` (PKCS#1)'
    '`ENCRYPTED PRIVATE KEY`: PBKDF2' '`ENCRYPTED PRIVATE KEY`: scrypt' '`ENCRYPTED PRIVATE KEY`: PBES1' '`Proc-Type: 4,ENCRYPTED`'
)

# form FORM TYPE FILE: the PKCS#8 in FILE, in another form; nothing where the type has no such form.
form() {
    case "$1:$2" in
        *PKCS#8*) cat "$3" ;;
        *"4,ENCRYPTED"*:P-*) openssl ec -in "$3" -aes256 -passout pass:pw ;;
        *"4,ENCRYPTED"*:RSA*) openssl rsa -in "$3" -traditional -aes256 -passout pass:pw ;;
        *PARAMETERS*:P-*) openssl ecparam -name "$2" && openssl ec -in "$3" ;;
        *SEC1*:P-*) openssl ec -in "$3" ;;
        *PKCS#1*:RSA*) openssl rsa -in "$3" -traditional ;;
        *PBKDF2*) openssl pkcs8 -in "$3" -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -passout pass:pw ;;
        *scrypt*) openssl pkcs8 -in "$3" -topk8 -scrypt -passout pass:pw ;;
        *PBES1*) openssl pkcs8 -in "$3" -topk8 -v1 PBE-SHA1-3DES -passout pass:pw ;;
    esac 2>"$scratch/said"
}

# Who imports what. That the right key came out shows in its public half.
imports() {
    local form type reader pem=$scratch/in.pem word
    for form in "${forms[@]}"; do
        for type in "${types[@]}"; do
            form "$form" "$type" "$keys/$(file "$type").pem" >"$pem" || cell files - openssl "cannot write it" "$form" "$type"
            [ -s "$pem" ] || continue
            for reader in luet-cosign cosign2 cosign3; do
                rm -f "$scratch"/out.{key,pub}
                if "$reader" import-key-pair --key "$pem" --output-key-prefix "$scratch/out" >"$scratch/said" 2>&1; then
                    word="another key"
                    ! cmp -s "$scratch/out.pub" "$keys/$(file "$type").pub" || word=+
                else
                    word=$(reason)
                    [ ! -e "$scratch/out.key" ] || word="refused, but written"
                fi
                cell files - "${title[$reader]}" "$word" "$form" "$type"
            done
        done
    done
}

# --- who signs -------------------------------------------------------------------------------------------------------

# cosign and skopeo sign with the key file that this program wrote, and it signs with the one of cosign 3.

legacy_by_luet-cosign() { sign_ours "$1.cosign3" "$2" --format legacy; }
legacy_by_cosign2() { sign_cosign2 "$1.ours" "$2"; }
legacy_by_cosign3() { sign_cosign3 "$1.ours" "$2"; }
bundle_by_luet-cosign() { sign_ours "$1.cosign3" "$2" --format bundle; }

# Without a log, a timestamp, or a root from the network.
bundle_by_cosign3() {
    cosign3 sign --key "$keys/$1.ours.key" --signing-config "$work/signing.json" --trusted-root "$work/root.json" \
        --allow-http-registry -y "$2"
}

legacy_by_cosign2_as_a_referrer() {
    COSIGN_EXPERIMENTAL=1 sign_cosign2 "$1.ours" --registry-referrers-mode=oci-1-1 "$2"
}

legacy_by_skopeo() {
    skopeo --registries.d "$work/registries.d" --policy "$work/anything.json" --tmpdir "$scratch" copy -q \
        --src-tls-verify=false --dest-tls-verify=false --sign-by-sigstore-private-key "$keys/$1.ours.key" \
        --sign-passphrase-file "$work/passphrase" "docker://${2%@*}:1" "docker://${2%@*}:signed"
}

# What cosign makes with a key service of AWS or Google; made here by openssl.
legacy_by_service() {
    cosign2 generate --allow-http-registry "$2" >"$scratch/payload" &&
        openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sign "$keys/$1.pem" "$scratch/payload" |
        base64 -w 0 >"$scratch/signature" &&
        cosign2 attach signature --payload "$scratch/payload" --signature "$scratch/signature" --allow-http-registry "$2"
}

attestation_by_cosign3() {
    cosign3 attest --key "$keys/$1.ours.key" --signing-config "$work/signing.json" --trusted-root "$work/root.json" \
        --predicate "$work/predicate.json" --allow-http-registry -y "$2"
}

declare -A title=(
    [luet-cosign]=luet-cosign [cosign2]="cosign 2" [cosign2_root]='cosign 2 `--trusted-root`' [cosign3]="cosign 3" [skopeo]=skopeo
    [cosign2_as_a_referrer]='cosign 2 `--registry-referrers-mode=oci-1-1`' [service]="a key service (PSS)"
)

# --- who reads -------------------------------------------------------------------------------------------------------

# read_by_READER PUBLIC_KEY IMAGE [OPTION...]
read_by_luet-cosign() { luet-cosign verify --key "$@"; }
read_by_cosign2() { cosign2 verify --insecure-ignore-tlog --allow-http-registry --key "$@"; }
read_by_cosign2_root() { read_by_cosign2 "$@" --trusted-root "$work/root.json"; }
read_by_cosign3() { cosign3 verify --insecure-ignore-tlog --allow-http-registry --key "$@"; }

read_by_skopeo() {
    rm -rf "$scratch/copied"
    skopeo --registries.d "$work/registries.d" --policy "$1.json" --tmpdir "$scratch" copy -q --src-tls-verify=false \
        "docker://$2" "dir:$scratch/copied"
}

skopeo_policy() {
    cat >"$1.json" <<EOT
{"default": [{"type": "reject"}], "transports": {"docker": {"": [{"type": "sigstoreSigned", "keyPath": "$1",
 "signedIdentity": {"type": "matchRepository"}}]}}}
EOT
}

accepts() { "read_by_$1" "${@:2}" >"$scratch/said" 2>&1; }

# reason: why the last one refused, in the words of the tables; its own words where they are not known.
reason() {
    case $(<"$scratch/said") in
        *"trusted root is required when using new bundle format"*) echo "no root" ;;
        *"no signatures found"* | *"A signature was required, but no signature exists"*) echo "not found" ;;
        *"invalid signature when validating ASN.1"* | *"failed to verify signature"* | *"crypto/rsa: verification error"*) echo invalid ;;
        *"error: unsigned: "*) echo unsigned ;;
        *"error: identity: "*) echo invalid ;;
        *"error: unsupported: "* | *"unsupported private key"* | *"error parsing "*" private key"*) echo - ;;
        *) echo "for no known reason: $(tr -s '\n\t|' ' ' <"$scratch/said" | tail -c 300)" ;;
    esac
}

# reads TABLE READER TYPE IMAGE LABEL...: asks plainly, then with the options that could help. A stranger's key must not pass
# in the same way.
reads() {
    local table=$1 reader=$2 type=$3 image=$4 labels=("${@:5}") public word digest try words=(+) tries=("")
    public=$keys/$(file "$type").pub
    digest=$(digest_of "$type")
    if [[ $reader = cosign* ]] && [ -n "$digest" ]; then words+=(H) tries+=("--signature-digest-algorithm=$digest"); fi
    if [ "$reader" = cosign2 ]; then words+=(O) tries+=(--experimental-oci11); fi
    if [ ${#words[@]} = 3 ]; then words+=("O and H") tries+=("${tries[1]} ${tries[2]}"); fi
    for try in "${!words[@]}"; do
        # shellcheck disable=SC2086 # words
        if accepts "$reader" "$public" "$image" ${tries[try]}; then
            cell "$table" "$registry" "${title[$reader]}" "${words[try]}" "${labels[@]}"
            if accepts "$reader" "${public%.pub}.stranger.pub" "$image" ${tries[try]}; then word="accepts a stranger's key"; else word=$(reason); fi
            cell control "$registry" "${title[$reader]}" "$word" "${labels[@]}" "$table"
            return
        fi
        [ "$try" != 0 ] || word=$(reason)
    done
    cell "$table" "$registry" "${title[$reader]}" "$word" "${labels[@]}"
}

readers=(luet-cosign cosign2 cosign2_root cosign3 skopeo)

# --- the tables ------------------------------------------------------------------------------------------------------

# image NAME: a new one, by digest.
image() {
    crane append --oci-empty-base -f "$work/layer.tar" -t "$address/$1:1" >"$scratch/appended" 2>&1 &&
        echo "$address/$1@$(crane digest "$address/$1:1")"
}

# signed TABLE TYPE SIGNER
signed() {
    local table=$1 type=$2 signer=$3 image reader
    image=$(image "$table/$(file "$type")-${signer//_/-}")
    if "${table}_by_$signer" "$(file "$type")" "$image" >"$scratch/said" 2>&1; then
        for reader in "${readers[@]}"; do reads "$table" "$reader" "$type" "$image" "$type" "${title[$signer]}"; done
    else
        case $(<"$scratch/said") in
            *"accepted signatures do not match threshold"*) : ;;
            *) cell "$table" "$registry" signing "$(reason)" "$type" "${title[$signer]}" ;;
        esac
        for reader in "${readers[@]}"; do cell "$table" "$registry" "${title[$reader]}" "cannot sign" "$type" "${title[$signer]}"; done
    fi
}

# several NAME ADDER...: an image that several signed, or one in several forms; an ADDER is FORM:SIGNER:KEY.
several() {
    local name=$1 image adder form signer key reader
    count=$((count + 1))
    image=$(image "several/$count")
    for adder in "${@:2}"; do
        IFS=: read -r form signer key <<<"$adder"
        "${form}_by_$signer" "$key" "$image" >"$scratch/said" 2>&1 || cell both "$registry" signing "$(reason)" "$name"
    done
    for reader in luet-cosign cosign2 cosign2_root cosign3; do reads both "$reader" P-256 "$image" "$name"; done
}

# everything_at REGISTRY ADDRESS
everything_at() {
    local registry=$1 address=$2 type signer count=0
    seen=$work/seen-$registry scratch=$work/scratch-$registry
    mkdir "$scratch"
    for type in "${types[@]}"; do
        for signer in luet-cosign cosign2 cosign3 skopeo cosign2_as_a_referrer; do signed legacy "$type" "$signer"; done
        [[ $type != RSA* ]] || signed legacy "$type" service
        for signer in luet-cosign cosign3; do signed bundle "$type" "$signer"; done
    done
    several "legacy by a stranger and by acme" legacy:cosign3:stranger legacy:cosign3:p-256
    several "legacy by acme, bundle by a stranger" legacy:cosign3:p-256 bundle:cosign3:stranger
    several "legacy by a stranger, bundle by acme" legacy:cosign3:stranger bundle:cosign3:p-256
    several "bundles by a stranger and by acme" bundle:cosign3:stranger bundle:cosign3:p-256
    several "legacy by acme, attestation by acme" legacy:cosign3:p-256 attestation:cosign3:p-256
    several "legacy and bundle by acme (luet-cosign \`--format both\`)" both:luet-cosign:p-256
    several "an attestation by acme, nothing else" attestation:cosign3:p-256
}

both_by_luet-cosign() { sign_ours "$1.cosign3" "$2" --format both; }

prepare() {
    mkdir -p "$work/registries.d" "$work/plugins" "$work/content" "$keys" "$HOME"
    cp "$BIN" "$work/plugins/luet-cosign" && BIN=$work/plugins/luet-cosign PATH=$work/plugins:$PATH
    install -d -m 700 "$work/state" "$work/runtime"
    export XDG_STATE_HOME=$work/state XDG_RUNTIME_DIR=$work/runtime
    printf 'default-docker:\n  use-sigstore-attachments: true\n' >"$work/registries.d/default.yaml"
    echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$work/anything.json"
    printf %s "$COSIGN_PASSWORD" >"$work/passphrase"
    echo '{"x": 1}' >"$work/predicate.json"
    echo content >"$work/content/file" && tar -C "$work/content" -cf "$work/layer.tar" file || return
    cosign3 signing-config create >"$work/signing.json" && cosign3 trusted-root create >"$work/root.json" || return
    make_keys && cosign3 generate-key-pair --output-key-prefix "$keys/stranger.ours" || return
    plain=$(start_docker_registry docker-registry) && referrers=$(start_olareg olareg)
}

main() {
    local registry both
    required cosign2 cosign3 skopeo crane docker-registry olareg openssl python3 "$BIN"
    servers_begin
    work=$SERVERS_DIR/work
    keys=$work/keys
    mkdir "$work"
    export HOME=$work/home COSIGN_PASSWORD=pw
    prepared prepare
    everything_at docker-registry "$plain" &
    both=$!
    everything_at olareg "$referrers" &
    both+=" $!"
    seen=$work/seen-files scratch=$work/scratch-files
    mkdir "$scratch"
    imports
    # shellcheck disable=SC2086 # two numbers
    wait $both
    python3 "$project/.ci/key_tables.py" "$project/docs/keys.md" "$work"/seen-* "${options[@]}"
}

main

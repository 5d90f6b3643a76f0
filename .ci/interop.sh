#!/usr/bin/env bash
#
# End to end, with real parts: hosts that push and install, registries, build engines, and the real cosign and skopeo as
# makers and judges of signatures. The plugin is in between.
#
#   .ci/interop.sh             everything; .ci/tools.sh must have run
#   .ci/interop.sh WORD...     only the scenarios with a WORD in REGISTRY/NAME, to work on one: `faults`, `olareg-token`,
#                              `docker-registry/push`; see `scenario` below
#
#   BIN=PATH    the program (default: the static release build)
#   LUET=PATH   the real luet (default: the one on PATH). No package client installs it: without one the stand-in host
#               is the only host, and the summary says so.
#
# A check prints `ok NAME`, or `FAILED NAME` with all that was seen. The end is a table, host x registry x maker x judge,
# and `N passed, M failed`. Nothing is left behind: all servers, images and state live in one scratch folder.
set -uo pipefail

only=("$@")

# shellcheck source=checks.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh" || exit 1

# --- checks ----------------------------------------------------------------------------------------------------------

declare -A row_passed=() row_failed=()
rows=()
host=- registry=- engine=

# check MAKER JUDGE NAME COMMAND...: one check (see `attempt`). MAKER made the signature, JUDGE says what it thinks of it; both
# are for the table.
check() {
    local row="$host|$registry|$1|$2" name="$host, $registry${engine:+, $engine}: $3"
    [ -n "${row_passed[$row]+set}" ] || rows+=("$row")
    row_passed[$row]=$((${row_passed[$row]-0})) row_failed[$row]=$((${row_failed[$row]-0}))
    attempt "$name" "${@:4}"
    if [ "$status" = 0 ]; then
        row_passed[$row]=$((row_passed[$row] + 1))
    else
        row_failed[$row]=$((row_failed[$row] + 1))
    fi
}

# new_machine: an empty root, and state of its own, as on a machine that never saw these images. Needs $machine.
new_machine() {
    mkdir -p "$machine/root" "$machine/tmp"
    install -d -m 700 "$machine/state"
    export LUET_COSIGN_STATE=$machine/state TMPDIR=$machine/tmp
}

# scenario NAME COMMAND...: runs it, unless other words were asked for.
scenario() {
    local name=$registry/$1 word
    shift
    [ ${#only[@]} -gt 0 ] || { "$@"; return; }
    for word in "${only[@]}"; do
        if [[ $name == *"$word"* ]]; then
            "$@"
            return
        fi
    done
}

# --- what is installed: packages, keys, repositories ------------------------------------------------------------------

# make_packages: toolchain/yip (needs toolchain/beer) 1.0 and 1.1, hobby/cake, and a package that pretends to be yip.
make_packages() {
    make_package "$work/v1" toolchain/beer@1.0 usr/bin/beer
    make_package "$work/v1" toolchain/yip@1.0 usr/bin/yip --requires toolchain/beer
    make_package "$work/v2" toolchain/beer@1.0 usr/bin/beer
    make_package "$work/v2" toolchain/yip@1.1 usr/bin/yip --requires toolchain/beer
    make_package "$work/cake" hobby/cake@1.0 usr/bin/cake
    make_package "$work/pretender" hobby/cake@1.0 usr/bin/cake
    make_package "$work/pretender" toolchain/yip@9.0 usr/bin/yip
}

# make_package DIR CATEGORY/NAME@VERSION FILE [OPTION...]: its one file has the package's name as content.
make_package() {
    local content=$work/content
    rm -rf "$content"
    mkdir -p "$content/$(dirname "$3")"
    echo "$2" >"$content/$3"
    luet-host pack "$2" "$content" --packages "$1" "${@:4}"
}

# The keys: acme by us, stranger by cosign 2, vendor by cosign 3.
make_keys() {
    mkdir -p "$keys"
    luet-cosign generate-key-pair --output-key-prefix "$keys/acme" &&
        cosign2 generate-key-pair --output-key-prefix "$keys/stranger" &&
        cosign3 generate-key-pair --output-key-prefix "$keys/vendor"
}

# images ADDRESS PACKAGE_TAG...: what an install from there fetches, by digest.
images() {
    local address=$1 tag
    shift
    for tag in repository.yaml tree.tar.gz repository.meta.yaml.tar "$@"; do
        echo "$address@$(crane digest "$address:$tag")"
    done
}

# copy FROM TO: a whole repository, signatures included.
copy() { crane copy -a "$1" "$2" 2>&1 | tail -n 1; }

# make_repositories ADDRESS: what hosts find there, each with signatures of another kind.
make_repositories() {
    stand_in_publishes "$work/v1" "$1/unsigned/acme"
    stand_in_publishes "$work/v2" "$1/unsigned/newer"
    stand_in_publishes "$work/cake" "$1/unsigned/hobby"
    stand_in_publishes "$work/pretender" "$1/unsigned/pretender"
    make_signed sign_ours acme "$1/unsigned/acme" "$1/ours/acme" "${acme_packages[@]}"
    make_signed sign_cosign2 acme "$1/unsigned/acme" "$1/cosign2/acme" "${acme_packages[@]}"
    make_signed sign_cosign3 acme "$1/unsigned/acme" "$1/cosign3/acme" "${acme_packages[@]}"
    make_signed sign_cosign2 stranger "$1/unsigned/acme" "$1/stranger/acme" "${acme_packages[@]}"
    make_signed sign_cosign2 stranger "$1/unsigned/hobby" "$1/stranger/hobby" cake-hobby-1.0
    # One package of a good repository is unsigned, signed by a stranger, or has the signature of the other package.
    make_signed sign_ours acme "$1/unsigned/acme" "$1/partly/unsigned" beer-toolchain-1.0
    make_signed sign_ours acme "$1/unsigned/acme" "$1/partly/stranger" beer-toolchain-1.0
    sign_cosign2 stranger "$1/partly/stranger@$(crane digest "$1/partly/stranger:yip-toolchain-1.0")"
    make_signed sign_ours acme "$1/unsigned/acme" "$1/partly/other" beer-toolchain-1.0
    crane copy "$(signature_tag "$1/partly/other:beer-toolchain-1.0")" "$(signature_tag "$1/partly/other:yip-toolchain-1.0")"
}

acme_packages=(yip-toolchain-1.0 beer-toolchain-1.0)

stand_in_publishes() {
    luet-host create-repo --type docker --push-images --backend none --packages "$1" --output "$2" --name repo
}

# make_signed SIGN KEY FROM TO PACKAGE_TAG...: a copy, with everything that an install fetches signed.
make_signed() {
    local all
    copy "$3" "$4"
    mapfile -t all < <(images "${@:4}")
    "$1" "$2" "${all[@]}"
}

# --- hosts -----------------------------------------------------------------------------------------------------------

# A host is called like luet. `wrap` is put in front of it; `login` is in the configuration of each repository.
wrap=()
login=

# configure NAME=ADDRESS...: repositories by priority; the root is that of the machine.
configure() {
    local word priority=0
    {
        echo "logging: {enable_emoji: false, color: false}"
        echo "system: {rootfs: $machine/root, database_path: /var/cache/luet, tmpdir_base: $machine/tmp/tmpluet}"
        echo "repositories:"
        for word in "$@"; do
            echo "- {name: ${word%%=*}, type: docker, enable: true, priority: $priority, urls: ['${word#*=}']$login}"
            priority=$((priority + 1))
        done
    } >"$machine/luet.yaml"
}

# run_host WORD...: leaves its exit code in $code and its output in $machine/output, and shows it as evidence.
run_host() {
    code=0
    "${wrap[@]}" "$(host_program)" "$@" --config "$machine/luet.yaml" >"$machine/output" 2>&1 || code=$?
    printf -- '--- %s %s: exit %s\n' "${wrap[*]}" "$*" "$code"
    cat "$machine/output"
}

install_packages() { run_host install --plugin luet-cosign -y "$@"; }

# publish PACKAGES ADDRESS [OPTION...]
publish() {
    configure
    mkdir -p "$machine/tree"
    run_host create-repo --plugin luet-cosign --type docker --push-images --backend "$engine" --from-metadata \
        --tree "$machine/tree" --packages "$1" --output "$2" --name acme "${@:3}"
}

# installed FILE=CONTENT...: these, and nothing else, are in the root beside the host's own database.
installed() {
    local word expected=() found
    for word in "$@"; do
        expected+=("${word%%=*}")
        [ "$(cat "$machine/root/${word%%=*}")" = "${word#*=}" ] || fail "${word%%=*} is not ${word#*=}"
    done
    found=$(cd "$machine/root" && find . -path ./var/cache/luet -prune -o ! -type d -printf '%P\n' | sort)
    [ "$found" = "$(printf '%s\n' "${expected[@]}" | sort)" ] || fail "in the root: $found"
}

both_packages=(usr/bin/yip=toolchain/yip@1.0 usr/bin/beer=toolchain/beer@1.0)

# refused CLASS: exit 2, the class leads the text of the error, and nothing got in.
refused() {
    exited 2
    said "had an error: $1: "
    installed
}

# --- a: publish ------------------------------------------------------------------------------------------------------

# publishes_signed PACKAGES ADDRESS PUSHES: all pushes of the host end signed by acme.
publishes_signed() {
    export COSIGN_KEY_LOCATION=$keys/acme.key
    publish "$1" "$2"
    exited 0
    said_nothing
    [ "$(grep -c 'Pushed image:' "$machine/output")" = "$3" ] || fail "not $3 pushes"
    for_each_image "$2" has_signature
}

has_signature() {
    crane manifest "$(dot_sig "$1")" >"$machine/signatures" || fail "$1 has no signature"
    grep -q dev.cosignproject.cosign/signature "$machine/signatures" ||
        fail "$1 has no signature"
}

dot_sig() { local digest=${1#*@}; echo "${1%@*}:${digest/:/-}.sig"; }

# tags ADDRESS: those that the host pushed.
tags() { crane ls "$1" | grep -v '^sha256-'; }

# by_digest ADDRESS: all images that the host pushed there.
by_digest() {
    local tag
    for tag in $(tags "$1"); do echo "$1@$(crane digest "$1:$tag")"; done | sort -u
}

for_each_image() {
    local address=$1 image count=0
    shift
    for image in $(by_digest "$address"); do
        "$@" "$image" || return
        count=$((count + 1))
    done
    echo "--- $count images"
    [ "$count" -ge 8 ] || fail "only $count images"
}

# JUDGE_accepts KEY IMAGE...
ours_accepts() { luet-cosign verify --key "$keys/$1.pub" --insecure-ignore-tlog "${@:2}" >"$machine/claims" && payloads "$machine/claims"; }
cosign2_accepts() { cosign2 verify --key "$keys/$1.pub" --insecure-ignore-tlog --allow-http-registry "${@:2}" >"$machine/claims"; }
cosign3_accepts() { cosign3 verify --key "$keys/$1.pub" --insecure-ignore-tlog --allow-http-registry "${@:2}" >"$machine/claims"; }

# payloads FILE: cosign's JSON, so that scripts with jq go on working.
payloads() {
    python3 -c '
import json, sys
decoder, text, count = json.JSONDecoder(), open(sys.argv[1]).read().strip(), 0
while text:
    array, end = decoder.raw_decode(text)
    count += sum(p["critical"]["image"]["docker-manifest-digest"].startswith("sha256:") for p in array)
    text = text[end:].strip()
print("---", count, "payloads")
sys.exit(count == 0)' "$1"
}

skopeo_accepts() {
    local key=$1 image=$2
    mkdir -p "$machine/registries.d"
    printf 'default-docker:\n  use-sigstore-attachments: true\n' >"$machine/registries.d/default.yaml"
    cat >"$machine/policy.json" <<EOT
{"default": [{"type": "reject"}], "transports": {"docker": {"": [{"type": "sigstoreSigned", "keyPath": "$keys/$key.pub",
 "signedIdentity": {"type": "matchRepository"}}]}}}
EOT
    skopeo --policy "$machine/policy.json" --registries.d "$machine/registries.d" --tmpdir "$machine/tmp" \
        copy --src-tls-verify=false "docker://$image" "dir:$machine/copied"
}

all_images_pass() {
    local judge=$1 key=$2 images
    mapfile -t images < <(by_digest "$3")
    [ ${#images[@]} -ge 8 ] || fail "only ${#images[@]} images"
    "$judge" "$key" "${images[@]}"
}

# judges_accept MAKER ADDRESS: every real judge, on all images there.
judges_accept() {
    check "$1" cosign2 "cosign 2 accepts every image of ${2#*/}" all_images_pass cosign2_accepts acme "$2"
    check "$1" cosign3 "cosign 3 accepts every image of ${2#*/}" all_images_pass cosign3_accepts acme "$2"
    check "$1" skopeo "skopeo accepts ${2#*/}:yip-toolchain-1.0" skopeo_accepts acme "$2:yip-toolchain-1.0"
    check "$1" luet-cosign "verify --key accepts every image of ${2#*/}" all_images_pass ours_accepts acme "$2"
}

scenario_publish() {
    local address=$1/published/$host-$engine maker="luet-cosign ($engine)"
    check "$maker" plugin "publishes two packages: 12 pushes, all signed" publishes_signed "$work/v1" "$address" 12
    judges_accept "$maker" "$address"
    check "$maker" luet-cosign "verify by another key finds nobody trusted (exit 12)" exits 12 ours_accepts vendor "$address:repository.yaml"
    check "$maker" plugin "installs what it published" installs_silently "$address"
    check "$maker" plugin "publishes a newer version, and upgrades to it" upgrades "$address"
}

exits() {
    local status=0
    "${@:2}" || status=$?
    [ "$status" = "$1" ] || fail "exit $status, expected $1"
}

# --- b, c: install and upgrade ---------------------------------------------------------------------------------------

# installs_silently ADDRESS [KEY]
installs_silently() {
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/${2:-acme}.pub
    configure "acme=$1"
    install_packages toolchain/yip
    exited 0
    installed "${both_packages[@]}"
    said "Enabled plugins"
    said_nothing
}

upgrades() {
    installs_silently "$1"
    COSIGN_KEY_LOCATION=$keys/acme.key publish "$work/v2" "$1"
    exited 0
    for_each_image "$1" has_signature
    configure "acme=$1"
    run_host upgrade --plugin luet-cosign -y
    exited 0
    said_nothing
    installed usr/bin/yip=toolchain/yip@1.1 usr/bin/beer=toolchain/beer@1.0
}

scenario_install() {
    check luet-cosign plugin "installs what luet-cosign signed" installs_silently "$1/ours/acme"
    check cosign2 plugin "installs what cosign 2 signed" installs_silently "$1/cosign2/acme"
    check cosign3 plugin "installs what cosign 3 signed in the legacy form" installs_silently "$1/cosign3/acme"
}

scenario_peers() {
    local image=$1/ours/acme:repository.yaml
    check luet-cosign cosign2 "cosign 2 accepts sign" cosign2_accepts acme "$image"
    check luet-cosign cosign3 "cosign 3 accepts sign" cosign3_accepts acme "$image"
    check luet-cosign skopeo "skopeo accepts sign" skopeo_accepts acme "$image"
    check cosign2 luet-cosign "verify accepts cosign 2" ours_accepts acme "$1/cosign2/acme:repository.yaml"
    check cosign3 luet-cosign "verify accepts cosign 3" ours_accepts acme "$1/cosign3/acme:repository.yaml"
    check luet-cosign cosign3 "a key of cosign 3 signs, beside another's signature, and both hold" two_signers "$1"
    check luet-cosign luet-cosign "signing again changes nothing" signs_once "$1"
    check luet-cosign luet-cosign "triangulate names the tag that cosign names" triangulates "$1/ours/acme:repository.yaml"
}

two_signers() {
    crane copy "$1/cosign2/acme:repository.yaml" "$1/two/acme:repository.yaml"
    crane copy "$(signature_tag "$1/cosign2/acme:repository.yaml")" "$(signature_tag "$1/two/acme:repository.yaml")"
    luet-cosign sign --key "$keys/vendor.key" "$1/two/acme:repository.yaml"
    for key in acme vendor; do
        for judge in ours cosign2 cosign3; do "${judge}_accepts" "$key" "$1/two/acme:repository.yaml"; done
    done
}

signs_once() {
    local before
    crane copy "$1/unsigned/acme:repository.yaml" "$1/once/acme:repository.yaml"
    luet-cosign sign --key "$keys/acme.key" "$1/once/acme:repository.yaml"
    before=$(crane digest "$(signature_tag "$1/once/acme:repository.yaml")")
    luet-cosign sign --key "$keys/acme.key" "$1/once/acme:repository.yaml"
    [ "$(crane digest "$(signature_tag "$1/once/acme:repository.yaml")")" = "$before" ] || fail "the signatures changed"
}

triangulates() {
    local image
    image=${1%:*}@$(crane digest "$1")
    [ "$(luet-cosign triangulate "$image")" = "$(cosign2 triangulate --allow-http-registry "$image")" ] || fail "not the same"
}

# --- d: what is refused ----------------------------------------------------------------------------------------------

refuses() {
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/acme.pub
    configure "acme=$2"
    install_packages toolchain/yip
    refused "$1"
}

refuses_upgrade() {
    installs_silently "$1/ours/acme"
    configure "acme=$1/unsigned/newer"
    run_host upgrade --plugin luet-cosign -y
    exited 2
    said "had an error: unsigned: "
    installed "${both_packages[@]}"
}

scenario_refused() {
    check nobody plugin "refuses an unsigned repository" refuses unsigned "$1/unsigned/acme"
    check nobody plugin "refuses one unsigned package" refuses unsigned "$1/partly/unsigned"
    check nobody plugin "refuses an unsigned upgrade, and what was there stays" refuses_upgrade "$1"
    check stranger plugin "refuses a repository signed by another key" refuses identity "$1/stranger/acme"
    check stranger plugin "refuses one package signed by another key" refuses identity "$1/partly/stranger"
    check luet-cosign plugin "refuses a signature that was made for other bytes" refuses binding "$1/partly/other"
    check nobody plugin "refuses without a key" refuses_without_key "$1/ours/acme"
    check nobody luet-cosign "verify exits 10 for unsigned, 11 for no image, 12 for a stranger, 14 for other bytes" exit_codes "$1"
}

# With no key and no policy there is no way to be right: that is said, and it is no reason to let anything in.
refuses_without_key() {
    configure "acme=$1"
    install_packages toolchain/yip
    exited 2
    said "had an error: (policy|secret|usage): .*COSIGN_PUBLIC_KEY_LOCATION"
    installed
}

exit_codes() {
    exits 10 ours_accepts acme "$1/unsigned/acme:repository.yaml"
    exits 11 ours_accepts acme "$1/unsigned/acme:no-such-tag"
    exits 12 ours_accepts acme "$1/stranger/acme:repository.yaml"
    exits 14 ours_accepts acme "$1/partly/other:yip-toolchain-1.0"
}

# --- d: places that don't answer -------------------------------------------------------------------------------------

# fault PLACE ANSWER: what the proxy does from now on.
fault() { echo "$*" >"$work/fault"; }

refuses_at_fault() {
    fault "$2" "$3"
    refuses "$1" "$4"
}

refuses_at_fault_although_allowed() {
    export LUET_COSIGN_ALLOW_UNSIGNED="${4%%/*}/**"
    refuses_at_fault "$@"
}

# refuses_at_fault_under_rule MODE ADDRESS: a rule relaxes only absence, and this is none.
refuses_at_fault_under_rule() {
    fault sig 500
    a=$2/ours/acme
    policy "  - {name: b, scope: '$2/unsigned/**', unsigned: $1, reason: never signed, $b_tags}"
    configure "b=$2/unsigned/hobby"
    install_packages hobby/cake
    refused registry
}

installs_at_fault() {
    fault "$1" "$2"
    installs_silently "$3"
}

# The proxy is another host: ours would rightly say that their signatures were made for the registry behind it.
scenario_faults() {
    local place answer class
    for place in sig referrers fallback; do
        for answer in 401 500 garbage; do
            class=registry
            [ "$answer" != 401 ] || class=auth
            check nobody plugin "refuses when $place answers $answer" refuses_at_fault $class $place $answer "$proxy/unsigned/acme"
            check nobody plugin "refuses when $place answers $answer, although unsigned is allowed" \
                refuses_at_fault_although_allowed $class $place $answer "$proxy/unsigned/acme"
            if [ "$place" = sig ]; then
                check luet-cosign plugin "refuses what is signed when $place answers $answer" \
                    refuses_at_fault $class $place $answer "$proxy/cosign2/acme"
            else
                check luet-cosign plugin "installs what is signed when $place answers $answer" \
                    installs_at_fault $place $answer "$proxy/cosign2/acme"
            fi
        done
    done
    check nobody plugin "refuses when sig answers 500, under a rule that warns" refuses_at_fault_under_rule warn "$proxy"
    check nobody plugin "refuses when sig answers 500, under a rule that allows" refuses_at_fault_under_rule allow "$proxy"
    fault
}

# --- e: two repositories ---------------------------------------------------------------------------------------------

# policy RULE_OF_B: acme signs A; B is as the rule says.
policy() {
    cat >"$machine/policy.yaml" <<EOT
version: 1
defaults: {unmatched: deny, unsigned: deny}
signers:
  acme: {key: $keys/acme.pub}
repositories:
  - {name: a, scope: '$a', trust: [acme]}
$1
EOT
    export LUET_COSIGN_POLICY=$machine/policy.yaml
    cat "$machine/policy.yaml"
    luet-cosign policy lint || true
}

# two_repositories B RULE: installs yip of A and cake of B. Sets a and b.
two_repositories() {
    b=$2
    policy "$3"
    configure "a=$a" "b=$b"
    install_packages toolchain/yip hobby/cake
}

with_cake=("${both_packages[@]}" usr/bin/cake=hobby/cake@1.0)
b_tags="tags: ['cake-*', 'repository.*', 'tree.*']"

b_denied() {
    a=$1/ours/acme
    two_repositories "$a" "$1/unsigned/hobby" ""
    exited 2
    said 'had an error: [a-z-]+: .*unsigned/hobby'
    installed
}

b_denied_by_rule() {
    a=$1/ours/acme
    two_repositories "$a" "$1/unsigned/hobby" "  - {name: b, scope: '$1/unsigned/hobby', trust: [acme], unsigned: deny}"
    refused unsigned
}

b_warned() {
    a=$1/ours/acme
    two_repositories "$a" "$1/unsigned/hobby" "  - {name: b, scope: '$1/unsigned/hobby', unsigned: warn, $b_tags}"
    exited 0
    installed "${with_cake[@]}"
    said 'warning: .*unsigned/hobby:cake-hobby-1.0. is not signed; rule .b.'
}

b_allowed_by_rule() {
    a=$1/ours/acme
    two_repositories "$a" "$1/unsigned/hobby" \
        "  - {name: b, scope: '$1/unsigned/hobby', unsigned: allow, reason: never signed, $b_tags}"
    exited 0
    installed "${with_cake[@]}"
}

b_allowed_by_variable() {
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/acme.pub LUET_COSIGN_ALLOW_UNSIGNED="$1/unsigned/hobby"
    configure "a=$1/ours/acme" "b=$1/unsigned/hobby"
    install_packages toolchain/yip hobby/cake
    exited 0
    installed "${with_cake[@]}"
    said 'warning: .*unsigned/hobby:repository.yaml. is not signed.*LUET_COSIGN_ALLOW_UNSIGNED'
}

# What the variable allows for B is not allowed for A.
a_unsigned_although_b_is_allowed() {
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/acme.pub LUET_COSIGN_ALLOW_UNSIGNED="$1/unsigned/hobby"
    configure "a=$1/unsigned/acme" "b=$1/unsigned/hobby"
    install_packages toolchain/yip hobby/cake
    refused unsigned
}

stranger_where_b_names_trust() {
    a=$1/ours/acme
    two_repositories "$a" "$1/stranger/hobby" \
        "  - {name: b, scope: '$1/stranger/hobby', trust: [acme], unsigned: allow, reason: not all signed, $b_tags}"
    refused identity
}

stranger_where_b_names_none() {
    a=$1/ours/acme
    two_repositories "$a" "$1/stranger/hobby" \
        "  - {name: b, scope: '$1/stranger/hobby', unsigned: allow, reason: never signed, $b_tags}"
    exited 0
    installed "${with_cake[@]}"
    said 'warning: .*stranger'
}

# B comes first, and has a package of A's name.
pretender() {
    a=$1/ours/acme
    b=$1/unsigned/pretender
    policy "  - {name: b, scope: '$b', unsigned: warn, $b_tags}"
    configure "b=$b" "a=$a"
    install_packages toolchain/yip hobby/cake
    exited 2
    said 'had an error: [a-z-]+: .*unsigned/pretender:yip-toolchain-9.0'
    installed
}

scenario_two() {
    check nobody plugin "B unsigned, no rule for it: refused" b_denied "$1"
    check nobody plugin "B unsigned, its rule denies: refused" b_denied_by_rule "$1"
    check nobody plugin "B unsigned, its rule warns: installed, with a warning" b_warned "$1"
    check nobody plugin "B unsigned, its rule allows: installed" b_allowed_by_rule "$1"
    check nobody plugin "B unsigned, allowed by LUET_COSIGN_ALLOW_UNSIGNED: installed, with a warning" b_allowed_by_variable "$1"
    check nobody plugin "A unsigned, B allowed: refused" a_unsigned_although_b_is_allowed "$1"
    check stranger plugin "B signed by a stranger, its rule names trust: refused" stranger_where_b_names_trust "$1"
    check stranger plugin "B signed by a stranger, its rule names none: named, and installed" stranger_where_b_names_none "$1"
    check nobody plugin "B offers a package of A's name, outside its rule's tags: refused" pretender "$1"
}

# --- f: signatures in another repository -----------------------------------------------------------------------------

separate() {
    export COSIGN_REPOSITORY=$1/signatures/$host
    publishes_signed_separately "$work/v1" "$1/separate/$host"
    installs_silently "$1/separate/$host"
    all_images_pass cosign2_accepts acme "$1/separate/$host"
    all_images_pass cosign3_accepts acme "$1/separate/$host"
    unset COSIGN_REPOSITORY
    rm -rf "${machine:?}"/root
    mkdir "$machine/root"
    refuses unsigned "$1/separate/$host"
}

publishes_signed_separately() {
    export COSIGN_KEY_LOCATION=$keys/acme.key
    publish "$1" "$2"
    exited 0
    said_nothing
    ! crane ls "$2" | grep '^sha256-' || fail "a signature lies beside the image"
    [ "$(crane ls "$COSIGN_REPOSITORY" | grep -c '^sha256-.*\.sig$')" = "$(by_digest "$2" | wc -l)" ] || fail "not one signature for each image"
}

# Both registries here answer for a repository that does not exist as for one that is empty: that is "unsigned".
mistyped() {
    export COSIGN_REPOSITORY=$1/no/such/repository
    refuses "(unsigned|registry)" "$1/ours/acme"
}

scenario_separate() {
    check luet-cosign plugin "signs into COSIGN_REPOSITORY and verifies from there" separate "$1"
    check nobody plugin "refuses a COSIGN_REPOSITORY that does not exist" mistyped "$1"
}

# --- g: pushes that fail ---------------------------------------------------------------------------------------------

# not_pushed CLASS ADDRESS: the host is stopped before anything is pushed.
not_pushed() {
    publish "$work/v1" "$2"
    exited 2
    said "had an error: $1: "
    ! grep -q 'Pushed image' "$machine/output" || fail "something was pushed"
    ! HOME=$work/privileged crane ls "$2" 2>/dev/null | grep . || fail "tags exist"
}

no_key() { not_pushed "(secret|usage|policy)" "$1/refused/$host-$engine"; }

wrong_password() {
    export COSIGN_KEY_LOCATION=$keys/acme.key COSIGN_PASSWORD=wrong
    not_pushed secret "$1/refused/$host-$engine"
}

not_logged_in() {
    export COSIGN_KEY_LOCATION=$keys/acme.key HOME=$machine
    not_pushed auth "$closed/refused/$host-$engine"
}

may_only_read() {
    export COSIGN_KEY_LOCATION=$keys/acme.key HOME=$work/reader
    not_pushed auth "$shared/images/$host-$engine"
}

# The engine could push, but the signature could not be.
may_not_sign() {
    export COSIGN_KEY_LOCATION=$keys/acme.key HOME=$work/writer COSIGN_REPOSITORY=$shared/signatures
    not_pushed auth "$shared/images/$host-$engine"
}

# After each push of the engine somebody else moves the tag.
moved() {
    local address=$1/moved/$host-$engine evil=$1/unsigned/acme:beer-toolchain-1.0 real
    real=$(type -P "$engine")
    mkdir "$machine/bin"
    cat >"$machine/bin/$engine" <<EOT
#!/bin/sh
"$real" "\$@" || exit
if [ "\$1" = push ] && [ \$# = 2 ]; then "$(type -P crane)" copy "$evil" "\$2" >/dev/null 2>&1; fi
EOT
    chmod 755 "$machine/bin/$engine"
    PATH=$machine/bin:$PATH
    export COSIGN_KEY_LOCATION=$keys/acme.key
    publish "$work/v1" "$address"
    exited 2
    said "had an error: digest: "
    ! crane ls "$address" | grep '\.sig$' || fail "something was signed"
}

# With LUET_COSIGN_ENGINE=registry the tag is trusted, and that is said.
trusts_the_tag() {
    export COSIGN_KEY_LOCATION=$keys/acme.key LUET_COSIGN_ENGINE=registry
    publish "$work/v1" "$1/trusting/$host-$engine"
    exited 0
    said "state reported"
    for_each_image "$1/trusting/$host-$engine" has_signature
}

scenario_push() {
    check nobody plugin "no key: nothing is pushed" no_key "$1"
    check nobody plugin "wrong password: nothing is pushed" wrong_password "$1"
    check nobody plugin "not logged in: nothing is pushed" not_logged_in
    check nobody plugin "may read but not write: nothing is pushed" may_only_read
    check nobody plugin "may write images but not signatures: nothing is pushed" may_not_sign
    check nobody plugin "somebody else moved the tag after the push: refused, nothing is signed" moved "$1"
    check luet-cosign plugin "LUET_COSIGN_ENGINE=registry trusts the tag, and says so" trusts_the_tag "$1"
}

# --- h: run -- luet --------------------------------------------------------------------------------------------------

# without_plugin: a PATH on which no luet-cosign is.
without_plugin() { PATH=$path_without; ! type -P luet-cosign || fail "luet-cosign is on PATH"; }

run_wrapped() {
    wrap=("$BIN" run --)
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/acme.pub
    configure "acme=$1"
    run_host install -y toolchain/yip
}

run_installs() {
    without_plugin
    run_wrapped "$1/ours/acme"
    exited 0
    said "Enabled plugins"
    said "images verified"
    installed "${both_packages[@]}"
}

run_refuses() {
    without_plugin
    run_wrapped "$1/unsigned/acme"
    refused unsigned
}

# Another program of that name comes first, and says yes to everything.
run_with_impostor() {
    mkdir "$machine/bin"
    printf '#!/bin/sh\necho "{}"\n' >"$machine/bin/luet-cosign"
    chmod 755 "$machine/bin/luet-cosign"
    PATH=$machine/bin:$PATH
    run_wrapped "$1/unsigned/acme"
    refused unsigned
}

run_with_variable() {
    without_plugin
    export LUET_PLUGIN=other
    run_wrapped "$1/unsigned/acme"
    refused unsigned
}

run_with_other_plugin() {
    without_plugin
    wrap=("$BIN" run --)
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/acme.pub
    configure "acme=$1/unsigned/acme"
    run_host install --plugin other -y toolchain/yip
    refused unsigned
}

# What stands in front of the host could drop the flag, and everything would be installed unverified: it is not started.
run_with_deaf_host() {
    without_plugin
    mkdir "$machine/bin"
    cat >"$machine/bin/luet-deaf" <<EOT
#!/bin/bash
words=()
for word; do [[ \$word == --plugin* ]] || words+=("\$word"); done
unset LUET_PLUGIN
exec "$(host_program)" "\${words[@]}"
EOT
    chmod 755 "$machine/bin/luet-deaf"
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/acme.pub
    configure "acme=$1/unsigned/acme"
    code=0
    "$BIN" run -- "$machine/bin/luet-deaf" install -y toolchain/yip --config "$machine/luet.yaml" >"$machine/output" 2>&1 || code=$?
    cat "$machine/output"
    [ "$code" = 2 ] || fail "exit $code; expected 2"
    said "sudo luet-cosign run -- luet"
    installed
}

run_keeps_exit_code() {
    without_plugin
    cp "$(type -P false)" "$machine/luet-false"
    exits 1 "$BIN" run -- "$machine/luet-false" install -y toolchain/yip
    run_wrapped "$1/ours/acme"
    run_host install -y no/such-package
    exited 2
}

scenario_run() {
    check luet-cosign plugin "run installs, without the plugin on PATH" run_installs "$1"
    check nobody plugin "run refuses what is unsigned, with the host's exit code" run_refuses "$1"
    check nobody plugin "run is not deceived by another luet-cosign on PATH" run_with_impostor "$1"
    check nobody plugin "run is not defeated by LUET_PLUGIN" run_with_variable "$1"
    check nobody plugin "run is not defeated by another --plugin" run_with_other_plugin "$1"
    check nobody plugin "run starts nothing that could drop the plugin" run_with_deaf_host "$1"
    check luet-cosign plugin "run keeps the host's exit code" run_keeps_exit_code "$1"
}

# --- Dockerfile.example ----------------------------------------------------------------------------------------------

# build_with_engine TAG DIR [OPTION...]: the network of the machine, for the registry is on loopback.
build_with_engine() {
    if [ "$engine" = docker ]; then
        DOCKER_BUILDKIT=1 docker build --network=host -t "$1" "${@:3}" "$2"
    else
        buildah build --network=host -t "$1" "${@:3}" "$2"
    fi
}

push_with_engine() {
    if [ "$engine" = docker ]; then docker push "$1"; else buildah push "$1"; fi
}

# make_bases ADDRESS: the base image of a derivative (a shell and the host), and the image that carries the plugin.
make_bases() {
    mkdir -p "$machine/base/bin" "$machine/plugin"
    cp "$(host_program)" "$machine/base/luet"
    cp /bin/busybox "$machine/base/busybox"
    {
        echo "logging: {enable_emoji: false, color: false}"
        echo "repositories: [{name: acme, type: docker, enable: true, urls: ['$2']}]"
    } >"$machine/base/luet.yaml"
    cat >"$machine/base/Dockerfile" <<'EOT'
FROM scratch
COPY busybox /bin/sh
COPY luet /usr/bin/luet
COPY luet.yaml /etc/luet/luet.yaml
EOT
    cp "$BIN" "$machine/plugin/luet-cosign"
    printf 'FROM scratch\nCOPY luet-cosign /usr/bin/luet-cosign\n' >"$machine/plugin/Dockerfile"
    build_with_engine "$1/base/$host:1" "$machine/base"
    build_with_engine "$1/plugin/$host:1" "$machine/plugin"
    push_with_engine "$1/plugin/$host:1"
}

# derive ADDRESS REPOSITORY: builds Dockerfile.example, as a newcomer would after changing the three names in it.
derive() {
    make_bases "$1" "$2"
    mkdir "$machine/context"
    cp "$keys/acme.pub" "$machine/context/"
    cp "$project/Dockerfile.example" "$machine/context/Dockerfile"
    code=0
    build_with_engine "$1/derived/$host-$engine:1" "$machine/context" \
        --build-arg "BASE=$1/base/$host:1" --build-arg "PLUGIN=$1/plugin/$host@$(crane digest "$1/plugin/$host:1")" \
        --build-arg "PACKAGES=${packages-toolchain/yip}" "${@:3}" >"$machine/output" 2>&1 || code=$?
    cat "$machine/output"
}

derived_has_package() {
    derive "$1" "$1/ours/acme"
    exited 0
    push_with_engine "$1/derived/$host-$engine:1"
    [ "$(crane export "$1/derived/$host-$engine:1" - | tar -xO usr/bin/yip)" = toolchain/yip@1.0 ] || fail "the package is not in the image"
}

derived_bare_has_package_alone() {
    derive "$1" "$1/ours/acme" --target bare
    exited 0
    push_with_engine "$1/derived/$host-$engine:1"
    crane export "$1/derived/$host-$engine:1" - | tar -t >"$machine/files"
    grep -q '^usr/bin/yip$' "$machine/files" || fail "the package is not in the image"
    ! grep -E 'luet-cosign|acme.pub|^run/.' "$machine/files" || fail "something of ours is left"
    # Not the whole configuration: its history has the command, with the variables that were set for it alone.
    crane config "$1/derived/$host-$engine:1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["config"])' >"$machine/config"
    grep -q PATH "$machine/config" || fail "no environment"
    ! grep -E 'LUET_PLUGIN|COSIGN' "$machine/config" || fail "a variable of ours is left"
}

derived_wants_packages() {
    packages='' derive "$1" "$1/ours/acme"
    [ "$code" != 0 ] || fail "the build went well"
    said "name the packages to install"
}

derived_is_not_built() {
    derive "$1" "$1/partly/unsigned"
    [ "$code" != 0 ] || fail "the build went well"
    said "had an error: unsigned: "
}

scenario_dockerfile() {
    check luet-cosign plugin "Dockerfile.example builds from what is signed" derived_has_package "$1"
    check nobody plugin "Dockerfile.example does not build from what is unsigned" derived_is_not_built "$1"
    check nobody plugin "Dockerfile.example does not build without packages" derived_wants_packages "$1"
    check luet-cosign plugin "Dockerfile.example, target bare, leaves nothing of ours" derived_bare_has_package_alone "$1"
}

# --- all of it -------------------------------------------------------------------------------------------------------

# log_in HOME ADDRESS USER:PASSWORD: for everything that reads docker's configuration.
log_in() {
    mkdir -p "$1/.docker"
    python3 - "$1/.docker/config.json" "$2" "$3" <<'EOT'
import base64, json, os, sys
path, address, login = sys.argv[1:]
config = json.load(open(path)) if os.path.exists(path) else {"auths": {}}
config["auths"][address] = {"auth": base64.b64encode(login.encode()).decode()}
os.umask(0o077)
json.dump(config, open(path, "w"))
EOT
}

# A registry where one user may only read, and another write anything but signatures.
start_shared() {
    local reader writer
    reader=$(htpasswd -nbB -C 5 reader secret) writer=$(htpasswd -nbB -C 5 writer secret)
    cat >"$work/users.yml" <<EOT
users: {reader: {cred: "${reader#*:}"}, writer: {cred: "${writer#*:}"}}
acls:
  - {repo: "images/*", members: [reader], access: [read]}
  - {repo: "images/*", members: [writer], access: [read, write, delete]}
  - {repo: "signatures", members: [reader, writer], access: [read]}
  - {repo: "", members: [reader, writer], access: [read]}
EOT
    start_olareg shared --auth-basic "$work/users.yml"
}

start_everything() {
    plain=$(start_docker_registry docker-registry) || return
    referrers=$(start_olareg olareg) || return
    basic=$(start_olareg olareg-basic --basic ci:secret) || return
    token=$(start_olareg olareg-token --token ci:secret) || return
    limited=$(start_olareg olareg-limited --rate-limit=8) || return
    closed=$(start_docker_registry closed ci:secret) || return
    shared=$(start_shared) || return
    : >"$work/fault"
    for upstream in "$plain" "$referrers"; do
        server_run "proxy-${upstream#*:}" python3 "$project/.ci/faulty_proxy.py" "$upstream" --faults "$work/fault"
        server_address "proxy-${upstream#*:}" >"$work/proxy-$upstream" || return
    done
    # The only one here that waits at 429 is the program under test, so it alone meets it.
    server_run limiter python3 "$project/.ci/faulty_proxy.py" "$limited" --limited luet-cosign
    limited=$(server_address limiter) || return
    log_in "$HOME" "$basic" ci:secret
    log_in "$HOME" "$token" ci:secret
    log_in "$work/privileged" "$closed" ci:secret
    log_in "$work/privileged" "$shared" writer:secret
    log_in "$work/reader" "$shared" reader:secret
    log_in "$work/writer" "$shared" writer:secret
    use_buildah "$plain" "$referrers" "$basic" "$token" "$limited" "$closed" "$shared"
    use_docker "$(start_dockerd dockerd)" || return
}

# everything_at ADDRESS: all scenarios of one registry that anybody may use.
everything_at() {
    proxy=$(cat "$work/proxy-$1")
    host=-
    scenario peers scenario_peers "$1"
    for host in "${hosts[@]}"; do
        for engine in buildah docker; do
            scenario publish scenario_publish "$1"
            [ "$registry" = olareg ] || scenario push scenario_push "$1"
            [ "$registry" = olareg ] || scenario dockerfile scenario_dockerfile "$1"
        done
        engine=
        scenario install scenario_install "$1"
        scenario refused scenario_refused "$1"
        scenario faults scenario_faults
        scenario two scenario_two "$1"
        engine=buildah
        scenario separate scenario_separate "$1"
        engine=
        scenario run scenario_run "$1"
    done
}

# difficult ADDRESS: a registry that asks for a password, or answers 429 to whoever is fast.
difficult() {
    for host in "${hosts[@]}"; do
        engine=buildah
        scenario publish scenario_publish "$1"
        [ -z "$login" ] || scenario publish check luet-cosign plugin "installs with no login but that in luet's configuration" \
            installs_with_login_of_host "$1/published/$host-$engine"
        engine=
    done
}

installs_with_login_of_host() {
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/acme.pub HOME=$machine
    configure "acme=$1"
    install_packages toolchain/beer
    exited 0
    said_nothing
    installed usr/bin/beer=toolchain/beer@1.0
}

# Without this the registry that limits would prove nothing.
check_limited() {
    host=- registry=olareg-limited
    check luet-cosign plugin "it was told 429 on the way" told_429
}

told_429() {
    local count
    count=$(grep -c '" 429 ' "$SERVERS_DIR/limiter/log")
    echo "--- $count times"
    [ "$count" -gt 0 ]
}

prepare() { make_keys && make_packages && start_everything; }

declare -A title=([luet-host]="stand-in host" [luet]="real luet")

print_row() { printf '%-10s %-16s %-22s %-12s %7s %7s\n' "$@"; }

print_table() {
    local row
    echo
    print_row host registry maker judge passed failed
    for row in "${rows[@]}"; do
        IFS='|' read -r host registry maker judge <<<"$row"
        print_row "$host" "$registry" "$maker" "$judge" "${row_passed[$row]}" "${row_failed[$row]}"
    done
    echo
    for host in "${hosts[@]}"; do echo "host $host: ${title[$host]}, $($(host=$host host_program) --version | head -n 1)"; done
    [ -n "$real_luet" ] || echo "host luet: not on this machine (LUET=PATH names one), so the stand-in alone was run"
}

main() {
    required luet-host cosign2 cosign3 skopeo crane docker-registry olareg buildah docker dockerd htpasswd python3 "$BIN"
    servers_begin
    work=$SERVERS_DIR/work
    keys=$work/keys
    path_without=$PATH
    mkdir -p "$work/plugins" "$work/home"
    # Copied: the program must not change under a run.
    cp "$BIN" "$work/plugins/luet-cosign"
    BIN=$work/plugins/luet-cosign
    export PATH=$work/plugins:$PATH HOME=$work/home COSIGN_PASSWORD=pw
    machine=$work/first && new_machine
    hosts=(luet-host)
    [ -z "$real_luet" ] || hosts+=(luet)

    prepared prepare
    for registry in docker-registry olareg; do
        host=- engine=
        address=$([ "$registry" = olareg ] && echo "$referrers" || echo "$plain")
        check - - "repositories are made" make_repositories "$address"
        everything_at "$address"
    done
    registry=olareg-basic login=", auth: {username: ci, password: secret}" difficult "$basic"
    registry=olareg-token login=", auth: {username: ci, password: secret}" difficult "$token"
    registry=olareg-limited difficult "$limited"
    scenario publish check_limited
    print_table
    finish
}

main

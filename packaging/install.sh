#!/bin/sh
#
# Installs luet-cosign @VERSION@, one static program for Linux.
#
#   sh install.sh                   into /usr/local/bin
#   sh install.sh --to ~/.local/bin into another directory
#   sh install.sh --check-only      download and check, install nothing
#
# What it does: downloads SHA256SUMS, its signature and the archive for this machine from @URL@,
# checks the signature with the release key below, checks the archive against the signed sum, and
# moves the program into place. Nothing is installed before every check has passed. It never calls
# sudo, changes no other file, and leaves nothing behind.
#
# The signature is checked with a luet-cosign that is installed already, else with cosign, else with
# openssl. A script that comes from the same server as the files proves that they arrived whole, and
# no more: anyone who controls the server can change both. So compare the fingerprint that it prints with
# the one in the README or in docs/install.md, and get that over another way.

set -eu

version="@VERSION@"
url="@URL@"
fingerprint="@FINGERPRINT@"
public_key="@PUBLIC_KEY@"

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '%s\n' "$2" >&2
    printf 'Nothing was installed.\n' >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

usage() {
    say "usage: sh install.sh [--to DIRECTORY] [--from URL] [--check-only]"
    say ""
    say "  --to DIRECTORY  where to install (default: /usr/local/bin)"
    say "  --from URL      a mirror with the files of release $version (default: $url)"
    say "  --check-only    download and check, install nothing"
}

# fetch NAME: downloads a file of the release into the working directory. Redirects stay on https.
fetch() {
    case $url in
        https://*) protocols="=https" ;;
        http://127.0.0.1:* | http://localhost:*) protocols="=http" ;;
        *) fail "\`$url\` is not an https address" ;;
    esac
    if has curl; then
        curl --proto "$protocols" --tlsv1.2 --fail --silent --show-error --location \
            --max-filesize 67108864 --output "$1" "$url/$1" ||
            fail "could not download $url/$1" "Is $version a release, and is the network there?"
    elif has wget; then
        case $protocols in
            =https) wget --https-only -q -O "$1" "$url/$1" ;;
            *) wget -q -O "$1" "$url/$1" ;;
        esac || fail "could not download $url/$1" "Is $version a release, and is the network there?"
    else
        fail "neither curl nor wget is installed"
    fi
    [ -s "$1" ] || fail "$url/$1 is empty"
}

# The SHA-256 of a file, in hexadecimal.
sum_of() {
    if has sha256sum; then
        sha256sum <"$1" | cut -d ' ' -f 1
    elif has shasum; then
        shasum -a 256 <"$1" | cut -d ' ' -f 1
    else
        openssl dgst -sha256 -r <"$1" | cut -d ' ' -f 1
    fi
}

# Checks the signature of SHA256SUMS with the release key, by the first program there is. One that
# refuses has the last word: the next is not asked.
check_signature() {
    printf '%s\n' "$public_key" >release.pub
    if has openssl; then
        found=$(openssl pkey -pubin -in release.pub -outform DER 2>/dev/null | openssl dgst -sha256 -r | cut -d ' ' -f 1)
        [ "sha256:$found" = "$fingerprint" ] ||
            fail "the key in this script has the fingerprint sha256:$found, not $fingerprint: the script was changed"
    fi
    if has luet-cosign && luet-cosign sign-blob --help >/dev/null 2>&1; then
        by="luet-cosign"
        env -u COSIGN_EXPERIMENTAL luet-cosign verify-blob --key release.pub --signature SHA256SUMS.sig SHA256SUMS >check.log 2>&1 ||
            refused
    elif has cosign; then
        by="cosign"
        cosign verify-blob --key release.pub --signature SHA256SUMS.sig --insecure-ignore-tlog=true \
            SHA256SUMS >check.log 2>&1 || refused
    elif has openssl; then
        by="openssl"
        openssl base64 -d -A -in SHA256SUMS.sig -out SHA256SUMS.der 2>check.log || refused
        openssl dgst -sha256 -verify release.pub -signature SHA256SUMS.der SHA256SUMS >>check.log 2>&1 || refused
    else
        fail "there is nothing to check a signature with" "Install openssl (or cosign), and run this script again."
    fi
}

refused() {
    cat check.log >&2
    fail "the signature of SHA256SUMS does not hold ($by)" \
        "The files are not what was released. Do not use them; tell the operator of $url."
}

main() {
    directory=/usr/local/bin
    check_only=no
    while [ $# -gt 0 ]; do
        case $1 in
            --to) [ $# -ge 2 ] || fail "--to needs a directory"; directory=$2; shift ;;
            --from) [ $# -ge 2 ] || fail "--from needs an address"; url=${2%/}; shift ;;
            --check-only) check_only=yes ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; fail "unknown option \`$1\`" ;;
        esac
        shift
    done
    case $public_key in
        *"BEGIN PUBLIC KEY"*) ;;
        *) fail "this copy of the script belongs to no release" "Take the install.sh of a release." ;;
    esac
    [ "$(uname -s)" = Linux ] || fail "luet-cosign runs on Linux; this is $(uname -s)"
    case $(uname -m) in
        x86_64 | amd64) machine=amd64 ;;
        aarch64 | arm64) machine=arm64 ;;
        *) fail "there is no program for $(uname -m)" "Build it from the source: see CONTRIBUTING.md." ;;
    esac
    case $directory in /*) ;; *) directory=$PWD/$directory ;; esac
    if [ "$check_only" = no ]; then
        [ -d "$directory" ] || fail "there is no directory $directory" "Make it, or name another one with --to."
        [ -w "$directory" ] || fail "$directory cannot be written" "Run the script as root, or name another directory: --to ~/.local/bin"
    fi
    umask 022
    work=$(mktemp -d "${TMPDIR:-/tmp}/luet-cosign-install.XXXXXX")
    new=""
    trap 'rm -rf "$work" ${new:+"$new"}' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cd "$work"

    say "luet-cosign $version for $machine, from $url"
    fetch SHA256SUMS
    fetch SHA256SUMS.sig
    check_signature
    say "  signature of SHA256SUMS: holds (checked with $by)"
    name="luet-cosign-$version-linux-$machine"
    # One line of the list, and only one.
    expected=$(awk -v name="$name.tar.gz" '$2 == name || $2 == "*" name { print $1; n++ } END { exit n != 1 }' SHA256SUMS) ||
        fail "SHA256SUMS does not list $name.tar.gz exactly once"
    fetch "$name.tar.gz"
    found=$(sum_of "$name.tar.gz")
    [ "$found" = "$expected" ] ||
        fail "$name.tar.gz has the SHA-256 $found; the signed list says $expected" \
            "It was changed, or it did not come whole. Try again; if it stays, do not use it."
    say "  SHA-256 of the archive: $found, as the signed list says"
    say "  release key: $fingerprint"
    tar -xzf "$name.tar.gz" "$name/luet-cosign"
    if [ ! -f "$name/luet-cosign" ] || [ -L "$name/luet-cosign" ]; then
        fail "there is no program in the archive"
    fi
    chmod 0755 "$name/luet-cosign"
    "$name/luet-cosign" version >version.log 2>&1 ||
        { cat version.log >&2; fail "the program does not run on this machine"; }
    if [ "$check_only" = yes ]; then
        say "Checked; nothing was installed."
    else
        new=$directory/.luet-cosign.$$
        cp "$name/luet-cosign" "$new"
        chmod 0755 "$new"
        mv -f "$new" "$directory/luet-cosign"
        new=""
        say "Installed: $directory/luet-cosign ($(head -n 1 version.log))"
    fi
    say ""
    say "This script came from the same place as the files, so its checks show that they arrived whole,"
    say "not who made them. Compare the fingerprint of the release key above with the one in the README"
    say "and in docs/install.md."
    case :$PATH: in
        *":$directory:"*) ;;
        *) [ "$check_only" = yes ] || say "$directory is not on PATH: luet finds plugins there only." ;;
    esac
}

# All of it was read before anything is done, also where it comes through a pipe that breaks.
main "$@"

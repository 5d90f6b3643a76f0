#!/usr/bin/env bash
#
# Builds the released program twice, from two copies of HEAD in two directories, each with a CARGO_HOME of its own, and compares the
# two byte for byte. Needs `.ci/tools.sh release`.
#
#   .ci/reproducible.sh ARCH...     amd64, arm64
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/reproducible.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd -- "$project"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# build FOLDER ARCH: prints the path of the program.
build() {
    mkdir -p "$1/home"
    [ -f "$1/Cargo.toml" ] || git archive HEAD | tar -x -C "$1"
    (cd "$1" && env -u CARGO_TARGET_DIR CARGO_HOME="$1/home" cargo xtask build --arch "$2")
}

failed=0
for architecture in "$@"; do
    one=$(build "$scratch/one" "$architecture")
    two=$(build "$scratch/somewhere/else/two" "$architecture")
    sha256sum "$one" "$two"
    if cmp "$one" "$two"; then
        echo "$architecture: two builds are equal, $(wc -c <"$one") bytes"
    else
        echo "$architecture: two builds differ"
        failed=$((failed + 1))
    fi
done
echo "$(($# - failed)) passed, $failed failed"
[ "$failed" = 0 ]

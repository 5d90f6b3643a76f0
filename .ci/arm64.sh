#!/usr/bin/env bash
#
# Builds the program for arm64 and lets it do, under qemu, what the trials ask of it: files and images signed and verified with every
# kind of key, and packages installed by the host with it as the plugin. Needs `.ci/tools.sh release`.
#
#   .ci/arm64.sh            builds it
#   .ci/arm64.sh PROGRAM    takes this one
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/arm64.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd -- "$project"

program=${1:-$(cargo xtask build --arch arm64)}
file=$(od -An -tx1 -j18 -N2 "$program" | tr -d ' ')
[ "$file" = b700 ] || { echo "$program is not for arm64"; exit 1; }
# The emulator sees the plugin's own arguments and environment.
cat >"$scratch/luet-cosign" <<EOT
#!/bin/sh
exec qemu-aarch64-static "$(realpath "$program")" "\$@"
EOT
chmod 755 "$scratch/luet-cosign"

status=0
for trial in ${ARM64_TRIALS:-blobs:: keys::olareg::legacy}; do
    BIN=$scratch/luet-cosign cargo test --locked -p e2e --test e2e -- "$trial" || status=1
done
exit "$status"

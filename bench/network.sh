#!/usr/bin/env bash
#
# What a network costs, beside the programs that do the same work: round trips, connections and requests of verifying,
# signing and the events, with TLS, in front of docker-registry and olareg, with and without a
# token service. The kernel delays nothing here; crates/e2e/src/wan.rs does.
#
#   bench/network.sh                 .ci/tools.sh must have run, as root; exit 1 when a bar is missed
#   bench/network.sh --table FILE    also writes the table into a document (docs/performance.md)
#
#   BIN=PATH   the program (default: the static release build)
#   RUNS=3     runs of each; the fastest counts
#   ONLY=PART  verify, events, sign or whole (a repository, an install) alone
#   PEERS=no   holds this program's bars and measures no other
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd -- "$project"
cargo build --locked --quiet -p e2e --bin network
exec target/debug/network "$@"

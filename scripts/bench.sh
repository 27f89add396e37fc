#!/usr/bin/env bash
# Release build, then Tidewatch and its peers in one run; the table goes to docs/benchmarks.md.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
scripts/need.sh prometheus victoria-metrics
cargo build --locked --release -p tidewatch -p tests --bins
target="${CARGO_TARGET_DIR:-target}"
exec "$target/release/bench"

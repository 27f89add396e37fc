#!/usr/bin/env bash
# Builds everything once and runs every test; the test runner's summary is the last line.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
export UI_REQUIRED=1

if ! [ dashboards/ui/node_modules/.package-lock.json -nt dashboards/ui/package-lock.json ]; then
  npm ci --prefix dashboards/ui --no-audit --no-fund
fi
npm test --prefix dashboards/ui

cargo build --locked --workspace --all-targets
if cargo nextest --version >/dev/null 2>&1; then
  exec cargo nextest run --locked --workspace --no-fail-fast
fi
exec cargo test --locked --workspace --no-fail-fast --lib --bins --tests

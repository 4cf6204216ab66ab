#!/usr/bin/env bash
# Measures how time and memory scale with batch size, width and data; see scaling.py for the options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --release
exec python3 scripts/bench/scaling.py "$@"

#!/usr/bin/env bash
# What training from files costs, and how good its order is; see stream.py for the options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --release
exec python3 scripts/bench/stream.py "$@"

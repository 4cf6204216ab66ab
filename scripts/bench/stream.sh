#!/usr/bin/env bash
# Measures the cost of streaming the training data and the quality of its order; see stream.py for the options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --release
exec python3 scripts/bench/stream.py "$@"

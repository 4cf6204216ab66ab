#!/usr/bin/env bash
# Times seqfit alternately with PyTorch, JAX, Keras, tch, candle and burn on this machine:
#
#   scripts/bench/peers.sh --data-dir DIR [--batch-size 32 256] [--rounds 5] [--picture FILE.svg]
#
# Sets up what it needs: .venv (scripts/fetch_libtorch.sh --python), .venv-bench with JAX and Keras, the
# release build and the Rust peers in target/peers. Nothing else should run at the same time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

[[ -x .venv/bin/python ]] || scripts/fetch_libtorch.sh --python
if [[ ! -x .venv-bench/bin/python ]]; then
  python3 -m venv .venv-bench
  .venv-bench/bin/pip install --quiet jax optax tensorflow-cpu matplotlib
fi
cargo build --release
cargo build --release --manifest-path scripts/bench/peers/Cargo.toml --target-dir target/peers --features candle
cargo build --release --manifest-path scripts/bench/peers-burn/Cargo.toml --target-dir target/peers

libtorch="${LIBTORCH:-vendor/libtorch}/lib"
LD_LIBRARY_PATH="$libtorch${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec .venv-bench/bin/python scripts/bench/peers.py \
  --torch-python .venv/bin/python --other-python .venv-bench/bin/python "$@"

#!/usr/bin/env bash
# Builds the same sources with tch 0.24 against libtorch 2.11.0; see `--help`.
set -euo pipefail

TORCH_VERSION=2.11.0
TCH_VERSION=0.24.0
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OUT=$ROOT/target/torch-2.11

usage() {
    cat <<USAGE
Usage: scripts/build_torch_2_11.sh [CARGO_ARGUMENT...]

Builds seqfit with tch $TCH_VERSION against libtorch $TORCH_VERSION, for hosts with PyTorch 2.11.
A program built for one libtorch crashes with another, so the default build does not run there.

Without arguments: runs cargo build --release --bin seqfit, and puts the stripped program at
target/torch-2.11/seqfit. Arguments replace these, for instance
  scripts/build_torch_2_11.sh test --release

Cargo.lock and vendor/libtorch are not changed: libtorch $TORCH_VERSION goes to
vendor/libtorch-$TORCH_VERSION (make that a link to use your own), and a copy of the sources with
a separate lock file to target/torch-2.11/src.
USAGE
}

say() { printf 'build_torch_2_11: %s\n' "$*" >&2; }

# Modification times are kept, so that cargo rebuilds only what has changed.
copy_sources() {
    rm -rf "$OUT/src"
    mkdir -p "$OUT/src"
    tar -C "$ROOT" --exclude=target --exclude=./vendor --exclude='./.venv*' --exclude=./.git --exclude=./runs \
        --exclude=node_modules -cf - . | tar -xf - -C "$OUT/src"
}

# tch comes first, which also updates torch-sys. In the other order cargo refuses, since tch 0.26 requires
# torch-sys 0.26.
pin_tch() {
    local package
    for package in tch torch-sys; do
        cargo update --quiet -p "$package" --precise "$TCH_VERSION"
    done
    say "tch and torch-sys are at $TCH_VERSION"
}

leave_program() {
    # Renamed into place, so that a running program is not overwritten.
    strip -o "$OUT/seqfit.new" "$OUT/release/seqfit"
    mv -f "$OUT/seqfit.new" "$OUT/seqfit"
    cat <<NEXT
built: $OUT/seqfit
It uses libtorch $TORCH_VERSION in vendor/. On a host with PyTorch 2.11 (and CUDA), run it with that one:
  torch_lib=\$(python3 -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))')
  LD_LIBRARY_PATH=\$torch_lib ./seqfit train
NEXT
}

case ${1:-} in
-h | --help)
    usage
    exit 0
    ;;
-*)
    say "arguments start with a cargo command; try --help"
    exit 2
    ;;
esac
env -u LIBTORCH "$ROOT/scripts/fetch_libtorch.sh" --version "$TORCH_VERSION" >/dev/null
copy_sources
cd "$OUT/src"
pin_tch
export LIBTORCH=$ROOT/vendor/libtorch-$TORCH_VERSION CARGO_TARGET_DIR=$OUT
# These would make torch-sys use another libtorch.
unset LIBTORCH_USE_PYTORCH LIBTORCH_LIB LIBTORCH_INCLUDE
if [ $# -gt 0 ]; then
    cargo "$@"
else
    cargo build --release --locked --bin seqfit
    leave_program
fi

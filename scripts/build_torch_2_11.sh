#!/usr/bin/env bash
# Builds the same sources with tch 0.24 against libtorch 2.11.0; see `--help`.
set -euo pipefail

readonly TORCH_VERSION=2.11.0
readonly TCH_VERSION=0.24.0

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly OUT=$ROOT/target/torch-2.11
readonly SOURCES=$OUT/src
readonly LIBTORCH_2_11=$ROOT/vendor/libtorch-$TORCH_VERSION

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

die() {
    say "error: $*"
    exit 1
}

# Copies the files of the working tree that git does not ignore, committed or not; outside a git checkout
# (a source archive) everything except the build products. Modification times are kept, so that cargo
# rebuilds only what has changed.
copy_sources() {
    rm -rf "$SOURCES"
    mkdir -p "$SOURCES"
    cd "$ROOT"
    if [ "$(git rev-parse --show-toplevel 2>/dev/null)" -ef "$ROOT" ]; then
        git ls-files -coz --exclude-standard |
            while IFS= read -r -d '' file; do
                # A tracked file may have been deleted.
                if [ -e "$file" ]; then printf '%s\0' "$file"; fi
            done |
            tar --null -T - -cf -
    else
        tar --exclude=./target --exclude=./vendor --exclude=./.venv --exclude=./.git \
            --exclude=./runs -cf - .
    fi | tar -xf - -C "$SOURCES"
    cd "$SOURCES"
}

# tch comes first, which also updates torch-sys. In the other order cargo refuses, since tch 0.26 requires
# torch-sys 0.26.
pin_tch() {
    local package
    for package in tch torch-sys; do
        cargo update --quiet -p "$package" --precise "$TCH_VERSION"
    done
    for package in tch torch-sys; do
        case $(cargo pkgid --locked "$package") in
        *"@$TCH_VERSION") ;;
        *) die "cargo did not take $package $TCH_VERSION" ;;
        esac
    done
    say "tch and torch-sys are at $TCH_VERSION"
}

leave_program() {
    local built=$OUT/release/seqfit
    # Renamed into place, so that a running program is not overwritten.
    strip -o "$OUT/seqfit.new" "$built" 2>/dev/null || cp "$built" "$OUT/seqfit.new"
    chmod 755 "$OUT/seqfit.new"
    mv -f "$OUT/seqfit.new" "$OUT/seqfit"
    cat <<NEXT
built: $OUT/seqfit
It uses libtorch $TORCH_VERSION in vendor/. On a host with PyTorch 2.11 (and CUDA), run it with that one:
  torch_lib=\$(python3 -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))')
  LD_LIBRARY_PATH=\$torch_lib ./seqfit train
NEXT
}

main() {
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
    command -v cargo >/dev/null || die "cargo is not installed; see https://rustup.rs"
    env -u LIBTORCH "$ROOT/scripts/fetch_libtorch.sh" \
        --version "$TORCH_VERSION" --dir "$LIBTORCH_2_11" >/dev/null
    copy_sources
    pin_tch
    export LIBTORCH=$LIBTORCH_2_11 CARGO_TARGET_DIR=$OUT
    # These would make torch-sys use another libtorch.
    unset LIBTORCH_USE_PYTORCH LIBTORCH_LIB LIBTORCH_INCLUDE
    if [ $# -gt 0 ]; then
        cargo "$@"
    else
        cargo build --release --locked --bin seqfit
        leave_program
    fi
}

main "$@"

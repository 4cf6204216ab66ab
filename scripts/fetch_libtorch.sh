#!/usr/bin/env bash
# Puts the libtorch that this checkout builds against into vendor/libtorch; see `--help`.
# This file has the command line and the order of the sources; the other parts are in scripts/libtorch/.
# Compatible with bash 3.2 (macOS), hence no associative arrays and no mapfile.
set -euo pipefail

readonly DEFAULT_VERSION=2.13.0
readonly CUDA_TAG=cu130
# Peak disk space of a run in KiB, download and unpacked files together.
readonly CPU_KB=1250000
readonly CUDA_KB=8000000
readonly VENV_CPU_KB=1500000
readonly VENV_CUDA_KB=8000000

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly PARTS=$ROOT/scripts/libtorch
readonly VENV=$ROOT/.venv

VERSION=$DEFAULT_VERSION
VARIANT=""     # cpu, cuda, or empty: keep an existing one, else fetch cpu
DIR=""         # --dir as given
WITH_PYTHON="" # set by --python

# shellcheck source=scripts/libtorch/common.sh
. "$PARTS/common.sh"
# shellcheck source=scripts/libtorch/platform.sh
. "$PARTS/platform.sh"
# shellcheck source=scripts/libtorch/folder.sh
. "$PARTS/folder.sh"
# shellcheck source=scripts/libtorch/download.sh
. "$PARTS/download.sh"
# shellcheck source=scripts/libtorch/zip.sh
. "$PARTS/zip.sh"
# shellcheck source=scripts/libtorch/pip.sh
. "$PARTS/pip.sh"
# shellcheck source=scripts/libtorch/wheel.sh
. "$PARTS/wheel.sh"
# shellcheck source=scripts/libtorch/venv.sh
. "$PARTS/venv.sh"

# --- command line --------------------------------------------------------------------------------

usage() {
    cat <<USAGE
Usage: scripts/fetch_libtorch.sh [--cpu | --cuda] [--python] [--version V] [--dir D]

Puts libtorch into vendor/libtorch, where cargo looks for it. It can be run again at any time: a
complete folder is recognized without the network, and an interrupted download of the zip resumes
where it stopped (of wheels, the complete ones are kept).

    --cpu        the CPU build (the default if nothing is installed yet)
  --cuda       the CUDA build ($CUDA_TAG, Linux x86-64 only, several GB); it computes on the CPU too
  --python     also make .venv with the same PyTorch, numpy and tests/requirements.txt, for the tests
    --version V  libtorch V instead of $DEFAULT_VERSION (which tch 0.26 needs; tch 0.24 needs 2.11.0)
    --dir D      install into D instead of vendor/libtorch (then build with LIBTORCH=<absolute path of D>)
  --help       this text

Sources, in this order:
    1. LIBTORCH, if it is set: the folder is checked and nothing is fetched
       (ignored with --dir)
  2. the official zip from download.pytorch.org
  3. the PyTorch wheel, through pip and its configuration

Environment:
  LIBTORCH                 a libtorch to use as it is (absolute path)
    SEQFIT_LIBTORCH_URL      base URL of the zips instead of https://download.pytorch.org/libtorch
    SEQFIT_LIBTORCH_SHA256   the required SHA-256 of the zip
  SEQFIT_TORCH_INDEX       package index tried first for .venv
                           instead of https://download.pytorch.org/whl/cpu
  SEQFIT_FETCH_NO_WHEEL=1  do not fall back on the PyTorch wheel
  SEQFIT_FETCH_FREE_KB     assume this much free disk space (for tests)

Linux x86-64 (glibc 2.28 or newer) is tested. Linux aarch64 and macOS arm64 are implemented, but not
tested. An NVIDIA driver too old for CUDA 13 needs another build of the same libtorch version: unpack
it and set LIBTORCH.
USAGE
}

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --cpu | --cuda)
            if [ -n "$VARIANT" ] && [ "$VARIANT" != "${1#--}" ]; then
                usage_error "--cpu and --cuda exclude each other"
            fi
            VARIANT=${1#--}
            ;;
        --python) WITH_PYTHON=yes ;;
        --version | --dir)
            [ $# -ge 2 ] || usage_error "$1 needs a value"
            if [ "$1" = --version ]; then VERSION=$2; else DIR=$2; fi
            [ -n "$2" ] || usage_error "$1 needs a value"
            shift
            ;;
        --version=*) VERSION=${1#*=} ;;
        --dir=*)
            DIR=${1#*=}
            [ -n "$DIR" ] || usage_error "--dir needs a value"
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) usage_error "unknown argument: $1" ;;
        esac
        shift
    done
    if ! printf '%s' "$VERSION" | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+'; then
        usage_error "--version needs three numbers such as $DEFAULT_VERSION, not '$VERSION'"
    fi
}

# --- source 1: LIBTORCH --------------------------------------------------------------------------

# Succeeds if LIBTORCH is set and usable. cargo prefers it to vendor/libtorch, so a wrong one is an
# error and not a reason to fetch: the build would fail on it anyway.
use_env_libtorch() {
    local dir=${LIBTORCH:-} found
    [ -n "$dir" ] || return 1
    if [ -n "$DIR" ]; then
        say "note: LIBTORCH is set, but ignored because of --dir"
        return 1
    fi
    if [ "${dir%/}" = "$ROOT/vendor/libtorch" ] || [ "$dir" -ef "$ROOT/vendor/libtorch" ]; then
        return 1
    fi
    local cure="unset LIBTORCH, then this script fetches libtorch $VERSION into vendor/libtorch"
    case $dir in
    /*) ;;
    *) die "LIBTORCH=$dir is a relative path, and cargo's build scripts run in other folders" \
        "make it absolute, or $cure" ;;
    esac
    found=$(version_of "$dir")
    if [ -n "$found" ] && [ "$found" != "$VERSION" ]; then
        die "LIBTORCH=$dir holds libtorch $found, but this build needs $VERSION" \
            "$cure" \
            "or set LIBTORCH to a libtorch $VERSION" \
            "(for hosts with PyTorch 2.11: scripts/build_torch_2_11.sh)"
    fi
    found=$(defect "$dir")
    [ -z "$found" ] || die "LIBTORCH=$dir cannot be used: $found" "$cure"
}

# --- sources 2 and 3: the official zip and the PyTorch wheel -------------------------------------

# try SOURCE VARIANT: runs from_zip or from_wheel, and checks the result.
try() {
    local wrong stage=$CACHE/stage
    REASON=""
    "$1" "$2" || return 1
    # The CPU wheels do not include their version, nor do all zips for macOS.
    [ -f "$stage/build-version" ] || printf '%s\n' "$VERSION" >"$stage/build-version"
    wrong=$(VARIANT=$2 defect "$stage")
    rm -rf "$CACHE/tmp"
    [ -n "$wrong" ] || return 0
    REASON="the result is incomplete: $wrong"
    rm -rf "$stage" "$CACHE"/*.zip
    return 1
}

fetch() {
    local variant=${VARIANT:-cpu} zip_reason
    check_replaceable
    if [ "$variant" = cuda ]; then
        need_space $CUDA_KB "libtorch with CUDA"
    else
        need_space $CPU_KB libtorch
    fi
    if ! try from_zip "$variant"; then
        zip_reason=$REASON
        if [ -z "${SEQFIT_FETCH_NO_WHEEL:-}" ]; then
            say "official zip not usable ($zip_reason): trying the PyTorch wheel"
        fi
        try from_wheel "$variant" || die "libtorch $VERSION ($variant) could not be fetched" \
            "official zip: $zip_reason" "PyTorch wheel: $REASON" \
            "cure: connect to the network (or set https_proxy) and run this again," \
            "or unpack a libtorch $VERSION yourself and set LIBTORCH to its absolute path"
    fi
    install_stage
}

ensure_libtorch() {
    local wrong
    set_target
    wrong=$(target_defect)
    if [ -n "$wrong" ]; then
        lock
        recover
        # Another run may have finished the work while this one waited.
        wrong=$(target_defect)
    fi
    if [ -z "$wrong" ]; then
        say "nothing to fetch: libtorch $VERSION is complete"
        return
    fi
    if [ -e "$TARGET" ]; then say "replacing $TARGET: $wrong"; fi
    fetch
}

# --- main --------------------------------------------------------------------------------------

# quoted WORD: the word as a shell reads it
quoted() {
    case $1 in
    *[!A-Za-z0-9/._+-]*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s' "$1" ;;
    esac
}

report() {
    local dir=$1 prefix=""
    case $dir in
    "$ROOT/vendor/libtorch") ;;
    "${LIBTORCH:-}") ;;
    *) prefix="LIBTORCH=$(quoted "$dir") " ;;
    esac
    printf 'libtorch %s (%s) is in place: %s\n' "$VERSION" "$(variant_of "$dir")" "$dir"
    if [ -n "$WITH_PYTHON" ]; then
        printf 'PyTorch %s and the other packages for the tests are in place: %s\n' "$VERSION" "$VENV"
    fi
    if [ "$VERSION" = 2.11.0 ]; then
        printf 'next: scripts/build_torch_2_11.sh\n'
    else
        printf 'next: %scargo run --release -- train\n' "$prefix"
    fi
}

main() {
    local place
    parse_arguments "$@"
    check_platform
    trap release EXIT
    trap 'on_signal 129' HUP
    trap 'on_signal 130' INT
    trap 'on_signal 143' TERM
    if use_env_libtorch; then
        place=$LIBTORCH
        say "nothing to fetch: LIBTORCH is set and will be used"
    else
        ensure_libtorch
        place=$TARGET
    fi
    if [ -n "$WITH_PYTHON" ]; then
        release
        ensure_venv
    fi
    report "$place"
}

main "$@"

#!/usr/bin/env bash
# Puts the libtorch that this checkout builds against into vendor/libtorch; `--help` says the rest.
# Here are the command line and the order of the sources; the parts are in scripts/libtorch/.
# Written for bash 3.2 too (macOS), hence no associative arrays and no mapfile.
set -euo pipefail

readonly DEFAULT_VERSION=2.13.0
readonly CUDA_TAG=cu130
# Peak need of a run, download and unpacked files together, in KiB.
readonly CPU_KB=1250000
readonly CUDA_KB=8000000
readonly VENV_CPU_KB=1500000
readonly VENV_CUDA_KB=8000000

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly PARTS=$ROOT/scripts/libtorch
readonly VENV=$ROOT/.venv

VERSION=$DEFAULT_VERSION
VARIANT=""     # cpu, cuda, or empty: keep what is there, fetch cpu if nothing is
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

Puts libtorch into vendor/libtorch, where cargo looks for it. Run it again at any time: a complete
folder is recognised without the network, an interrupted download of the zip goes on where it
stopped (from wheels, those that were complete are kept).

  --cpu        the CPU build (the default where nothing is in place yet)
  --cuda       the CUDA build ($CUDA_TAG, Linux x86-64 only, several GB); it computes on the CPU too
  --python     also make .venv with the same PyTorch, numpy and tests/requirements.txt, for the tests
  --version V  libtorch V in place of $DEFAULT_VERSION (which tch 0.26 wants; tch 0.24 wants 2.11.0)
  --dir D      fill D in place of vendor/libtorch (then build with LIBTORCH=<absolute path of D>)
  --help       this text

Sources, in this order:
  1. LIBTORCH, where it is set already: the folder is checked and nothing is fetched
     (not looked at with --dir)
  2. the official zip from download.pytorch.org
  3. the PyTorch wheel, through pip and its configuration

Environment:
  LIBTORCH                 a libtorch to use as it is (absolute path)
  SEQFIT_LIBTORCH_URL      base address of the zips in place of https://download.pytorch.org/libtorch
  SEQFIT_LIBTORCH_SHA256   the zip must have this SHA-256
  SEQFIT_TORCH_INDEX       package index tried first for .venv
                           in place of https://download.pytorch.org/whl/cpu
  SEQFIT_FETCH_NO_WHEEL=1  do not fall back on the PyTorch wheel
  SEQFIT_FETCH_FREE_KB     take this for the free disk space (tests)

Linux x86-64 (glibc 2.28 or newer) is tested. Linux aarch64 and macOS arm64 are written for, but not
tested. An NVIDIA driver too old for CUDA 13 needs another libtorch of the same version: unpack it
and set LIBTORCH.
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
            [ $# -ge 2 ] || usage_error "$1 wants a value"
            if [ "$1" = --version ]; then VERSION=$2; else DIR=$2; fi
            [ -n "$2" ] || usage_error "$1 wants a value"
            shift
            ;;
        --version=*) VERSION=${1#*=} ;;
        --dir=*)
            DIR=${1#*=}
            [ -n "$DIR" ] || usage_error "--dir wants a value"
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
        usage_error "--version wants three numbers such as $DEFAULT_VERSION, not '$VERSION'"
    fi
}

# --- source 1: LIBTORCH --------------------------------------------------------------------------

# Succeeds if LIBTORCH is set and good. cargo prefers it to vendor/libtorch, so a wrong one is an
# error and not a reason to fetch: the build would fail on it all the same.
use_env_libtorch() {
    local dir=${LIBTORCH:-} found
    [ -n "$dir" ] || return 1
    if [ -n "$DIR" ]; then
        say "note: LIBTORCH is set, but --dir asks for a folder of its own"
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
        die "LIBTORCH=$dir holds libtorch $found, but this build wants $VERSION" \
            "$cure" \
            "or set LIBTORCH to a libtorch $VERSION" \
            "(for hosts that carry PyTorch 2.11: scripts/build_torch_2_11.sh)"
    fi
    found=$(defect "$dir")
    [ -z "$found" ] || die "LIBTORCH=$dir cannot be used: $found" "$cure"
}

# --- sources 2 and 3: the official zip and the PyTorch wheel -------------------------------------

# try SOURCE VARIANT: from_zip or from_wheel, and a look at what came out.
try() {
    local wrong stage=$CACHE/stage
    REASON=""
    "$1" "$2" || return 1
    # The CPU wheels do not name their version, nor have all zips for macOS.
    [ -f "$stage/build-version" ] || printf '%s\n' "$VERSION" >"$stage/build-version"
    wrong=$(VARIANT=$2 defect "$stage")
    rm -rf "$CACHE/tmp"
    [ -n "$wrong" ] || return 0
    REASON="what came out is incomplete: $wrong"
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
            "cure: connect to the network (or set https_proxy) and run it again," \
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
        # Another run may have done the work while this one waited.
        wrong=$(target_defect)
    fi
    if [ -z "$wrong" ]; then
        say "nothing to fetch: libtorch $VERSION is complete"
        return
    fi
    if [ -e "$TARGET" ]; then say "replacing $TARGET: $wrong"; fi
    fetch
}

# --- the whole -----------------------------------------------------------------------------------

report() {
    local dir=$1 prefix=""
    case $dir in
    "$ROOT/vendor/libtorch") ;;
    "${LIBTORCH:-}") ;;
    *) prefix="LIBTORCH=$dir " ;;
    esac
    printf 'libtorch %s (%s) is in place: %s\n' "$VERSION" "$(variant_of "$dir")" "$dir"
    if [ -n "$WITH_PYTHON" ]; then
        printf 'PyTorch %s and what the tests need beside it are in place: %s\n' "$VERSION" "$VENV"
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

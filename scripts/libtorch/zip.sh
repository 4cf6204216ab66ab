# Part of scripts/fetch_libtorch.sh, source 2: the official zip from download.pytorch.org.
# shellcheck shell=bash disable=SC2034 # other parts use the variables

readonly ZIP_BASE=${SEQFIT_LIBTORCH_URL:-https://download.pytorch.org/libtorch}

# zip_name VARIANT: prints the path below ZIP_BASE; nothing if no zip is published.
zip_name() {
    case $OS-$MACHINE-$1 in
    Linux-x86_64-cpu) printf 'cpu/libtorch-shared-with-deps-%s%%2Bcpu.zip' "$VERSION" ;;
    Linux-x86_64-cuda)
        printf '%s/libtorch-shared-with-deps-%s%%2B%s.zip' "$CUDA_TAG" "$VERSION" "$CUDA_TAG" ;;
    Darwin-arm64-cpu) printf 'cpu/libtorch-macos-arm64-%s.zip' "$VERSION" ;;
    esac
}

sha256_of() {
    if have sha256sum; then
        sha256sum "$1"
    else
        shasum -a 256 "$1"
    fi | cut -d ' ' -f 1
}

# zip_is_sound ZIP: sets REASON if not. No checksums are published for the zips: without
# SEQFIT_LIBTORCH_SHA256 only the length, the CRC-32 of each file and the version are checked.
zip_is_sound() {
    local zip=$1 want=${SEQFIT_LIBTORCH_SHA256:-}
    if [ -n "$want" ] && [ "$(sha256_of "$zip")" != "$want" ]; then
        REASON="the zip does not have the expected SHA-256 $want"
        return 1
    fi
    REASON="the downloaded file is damaged or not a zip"
    if have unzip; then
        run unzip -tqq "$zip" >/dev/null 2>&1
    else
        run python3 -c 'import sys, zipfile
sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)' "$zip" >/dev/null 2>&1
    fi
}

# unpack_zip ZIP FOLDER
unpack_zip() {
    if have unzip; then
        run unzip -qo "$1" -d "$2"
    else
        # extractall() does not restore the permissions.
        run python3 -c 'import os, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
for info in archive.infolist():
    path = archive.extract(info, sys.argv[2])
    if info.external_attr >> 16 & 0o111 and not info.is_dir():
        os.chmod(path, 0o755)' "$1" "$2"
    fi
}

# from_zip VARIANT: leaves the folder in $CACHE/stage. Sets REASON on failure.
from_zip() {
    local name zip continued
    name=$(zip_name "$1")
    if [ -z "$name" ]; then
        REASON="there is none for $OS on $MACHINE"
        return 1
    elif ! have curl; then
        REASON="curl is not installed"
        return 1
    elif ! have unzip && ! have python3; then
        REASON="neither unzip nor python3 is installed"
        return 1
    fi
    zip=$CACHE/$(basename "$name")
    while :; do
        continued=""
        if [ -s "$zip" ] || [ -s "$zip.part" ]; then continued=yes; fi
        if [ ! -s "$zip" ]; then download "$ZIP_BASE/$name" "$zip" || return 1; fi
        say "checking $(basename "$zip")"
        if zip_is_sound "$zip"; then break; fi
        rm -f "$zip"
        # The first part may be from another version or server: try once more from the start.
        [ -n "$continued" ] || return 1
        say "the resumed download is damaged; starting over"
    done
    say "unpacking"
    mkdir -p "$CACHE/tmp"
    unpack_zip "$zip" "$CACHE/tmp" ||
        die "unpacking $(basename "$zip") failed" "is the disk full? Free some space and run this again"
    if [ ! -d "$CACHE/tmp/libtorch" ]; then
        rm -f "$zip"
        REASON="the zip holds no folder libtorch/"
        return 1
    fi
    mv "$CACHE/tmp/libtorch" "$CACHE/stage"
}

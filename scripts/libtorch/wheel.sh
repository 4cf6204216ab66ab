# Part of scripts/fetch_libtorch.sh, source 3: a libtorch assembled from the PyTorch wheel.
# shellcheck shell=bash disable=SC2034 # other parts use the variables

WHEEL="" # result of get_wheel

# --- fetching and unpacking ----------------------------------------------------------------------

# download_wheel FOLDER REQUIREMENT: the wheel's C++ libraries are the same for each Python version, so a
# fixed one is requested and the host's python3 may be older or newer than PyTorch supports.
download_wheel() {
    local options=(--no-deps --only-binary=:all: --python-version 3.12 --no-cache-dir) tag
    case $OS in
    Darwin) for tag in 14 13 12 11; do options+=(--platform "macosx_${tag}_0_arm64"); done ;;
    *)
        # pip takes a named platform literally: an older glibc must be named to be accepted.
        for ((tag = 28; tag >= 5; tag--)); do
            options+=(--platform "manylinux_2_${tag}_$MACHINE")
        done
        options+=(--platform "manylinux2014_$MACHINE" --platform "manylinux2010_$MACHINE")
        ;;
    esac
    run_pip download "${options[@]}" --timeout 30 --retries 2 -d "$1" "$2"
}

# get_wheel REQUIREMENT: sets WHEEL. Complete wheels are kept until the end, so after an interruption a run
# downloads only the missing ones.
get_wheel() {
    local folder
    folder=$CACHE/wheels/$(printf '%s' "$1" | tr -c 'A-Za-z0-9._=-' _)
    if [ ! -d "$folder" ]; then
        rm -rf "$CACHE/wheel.part"
        mkdir -p "$CACHE/wheels"
        if ! download_wheel "$CACHE/wheel.part" "$1"; then
            rm -rf "$CACHE/wheel.part"
            REASON="pip could not download $1 (see above)"
            return 1
        fi
        mv "$CACHE/wheel.part" "$folder"
    fi
    WHEEL=$(find "$folder" -name '*.whl')
}

# unpack_wheel WHEEL RULE...: unpacks into the stage folder; unpack_wheel.py explains the rules.
unpack_wheel() {
    local wheel=$1 status=0
    shift
    say "unpacking $(basename "$wheel")"
    run python3 "$PARTS/unpack_wheel.py" "$wheel" "$CACHE/stage" "$@" || status=$?
    [ "$status" -eq 0 ] && return
    if [ "$status" -eq 3 ]; then
        die "unpacking failed (see above)" "is the disk full? Free some space and run this again"
    fi
    rm -rf "$(dirname "$wheel")"
    REASON="$(basename "$wheel") is damaged (see above)"
    return 1
}

# --- NVIDIA's wheels -----------------------------------------------------------------------------

# nvidia_requirements WHEEL EXTRAS: prints one line per package; wheel_requirements.py explains them.
nvidia_requirements() { python3 "$PARTS/wheel_requirements.py" "$1" "$2" "$MACHINE"; }

# nvidia_wheels TORCH_WHEEL EXTRAS NAMES: downloads the NVIDIA wheels that PyTorch needs, of the
# cuda-toolkit only the given extras ("" for all that PyTorch requires), and unpacks those whose name
# matches the extended regular expression NAMES. The remaining arguments are unpack rules.
nvidia_wheels() {
    local torch=$1 only=$2 names=$3 direct pinned="" requirement extras
    shift 3
    direct=$(nvidia_requirements "$torch" "") ||
        { REASON="the PyTorch wheel's METADATA cannot be read"; return 1; }
    while read -r requirement extras <&3; do
        case $requirement in
        cuda-toolkit*)
            get_wheel "$requirement" || return 1
            pinned+=$(nvidia_requirements "$WHEEL" "${only:-$extras}")$'\n' ||
                { REASON="the METADATA of $requirement cannot be read"; return 1; }
            ;;
        esac
    done 3<<<"$direct"
    while read -r requirement extras <&3; do
        case $requirement in "" | cuda-toolkit*) continue ;; esac
        printf '%s' "$requirement" | grep -Eq "$names" || continue
        get_wheel "$requirement" || return 1
        unpack_wheel "$WHEEL" "$@" || return 1
    done 3< <(printf '%s\n%s' "$direct" "$pinned" | sort -u)
}

# --- the layouts ---------------------------------------------------------------------------------

# The Linux wheel is a CUDA build, but its CPU libraries work separately: they need only two small
# NVIDIA libraries in addition. libtorch.so of the wheel would load the CUDA libraries, so a linker
# script replaces it.
cpu_layout_linux() {
    local left_out=() name
    for name in libtorch.so 'libtorch_cuda*' libtorch_python.so libtorch_global_deps.so \
        libtorch_nvshmem.so libc10_cuda.so libcaffe2_nvrtc.so libshm.so; do
        left_out+=("!torch/lib/$name")
    done
    unpack_wheel "$1" torch/include/=include/ torch/share/=share/ 'torch/lib/*.so*=lib/' \
        "${left_out[@]}" || return 1
    nvidia_wheels "$1" cudart,cupti 'cuda-(runtime|cupti)' \
        'nvidia/*/lib/libcudart.so.*=lib/' 'nvidia/*/lib/libcupti.so.*=lib/' || return 1
    printf 'INPUT(-ltorch_cpu)\n' >"$CACHE/stage/lib/libtorch.so"
}

cpu_layout_macos() {
    unpack_wheel "$1" torch/include/=include/ torch/share/=share/ torch/lib/=lib/ \
        '!torch/lib/libtorch_python*'
}

# The CUDA libraries find NVIDIA's by $ORIGIN/../../nvidia/*/lib: the folders keep their layout under
# wheel/, and lib and include are links into it.
cuda_layout() {
    local full
    unpack_wheel "$1" torch/lib/=wheel/torch/lib/ torch/include/=wheel/torch/include/ \
        torch/share/=wheel/torch/share/ torch/version.py=wheel/torch/ \
        '!torch/lib/libtorch_python.so' || return 1
    nvidia_wheels "$1" "" '^nvidia-' nvidia/=wheel/nvidia/ || return 1
    ln -s wheel/torch/lib "$CACHE/stage/lib"
    ln -s wheel/torch/include "$CACHE/stage/include"
    full=$(python_version "$CACHE/stage/wheel/torch/version.py")
    printf '%s\n' "${full:-$VERSION}" >"$CACHE/stage/build-version"
}

# from_wheel VARIANT: leaves the folder in $CACHE/stage. Sets REASON on failure.
from_wheel() {
    if [ -n "${SEQFIT_FETCH_NO_WHEEL:-}" ]; then
        REASON="disabled by SEQFIT_FETCH_NO_WHEEL"
        return 1
    fi
    find_pip || return 1
    get_wheel "torch==$VERSION" || return 1
    rm -rf "$CACHE/stage"
    mkdir -p "$CACHE/stage"
    case $OS-$1 in
    Linux-cuda) cuda_layout "$WHEEL" ;;
    Linux-cpu) cpu_layout_linux "$WHEEL" ;;
    *) cpu_layout_macos "$WHEEL" ;;
    esac
}

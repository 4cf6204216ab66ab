# Part of scripts/fetch_libtorch.sh: pip, for the PyTorch wheel and for .venv.
# shellcheck shell=bash disable=SC2034 # other parts use the variables

PYTHON_WITH_PIP="" # the Python that run_pip uses

# has_pip PYTHON
has_pip() { "$1" -m pip --version >/dev/null 2>&1; }

# Finds a pip: python3's, that of an earlier --python, or one in a temporary environment. Sets REASON on
# failure.
find_pip() {
    if ! have python3; then
        REASON="python3 is not installed"
        return 1
    fi
    for PYTHON_WITH_PIP in python3 "$VENV/bin/python"; do
        if has_pip "$PYTHON_WITH_PIP"; then return; fi
    done
    PYTHON_WITH_PIP=$CACHE/pip-env/bin/python
    if ! python3 -m venv "$CACHE/pip-env" >/dev/null 2>&1; then
        REASON="python3 has no pip (apt-get install python3-pip)"
        return 1
    fi
}

# run_pip COMMAND ARGUMENT...: pip downloads into TMPDIR first, because /tmp may be small. Older versions
# ignore PIP_RESUME_RETRIES, newer ones resume after a broken connection.
run_pip() {
    local command=$1
    shift
    if [ ! -t 2 ]; then set -- --progress-bar off "$@"; fi
    mkdir -p "$CACHE/tmp"
    run env TMPDIR="$CACHE/tmp" PIP_RESUME_RETRIES=8 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$PYTHON_WITH_PIP" -m pip "$command" "$@" >&2
}

# Part of scripts/fetch_libtorch.sh, for --python: .venv with PyTorch, numpy and the tests' packages from PyPI.
# shellcheck shell=bash disable=SC2034 # other parts use the variables

readonly CPU_INDEX=${SEQFIT_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
# Keras, onnxruntime and others, with their versions: without them the README's test command would skip tests.
readonly REQUIREMENTS=$ROOT/tests/requirements.txt
# Prints the first requirement that .venv lacks in this version; those for only some systems are not checked.
readonly UNMET='
import sys
from importlib import metadata
for line in open(sys.argv[1], encoding="utf-8"):
    name, _, version = line.partition("#")[0].strip().partition("==")
    if not name or ";" in version:
        continue
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = None
    if found != version:
        print(f"{name} {version}")
        break
'

# Prints the defect of .venv, or nothing. Only an import proves that pip finished; the marker file covers
# a partially unpacked torch that can be imported nevertheless.
venv_defect() {
    local found
    [ -x "$VENV/bin/python" ] || { printf 'there is none'; return; }
    [ ! -e "$VENV/.incomplete" ] || { printf 'an earlier run did not finish'; return; }
    found=$("$VENV/bin/python" -c \
        'import numpy, torch; print(torch.__version__.split("+")[0])' 2>/dev/null) ||
        { printf 'torch or numpy is missing'; return; }
    [ "$found" = "$VERSION" ] || { printf 'it has PyTorch %s, not %s' "$found" "$VERSION"; return; }
    found=$("$VENV/bin/python" -c "$UNMET" "$REQUIREMENTS") ||
        { printf 'its packages cannot be listed'; return; }
    [ -z "$found" ] || printf 'it lacks %s' "$found"
}

make_venv() {
    if [ -e "$VENV" ] && [ ! -e "$VENV/pyvenv.cfg" ] && [ ! -e "$VENV/.incomplete" ]; then
        die ".venv exists and is not a Python environment" "remove it and run this again"
    fi
    # An environment of the user with another PyTorch is changed in place, not deleted.
    if [ -e "$VENV/.incomplete" ] || ! has_pip "$VENV/bin/python"; then
        rm -rf "$VENV"
    fi
    mkdir -p "$VENV"
    : >"$VENV/.incomplete"
    [ -x "$VENV/bin/python" ] && return
    if ! run python3 -m venv "$VENV" >"$CACHE/venv.log" 2>&1; then
        tail -n 3 "$CACHE/venv.log" >&2
        rm -rf "$VENV" "$CACHE/venv.log"
        die "python3 -m venv failed" "on Debian and Ubuntu: apt-get install python3-venv"
    fi
    rm -f "$CACHE/venv.log"
}

# venv_install PIP_OPTION...
venv_install() { run_pip install "$@" "torch==$VERSION" numpy; }

install_torch() {
    local need=$VENV_CPU_KB
    PYTHON_WITH_PIP=$VENV/bin/python
    # On macOS the default index has the small CPU build anyway.
    if [ "$OS" != Darwin ] && have curl; then
        if headers_of "$CPU_INDEX/torch/" >/dev/null; then
            need_space "$need" .venv
            if venv_install --index-url "$CPU_INDEX"; then return; fi
            say "the CPU index did not work: trying the default package index"
        else
            say "CPU index not reachable ($(curl_reason)): trying the default package index"
            say "(there PyTorch is a CUDA build: some 2.5 GB to download, 5 GB on disk)"
        fi
    fi
    [ "$OS" = Darwin ] || need=$VENV_CUDA_KB
    need_space "$need" .venv
    venv_install || die "pip could not install PyTorch $VERSION into .venv (see above)" \
        "connect to the network and run this again"
}

install_requirements() {
    run_pip install -r "$REQUIREMENTS" && return
    # pip rolls back a failed install, so PyTorch is complete: the next run installs only what is missing.
    rm -f "$VENV/.incomplete"
    die "pip could not install tests/requirements.txt into .venv (see above)" \
        "connect to the network and run this again"
}

# An existing .venv with everything that is needed is not changed.
ensure_venv() {
    local wrong
    have python3 || die "--python needs python3" "on Debian and Ubuntu: apt-get install python3-venv"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "PyTorch $VERSION needs Python 3.10 or newer, python3 is $(python3 -V 2>&1)" \
            "install a newer Python and put it first in PATH"
    CACHE=$ROOT/vendor/.fetch-venv
    wrong=$(venv_defect)
    if [ -n "$wrong" ]; then
        lock
        wrong=$(venv_defect)
    fi
    if [ -z "$wrong" ]; then
        say "nothing to install: .venv has PyTorch $VERSION, numpy and tests/requirements.txt"
        return
    fi
    say "making .venv ($wrong)"
    make_venv
    install_torch
    install_requirements
    rm -f "$VENV/.incomplete"
    wrong=$(venv_defect)
    [ -z "$wrong" ] || die ".venv does not work: $wrong" "remove .venv and run this again"
}

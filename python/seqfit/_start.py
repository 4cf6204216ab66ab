"""The program `seqfit` of this package: where it is, how it finds libtorch, and how Python becomes it.

Imports only what every Python has loaded when it starts, because this is what `seqfit --help` waits for.
"""

from __future__ import annotations

import os
import sys

PROGRAM = "SEQFIT_PROGRAM"
"""The environment variable that names another program than the one in this package."""


class SeqfitError(RuntimeError):
    """The program failed; the message is the program's own."""


class SeqfitUsageError(SeqfitError, ValueError):
    """The program refused a setting or its combination with others; the message is the program's own."""


def program() -> str:
    """Returns the path of the program `seqfit`: `$SEQFIT_PROGRAM`, else the one in this package.

    Raises:
        SeqfitError: there is none, as in a checkout from which no wheel was built.
    """
    chosen = os.environ.get(PROGRAM)
    path = chosen or os.path.join(os.path.dirname(__file__), "bin", "seqfit")
    if not os.access(path, os.X_OK):
        cure = "name an existing one" if chosen else f"install a wheel, or name a program in {PROGRAM}"
        raise SeqfitError(f"the program seqfit must be an executable file, found none at {path}: {cure}")
    return path


def environment(path: str) -> dict[str, str]:
    """Returns the environment that the program at `path` is started in.

    The program of a wheel looks for libtorch in the folder `torch` beside this package. If PyTorch is elsewhere, as
    in a virtual environment that uses the packages of the system, its folder is put first into `LD_LIBRARY_PATH`.
    """
    env = dict(os.environ)
    if PROGRAM in env:
        return env
    packages = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(path))))
    if os.path.isdir(os.path.join(packages, "torch", "lib")):
        return env
    from importlib.util import find_spec

    torch = find_spec("torch")
    if torch is None or not torch.submodule_search_locations:
        return env
    lib = os.path.join(next(iter(torch.submodule_search_locations)), "lib")
    env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [lib, env.get("LD_LIBRARY_PATH")]))
    return env


def main() -> None:
    """Becomes the program `seqfit`, with the arguments of this process."""
    try:
        path = program()
    except SeqfitError as error:
        sys.exit(f"error: {error}")
    os.execve(path, ["seqfit", *sys.argv[1:]], environment(path))

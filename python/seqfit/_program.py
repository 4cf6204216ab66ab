"""The program `seqfit` of this package: where it is, how it finds libtorch, and how it is run."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = "SEQFIT_PROGRAM"
"""The environment variable that names another program than the one in this package."""


class SeqfitError(RuntimeError):
    """The program failed; the message is the program's own."""


class SeqfitUsageError(SeqfitError, ValueError):
    """The program refused a setting or its combination with others; the message is the program's own."""


def program() -> Path:
    """Returns the path of the program `seqfit`: `$SEQFIT_PROGRAM`, else the one in this package.

    Raises:
        SeqfitError: there is none, as in a checkout from which no wheel was built.
    """
    chosen = os.environ.get(PROGRAM)
    path = Path(chosen) if chosen else Path(__file__).parent / "bin" / "seqfit"
    if not os.access(path, os.X_OK):
        cure = "name an existing one" if chosen else f"install a wheel, or name a program in {PROGRAM}"
        raise SeqfitError(f"the program seqfit must be an executable file, found none at {path}: {cure}")
    return path


def environment(path: Path) -> dict[str, str]:
    """Returns the environment that the program at `path` is started in.

    The program of a wheel looks for libtorch in the folder `torch` beside this package. If PyTorch is elsewhere, as
    in a virtual environment that uses the packages of the system, its folder is put first into `LD_LIBRARY_PATH`.
    """
    env = dict(os.environ)
    if PROGRAM in env:
        return env
    beside = path.resolve().parents[2] / "torch" / "lib"
    torch = importlib.util.find_spec("torch")
    if beside.is_dir() or torch is None or not torch.submodule_search_locations:
        return env
    lib = Path(next(iter(torch.submodule_search_locations))) / "lib"
    env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(lib), env.get("LD_LIBRARY_PATH")]))
    return env


def run(arguments: Sequence[str], *, verbose: bool = False) -> list[dict[str, Any]]:
    """Runs the program and returns the JSON objects that it prints, one for each line.

    With `verbose` its progress appears on standard error.

    Raises:
        SeqfitUsageError: the program refused its arguments.
        SeqfitError: the program failed.
    """
    path = program()
    env = environment(path)
    # By default the threads of libtorch spin while they wait, which takes half of the processors' time of a short
    # training.
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    done = subprocess.run(
        [path, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if verbose else subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode < 0:
        raise SeqfitError(f"the program seqfit was ended by signal {-done.returncode}")
    message = _message(done.stderr or "") or f"the program seqfit ended with code {done.returncode}"
    raise (SeqfitUsageError if done.returncode == 2 else SeqfitError)(message)


def _message(stderr: str) -> str:
    """Returns what follows the last `error: `, without the hints for a command line that follow it."""
    _, _, message = ("\n" + stderr).rpartition("\nerror: ")
    return message.partition("\n\n")[0].strip()


def main() -> None:
    """Becomes the program `seqfit`, with the arguments of this process."""
    try:
        path = program()
    except SeqfitError as error:
        sys.exit(f"error: {error}")
    os.execve(path, ["seqfit", *sys.argv[1:]], environment(path))

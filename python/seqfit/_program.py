"""Commands of the program `seqfit` whose output this process reads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from seqfit import _worker
from seqfit._start import SeqfitError, SeqfitUsageError, environment, program


def run(arguments: Sequence[str], *, verbose: bool = False) -> list[dict[str, Any]]:
    """Runs the program and returns the JSON objects that it prints, one for each line. Paths must be absolute.

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
    # Progress is printed by a separate process, which shares this one's standard error.
    done = None if verbose else _worker.run(path, env, arguments)
    if done is None:
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

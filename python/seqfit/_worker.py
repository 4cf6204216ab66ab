"""A process of the program that has loaded libtorch, and runs commands in copies of itself."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence


class _Worker:
    """The process: `seqfit worker`, which answers on its standard output."""

    def __init__(self, path: str, env: Mapping[str, str]) -> None:
        self.command = (path, env)
        # In a new session, so that Ctrl-C reaches only this process, which then ends it.
        self._process = subprocess.Popen(
            [path, "worker"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a command. Raises EOFError or OSError if the process has ended."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith('{"exit_code":'):
                end = json.loads(line)
                return subprocess.CompletedProcess(arguments, end["exit_code"], "".join(lines), end["stderr"])
            lines.append(line)
        raise EOFError

    def close(self) -> None:
        """Ends the process, and the command that it runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


_lock = threading.Lock()
_worker: _Worker | None = None


def run(path: str, env: Mapping[str, str], arguments: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    """Runs a command of the program at `path` in its worker, which the first call starts.

    Paths in `arguments` must be absolute. Returns `None` if the worker is busy with another thread's command, or does
    not start.
    """
    global _worker
    if not _lock.acquire(blocking=False):
        return None
    try:
        if _worker is None or _worker.command != (path, env):
            close()
            _worker = _Worker(path, env)
        return _worker.run(arguments)
    except (EOFError, OSError):
        close()
        return None
    except BaseException:
        close()
        raise
    finally:
        _lock.release()


@atexit.register
def close() -> None:
    """Ends the worker, if there is one."""
    global _worker
    worker, _worker = _worker, None
    if worker is not None:
        worker.close()


def _forget() -> None:
    """Leaves the worker to the parent process, in a child that was forked from it."""
    global _lock, _worker
    _lock, _worker = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)

"""The program in the package: how it is found and started."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import seqfit
from seqfit import _program, _start, _worker


def test_program_is_a_command_and_a_module() -> None:
    command = [sys.executable, "-m", "seqfit", "--version"]
    version = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert re.fullmatch(r"seqfit \d+\.\d+\.\d+\n", version)
    failed = subprocess.run([sys.executable, "-m", "seqfit", "trian"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2 and "train" in failed.stderr


def test_failures_are_exceptions_with_the_programs_message(tmp_path: Path) -> None:
    with pytest.raises(seqfit.SeqfitError, match=f"{tmp_path}/nothing") as failure:
        _program.run(["evaluate", f"{tmp_path}/nothing", "--json"])
    assert not isinstance(failure.value, ValueError) and "\n" not in str(failure.value)
    with pytest.raises(seqfit.SeqfitUsageError, match="^invalid value 'x' for '--epochs") as usage:
        _program.run(["train", "--epochs=x"])
    assert "more information" not in str(usage.value)


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_start.PROGRAM, "/nowhere/seqfit")
    with pytest.raises(seqfit.SeqfitError, match="found none at /nowhere/seqfit: name an existing one"):
        _program.run(["--version"])


def test_a_pytorch_elsewhere_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(_start.PROGRAM, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/own")
    program = tmp_path / "site-packages" / "seqfit" / "bin" / "seqfit"
    program.parent.mkdir(parents=True)
    path = _start.environment(str(program))["LD_LIBRARY_PATH"].split(":")
    assert (Path(path[0]) / "libtorch_cpu.so").exists() and path[1:] == ["/own"]
    # Beside the package it is found by the program itself.
    (tmp_path / "site-packages" / "torch" / "lib").mkdir(parents=True)
    assert _start.environment(str(program))["LD_LIBRARY_PATH"] == "/own"


def test_importing_the_package_imports_neither_pytorch_nor_scikit_learn() -> None:
    code = "import sys, seqfit; sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'numpy', 'typing', 'json')))"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="Classifier"):
        seqfit.Classifier
    assert "SeqfitClassifier" in dir(seqfit)


def test_commands_run_in_copies_of_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def train(name: str) -> list[dict[str, object]]:
        options = ["--dataset=digits", "--epochs=1", "--quiet", "--json", "--seed=3"]
        lines = _program.run(["train", *options, f"--out={tmp_path}/{name}"])
        return [line for line in lines if "result" in line]

    train("first")
    worker = _worker._worker
    assert worker is not None and worker is _worker._worker
    with pytest.raises(seqfit.SeqfitUsageError, match="^unexpected argument '--epoch'"):
        _program.run(["train", "--epoch"])
    assert train("second") and _worker._worker is worker
    # A worker that was ended, and one that is busy, are done without.
    worker._process.kill()
    assert train("third") and train("fourth")
    with _worker._lock:
        assert train("fifth")
    # A change of the environment starts another worker.
    worker = _worker._worker
    monkeypatch.setenv("SEQFIT_CACHE", str(tmp_path))
    assert train("sixth") and _worker._worker is not worker
    weights = {path.read_bytes() for path in tmp_path.glob("*/model.safetensors")}
    assert len(weights) == 1 and len(list(tmp_path.glob("*/model.safetensors"))) == 6


def test_an_interrupted_command_is_ended(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            _program.run(["train", "--dataset=digits", "--epochs=1000000", "--quiet", "--json", f"--out={tmp_path}/run"])
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert _worker._worker is None

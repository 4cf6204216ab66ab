"""`seqfit.load`: networks of runs in PyTorch."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import seqfit
import torch
from seqfit import _program
from sklearn.datasets import load_digits


def test_loaded_network_computes_what_the_program_does(digits_run: Path, tmp_path: Path) -> None:
    logits = tmp_path / "logits.npy"
    (evaluation,) = _program.run(["evaluate", str(digits_run), f"--logits={logits}", "--json"])
    expected = torch.from_numpy(np.load(logits)).softmax(-1)
    network = seqfit.load(digits_run)
    # The test set is the last fifth of the digits of scikit-learn, whose pixels are from 0 to 16.
    images = load_digits().images
    pixels = np.floor(images / 16 * 255 + 0.5).astype(np.uint8)
    rows = network.predict_proba(pixels)
    distances = np.abs(rows[:, None] - expected.numpy()[None]).max(-1)
    assert distances.min(0).max() < 1e-5, "each row of the program is one of ours"
    assert evaluation["samples"] == len(expected)
    assert (network.predict(pixels) == load_digits().target.astype(str)).mean() > 0.8


def test_loaded_network_is_a_module_with_classes_and_a_card(digits_run: Path) -> None:
    network = seqfit.load(str(digits_run))
    assert isinstance(network, torch.nn.Module) and not network.training
    assert network.classes == [str(digit) for digit in range(10)]
    assert (network.kind, network.input_shape) == ("class", (8, 8))
    assert network.card["training"]["epochs"] == 2
    before = [parameter.clone() for parameter in network.parameters()]
    network.train()(torch.rand(4, 8, 8)).sum().backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    changed = [not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)]
    assert all(changed)


def test_pixels_are_scaled_and_floats_are_not(digits_run: Path) -> None:
    network = seqfit.load(digits_run)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
    scaled = pixels.astype(np.float32) / 255
    assert torch.equal(network.prepare(pixels), torch.from_numpy(scaled))
    assert torch.equal(network.prepare(scaled), torch.from_numpy(scaled))
    np.testing.assert_array_equal(network.predict_proba(pixels.reshape(5, 64)), network.predict_proba(scaled))
    with pytest.raises(ValueError, match=r"shape \[N, 8, 8\], found \[5, 9\]"):
        network.predict(np.zeros((5, 9), np.uint8))
    with pytest.raises(ValueError, match="pixels must be uint8, or floats from 0 to 1, found torch.int64"):
        network.predict(pixels.astype(np.int64))


@pytest.mark.parametrize(("task", "kind"), [("numbers", "numbers"), ("labels", "labels")])
def test_numbers_and_labels_of_tables(tmp_path: Path, task: str, kind: str) -> None:
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    y = x[:, :2] * 100 + 500 if task == "numbers" else (x[:, :2] > 0).astype(np.uint8)
    np.savez(tmp_path / "table.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    run = tmp_path / "run"
    _program.run(["train", f"--data={tmp_path}/table.npz", f"--task={task}", "--epochs=30", f"--out={run}", "--json"])
    network = seqfit.load(run)
    assert network.kind == kind
    predicted = network.predict(x)
    assert predicted.shape == (300, 2)
    if task == "numbers":
        assert np.abs(predicted - y).mean() < 30
        with pytest.raises(ValueError, match="found a network that predicts numbers"):
            network.predict_proba(x)
    else:
        assert (predicted == y).mean() > 0.9


def test_what_cannot_be_loaded_is_named(digits_run: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="found no file .*nothing"):
        seqfit.load(tmp_path / "nothing")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "other.pt")
    with pytest.raises(ValueError, match="found none in .*other.pt"):
        seqfit.load(tmp_path / "other.pt")
    pixels = tmp_path / "pixels.pt"
    command = ["-m", "seqfit", "export", digits_run, "--format=torchscript", "--with=preprocessing", "--out", pixels]
    subprocess.run([sys.executable, *command], check=True)
    with pytest.raises(ValueError, match="without preprocessing"):
        seqfit.load(pixels)

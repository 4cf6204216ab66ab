"""The network of a run as a module of PyTorch."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

CARD = "seqfit.json"


class Network(torch.nn.Module):
    """A trained network, with what is known about it.

    `forward` takes prepared samples as seqfit trained on them, and returns what the network itself computes: logits
    of classes or labels, or the numbers that it predicts. `predict` and `predict_proba` take samples as they are in
    files or arrays, and prepare them.

    Attributes:
        network: the TorchScript module, with real parameters, which can be trained further.
        classes: names of the classes, of the labels or of the predicted numbers, in the order of the outputs.
        card: the model card: layers, input, data with checksums, settings, seed, test metrics and versions.
        input_shape: the shape of one sample, such as `(28, 28)`.
        kind: what is predicted: `"class"`, `"labels"` or `"numbers"`.
    """

    def __init__(self, network: torch.jit.ScriptModule, card: dict[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.card = card
        self.classes: list[str] = list(card["classes"])
        description = card["network"]
        self.input_shape: tuple[int, ...] = tuple(description["input_shape"])
        self.kind = {"linear": "numbers", "sigmoid": "labels"}.get(description.get("output"), "class")

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Returns logits or numbers, float32 [N, outputs], of prepared samples, float32 [N, …input_shape]."""
        return self.network(samples)

    def prepare(self, samples: npt.ArrayLike | torch.Tensor) -> torch.Tensor:
        """Returns samples as the network takes them: float32 [N, …input_shape], on its device.

        Pixels of type uint8 are divided by 255 if the network was trained on pixels. Other values are taken as they
        are, so pixels in float32 must be from 0 to 1. Columns of a table are not scaled, as in training.

        Raises:
            ValueError: samples of another shape, or pixels of another integer type.
        """
        if not isinstance(samples, torch.Tensor):
            samples = torch.from_numpy(np.ascontiguousarray(samples))
        shape, flat = tuple(samples.shape[1:]), (int(np.prod(self.input_shape)),)
        if samples.ndim == 0 or shape not in (self.input_shape, flat):
            wanted = ", ".join(map(str, ("N", *self.input_shape)))
            raise ValueError(f"samples must have the shape [{wanted}], found {list(samples.shape)}")
        takes_pixels = self.card["scale"] != 1.0
        if takes_pixels and not samples.is_floating_point() and samples.dtype != torch.uint8:
            raise ValueError(f"pixels must be uint8, or floats from 0 to 1, found {samples.dtype}")
        parameter = next(self.network.parameters(), None)
        device = None if parameter is None else parameter.device
        pixels = takes_pixels and samples.dtype == torch.uint8
        prepared = samples.to(device, torch.float32)
        return prepared / self.card["scale"] if pixels else prepared

    @torch.no_grad()
    def predict_proba(self, samples: npt.ArrayLike | torch.Tensor) -> npt.NDArray[np.float32]:
        """Returns the probabilities of the classes or labels, float32 [N, classes].

        The network computes in its current mode: `load` returns it in evaluation mode.

        Raises:
            ValueError: the network predicts numbers; or samples that `prepare` refuses.
        """
        if self.kind == "numbers":
            raise ValueError("probabilities are those of classes or labels, found a network that predicts numbers")
        outputs = self(self.prepare(samples)).float()
        if self.card["output"] == "logits":
            outputs = outputs.softmax(-1) if self.kind == "class" else outputs.sigmoid()
        return np.asarray(outputs.cpu())

    @torch.no_grad()
    def predict(self, samples: npt.ArrayLike | torch.Tensor) -> npt.NDArray[Any]:
        """Returns the names of the predicted classes [N]; labels as 0 or 1 [N, labels]; or numbers [N, numbers].

        Raises:
            ValueError: samples that `prepare` refuses.
        """
        if self.kind == "numbers":
            return np.asarray(self(self.prepare(samples)).float().cpu())
        probabilities = self.predict_proba(samples)
        if self.kind == "labels":
            return (probabilities >= 0.5).astype(np.int64)
        return np.asarray(self.classes)[probabilities.argmax(-1)]


def load(run: str | os.PathLike[str], *, map_location: str | torch.device = "cpu") -> Network:
    """Loads the network of a run, in evaluation mode.

    Args:
        run: a run folder, or a TorchScript file that `seqfit export` wrote without preprocessing.
        map_location: the device, such as `"cuda"`.

    Raises:
        FileNotFoundError: there is no such run, or its training has not finished.
        ValueError: a file that seqfit did not write, or one with preprocessing in it.
    """
    path = Path(run)
    file = path / "model.pt" if path.is_dir() else path
    if not file.is_file():
        cure = "give the folder of a finished run"
        if (path / "model.safetensors").is_file():
            cure = f"write it with: seqfit export {path} --format torchscript"
        raise FileNotFoundError(f"a run has a network in model.pt, found no file {file}: {cure}")
    files = {CARD: ""}
    with warnings.catch_warnings():
        # TorchScript is deprecated, and is still the file that every run has.
        warnings.simplefilter("ignore", DeprecationWarning)
        network = torch.jit.load(os.fspath(file), map_location=map_location, _extra_files=files)
    if not files[CARD]:
        raise ValueError(f"a network of seqfit has a model card ({CARD}), found none in {file}")
    card = json.loads(files[CARD])
    if card.get("input", {}).get("dtype") == "uint8":
        raise ValueError(
            f"a network must be exported without preprocessing, found one with it in {file}: "
            "load the run, or use torch.jit.load"
        )
    return Network(network, card).eval()

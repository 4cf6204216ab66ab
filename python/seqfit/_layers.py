"""Dense layers in NumPy: reads those of a run, and computes their outputs without a process or PyTorch."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[Any]

ROWS = 4096
"""The number of rows that are computed at once, so that the outputs of hidden layers stay in the cache."""


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, 0)


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: Array) -> Array:
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * special.ndtr(x),
    "silu": lambda x: x * special.expit(x),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(_softplus(x)),
}
"""The activations of the program, by its names."""


@dataclass(frozen=True)
class Layers:
    """The Dense layers of a trained network: weights [inputs, outputs] and biases [outputs], float32."""

    weights: list[Array]
    biases: list[Array]

    @classmethod
    def read(cls, run: Path) -> Layers:
        """Reads the layers of a run that the program has just written."""
        tensors = _safetensors(run / "model.safetensors")
        config = (run / "config.toml").read_text(encoding="utf-8")
        # Most networks have none, and parsing takes as long as the rest.
        network = tomllib.loads(config)["network"] if "target_scaling" in config else {}
        dense = sorted({int(name.partition(".")[0]) for name in tensors})
        weights = [np.ascontiguousarray(tensors[f"{at}.weight"].T) for at in dense]
        biases = [tensors[f"{at}.bias"] for at in dense]
        if scaling := network.get("target_scaling"):
            # The network learned scaled numbers: its last layer scales them back.
            scale, offset = (np.array(scaling[key], np.float64) for key in ("scale", "offset"))
            weights[-1] = (weights[-1] * scale).astype(np.float32)
            biases[-1] = (biases[-1] * scale + offset).astype(np.float32)
        return cls(weights, biases)


def outputs(x: Array, weights: Sequence[Array], biases: Sequence[Array], activation: str) -> Array:
    """Returns the outputs of the last layer [N, outputs], in the type of `x`, without an activation of their own."""
    apply = ACTIVATIONS[activation]
    layers = [(w.astype(x.dtype, copy=False), b.astype(x.dtype, copy=False)) for w, b in zip(weights, biases)]
    result = np.empty((len(x), layers[-1][1].size), x.dtype)
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS]
        for at, (weight, bias) in enumerate(layers):
            rows = rows @ weight + bias
            if at + 1 < len(layers):
                rows = apply(rows)
        result[start : start + ROWS] = rows
    return result


def _safetensors(path: Path) -> dict[str, Array]:
    """Reads a file of float32 tensors: the length of its header in 8 bytes, the header as JSON, the numbers."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] != "F32":
            raise ValueError(f"the weights must be float32, found {entry['dtype']} for {name} in {path}")
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[start + begin : start + end], "<f4")
        tensors[name] = values.reshape(entry["shape"])
    return tensors

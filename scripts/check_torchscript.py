#!/usr/bin/env python3
"""Checks a run's TorchScript file with PyTorch.

    check_torchscript.py RUN/model.pt --logits LOGITS.npy --images IMAGES [--labels LABELS]

LOGITS.npy contains seqfit's outputs for the images (`seqfit evaluate RUN --logits LOGITS.npy`);
IMAGES and LABELS are IDX files, gzipped or not. The checks, each printed on its own line:

- `torch.jit.load` returns a module whose outputs equal seqfit's within 1e-6 on every image, for
  float input [N, H, W] and [N, H*W];
- its `state_dict()` loads into the matching `torch.nn.Sequential` with that model's keys, and
  that model's outputs equal the module's;
- class names, input shape and scaling are included;
- it can be trained further: a few steps of SGD reduce its loss.

Exits with 1 if any check fails. Needs: torch, numpy.
"""

import argparse
import gzip
import json
import sys
import warnings

import numpy as np

# torch.jit is deprecated in favor of torch.export; this file is about torch.jit.
warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=FutureWarning)

import torch  # noqa: E402
from torch import nn  # noqa: E402

TOLERANCE = 1e-6


def read_idx(path):
    """Returns the u8 array in an IDX file."""
    with open(path, "rb") as file:
        raw = file.read()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    rank = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softmax": lambda: nn.Softmax(dim=-1),
}


def matching_sequential(network):
    """Returns the nn.Sequential that a PyTorch user would write for the network in the card."""
    modules, width = [], int(np.prod(network["input_shape"]))
    for layer in network["layers"]:
        if layer["type"] == "flatten":
            modules.append(nn.Flatten())
        elif layer["type"] == "dropout":
            modules.append(nn.Dropout(layer["rate"]))
        else:
            modules.append(nn.Linear(width, layer["units"]))
            width = layer["units"]
            if layer["activation"] != "linear":
                modules.append(ACTIVATIONS[layer["activation"]]())
    return nn.Sequential(*modules)


failures = []


def check(holds, what):
    print(("ok    " if holds else "FAIL  ") + what, flush=True)
    if not holds:
        failures.append(what)


def largest_difference(a, b):
    return (a - b).abs().max().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--logits", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--labels")
    args = parser.parse_args()

    extra = {"seqfit.json": ""}
    module = torch.jit.load(args.model, _extra_files=extra).eval()
    card = json.loads(extra["seqfit.json"])
    ours = torch.from_numpy(np.load(args.logits))
    pixels = torch.from_numpy(read_idx(args.images).copy())
    images = pixels.float() / module.scale
    check(len(images) == len(ours), f"{len(images)} images, {len(ours)} rows of seqfit's outputs")

    with torch.no_grad():
        output = module(images)
        flat = module(images.reshape(len(images), -1))
    difference = largest_difference(output, ours)
    check(difference <= TOLERANCE, f"outputs equal seqfit's: largest difference {difference:.1e}")
    check(torch.equal(output, flat), "flat input gives the same")

    twin = matching_sequential(card["network"]).eval()
    state = module.state_dict()
    result = twin.load_state_dict(state)
    check(not result.missing_keys and not result.unexpected_keys, f"nn.Sequential: {result}")
    check(list(state) == list(twin.state_dict()), f"its own keys: {', '.join(state)}")
    with torch.no_grad():
        difference = largest_difference(twin(images), output)
    check(difference <= TOLERANCE, f"nn.Sequential agrees: largest difference {difference:.1e}")

    check(
        module.class_names == card["classes"] and len(module.class_names) == output.shape[1],
        f"class names: {', '.join(module.class_names)}",
    )
    check(module.input_shape == card["network"]["input_shape"], f"input shape: {module.input_shape}")
    check(module.scale == card["scale"] == 255.0, f"scale: {module.scale}")

    if args.labels:
        labels = torch.from_numpy(read_idx(args.labels).astype("int64"))
        accuracy = (output.argmax(1) == labels).double().mean().item()
        print(f"      accuracy in Python: {accuracy:.4f}")
        parameters = list(module.parameters())
        trainable = parameters and all(p.requires_grad for p in parameters)
        check(trainable, f"{len(parameters)} parameters, all trainable")
        batch = images[:1000], labels[:1000]

        def loss_now():
            # Without dropout, whose noise would hide a small improvement.
            module.eval()
            with torch.no_grad():
                return nn.functional.cross_entropy(module(batch[0]), batch[1]).item()

        before = loss_now()
        module.train()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.02)
        for _ in range(30):
            loss = nn.functional.cross_entropy(module(batch[0]), batch[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        after = loss_now()
        check(after < before, f"trains on: loss {before:.5f} to {after:.5f}")

    if failures:
        sys.exit(f"{len(failures)} of the checks failed")
    print("all checks passed")


if __name__ == "__main__":
    main()

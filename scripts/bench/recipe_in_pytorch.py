#!/usr/bin/env python3
"""Trains the network of a recipe in PyTorch, with its settings, on the same pictures.

    .venv/bin/python scripts/bench/recipe_in_pytorch.py --data-dir DIR --recipe FILE.toml [--seeds 0 1 2] [--epochs N]

DIR holds train/CLASS/ and test/CLASS/ with pictures of one size. As a PyTorch user would do it on a CPU: channels_last,
fused AdamW, all pictures in memory, and each epoch's augmentation (flip, crop with reflected borders, cutout) in a few
operations on whole tensors. Initial weights are drawn from Glorot's distribution, as Keras and seqfit draw them. Prints
the samples per second of each epoch, then the test accuracy and the seconds of training; `seqfit train --data-dir DIR
--recipe FILE.toml` is what to compare it with.
"""

import argparse
import os
import subprocess
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
from peers import SEQFIT
from PIL import Image
from torch import nn
from torch.nn import functional as F


def read(folder):
    """Returns pictures as f32 in [0, 1], [samples, 3, height, width], and the numbers of their classes."""
    files = [(path, label) for label, part in enumerate(sorted(folder.iterdir())) for path in sorted(part.iterdir())]
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path, _ in files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, torch.tensor([label for _, label in files])


def layer(words):
    """Returns a layer of the recipe's line, such as `conv 32 3 same`."""
    match words:
        case ["conv", filters, size, *padding]:
            return nn.LazyConv2d(int(filters), int(size), padding="same" if padding == ["same"] else 0)
        case ["maxpool", size]:
            return nn.MaxPool2d(int(size))
        case ["batchnorm"]:
            return nn.LazyBatchNorm2d(eps=1e-3, momentum=0.01)
        case ["relu"]:
            return nn.ReLU()
        case ["flatten"]:
            return nn.Flatten()
        case ["dropout", rate]:
            return nn.Dropout(float(rate))
        case ["dense"]:
            return nn.LazyLinear(10)
    raise SystemExit(f"this layer has no counterpart here: {' '.join(words)}")


def network(recipe, x):
    mean, deviation = x.mean((0, 2, 3)), x.std((0, 2, 3))
    normalize = nn.BatchNorm2d(3, affine=False, eps=0, momentum=0)
    normalize.running_mean, normalize.running_var = mean, deviation**2
    layers = [layer(words.split()) for words in recipe["layers"].split(",")]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        net(x[:2])
        for module in net:
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in net:
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
    return normalize.eval(), net.to(memory_format=torch.channels_last)


def augmented(x, augment):
    """Returns the pictures of an epoch: mirrored, shifted and with a square left out."""
    count, _, height, width = x.shape
    flip = torch.rand(count) < augment.get("flip", 0)
    x = torch.where(flip[:, None, None, None], x.flip(3), x)
    crop = int(augment.get("crop", 0))
    shifts = torch.randint(0, 2 * crop + 1, (2, count))
    padded, out = F.pad(x, [crop] * 4, mode="reflect"), torch.empty_like(x)
    for dy in range(2 * crop + 1):
        for dx in range(2 * crop + 1):
            chosen = (shifts[0] == dy) & (shifts[1] == dx)
            out[chosen] = padded[chosen][:, :, dy : dy + height, dx : dx + width]
    side = int(augment.get("cutout", 0))
    if side:
        holes = [
            (torch.arange(size) - torch.randint(0, size, (count, 1)) + side // 2).div(side, rounding_mode="floor") == 0
            for size in (height, width)
        ]
        hole = (holes[0][:, :, None] & holes[1][:, None, :])[:, None]
        out = torch.where(hole, out.mean((2, 3), keepdim=True), out)
    return out.contiguous(memory_format=torch.channels_last)


def train(recipe, x, y, epochs, seed):
    torch.manual_seed(seed)
    normalize, net = network(recipe, x)
    batch, rate = recipe["batch_size"], recipe["optimizer"]["learning_rate"]
    schedule, steps = recipe["schedule"], epochs * -(-len(x) // batch)
    optimizer = torch.optim.AdamW(
        net.parameters(), rate, eps=1e-7, weight_decay=recipe["optimizer"]["weight_decay"], fused=True
    )
    start, end = schedule["start"], schedule["end"]
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, steps, pct_start=schedule["warm_up"], div_factor=1 / start, final_div_factor=start / end,
        cycle_momentum=False,
    )
    for epoch in range(epochs):
        started = time.perf_counter()
        pictures = augmented(x, recipe["augment"])
        for chosen in torch.randperm(len(x)).split(batch):
            outputs = net(normalize(pictures[chosen]))
            loss = F.cross_entropy(outputs, y[chosen], label_smoothing=recipe["label_smoothing"])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
        speed = len(x) / (time.perf_counter() - started)
        print(f"epoch {epoch + 1}/{epochs}  last loss {loss.item():.4f}  {speed:.0f} samples/s", flush=True)
    return nn.Sequential(normalize, net).eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--epochs", type=int, help="of the recipe if left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = tomllib.loads(subprocess.check_output([SEQFIT, "recipe", "show", args.recipe], text=True))
    (x, y), (x_test, y_test) = (read(args.data_dir / part) for part in ("train", "test"))
    for seed in args.seeds:
        started = time.perf_counter()
        model = train(recipe, x, y, args.epochs or recipe["epochs"], seed)
        seconds = time.perf_counter() - started
        with torch.no_grad():
            classes = torch.cat([model(part).argmax(1) for part in x_test.split(500)])
        print(f"seed {seed}: test accuracy {(classes == y_test).float().mean():.4f}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times seqfit's training against PyTorch's on this machine, in turn, and prints the ratios.

    .venv/bin/python scripts/bench/against_pytorch.py --data-dir DIR [--batch-size 32] [--rounds 5]

Both train the tutorial's network (784-128-64-10, relu, Adam 1e-3) on the MNIST files in DIR for
three epochs, each in a process of its own, A B C A B C …; the first epoch warms up and the median of
the others counts. PyTorch has all images as float32 in memory before its clock starts, seqfit
converts them batch by batch. Quote the ratios: single figures move with the machine's other work.
Needs: a release build of seqfit, torch, numpy.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS = 3
SEQFIT = Path(__file__).resolve().parents[2] / "target/release/seqfit"


def read_idx(folder, stem):
    """The array of u8 in an IDX file, gzipped or not."""
    import numpy as np

    plain = folder / stem
    packed = folder / (stem + ".gz")
    raw = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    rank = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def pytorch(folder, batch_size, fused):
    """Prints the samples per second of each epoch: what a PyTorch user would write."""
    import torch
    from torch import nn

    x = torch.from_numpy(read_idx(folder, "train-images-idx3-ubyte").copy()).float().div_(255)
    y = torch.from_numpy(read_idx(folder, "train-labels-idx1-ubyte").astype("int64"))
    layers = [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True if fused else None)
    for _ in range(EPOCHS):
        started = time.perf_counter()
        order = torch.randperm(len(x))
        xs, ys = x[order], y[order]
        for i in range(0, len(x), batch_size):
            loss = nn.functional.cross_entropy(model(xs[i : i + batch_size]), ys[i : i + batch_size])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(len(x) / (time.perf_counter() - started), flush=True)


def run_pytorch(args, peer):
    command = [sys.executable, __file__, "--peer", peer]
    command += ["--data-dir", args.data_dir, "--batch-size", str(args.batch_size)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(line) for line in out.split()]


def run_seqfit(args, _):
    with tempfile.TemporaryDirectory() as folder:
        command = [SEQFIT, "train", "--json", "--data-dir", args.data_dir]
        command += ["--epochs", str(EPOCHS), "--batch-size", str(args.batch_size)]
        command += ["--out", f"{folder}/run"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    records = [json.loads(line) for line in out.splitlines()]
    return [record["samples_per_second"] for record in records if "epoch" in record]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", choices=["adam", "fused"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return pytorch(Path(args.data_dir), args.batch_size, args.peer == "fused")

    import torch

    programs = {
        "seqfit": (run_seqfit, None),
        f"PyTorch {torch.__version__.split('+')[0]}": (run_pytorch, "adam"),
        f"PyTorch {torch.__version__.split('+')[0]}, fused Adam": (run_pytorch, "fused"),
    }
    speeds = {name: [] for name in programs}
    for _ in range(args.rounds):
        for name, (program, peer) in programs.items():
            speeds[name].append(statistics.median(program(args, peer)[1:]))
    ours = speeds["seqfit"]
    print(f"batch {args.batch_size}, {args.rounds} rounds in turn: median samples/s (least to most)")
    for name, theirs in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        low, middle, high = min(theirs), statistics.median(theirs), max(theirs)
        print(f"{name:<28} {middle:>9,.0f}  ({low:,.0f} to {high:,.0f})  seqfit is {ratio:.1f}x")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times the training of a convolutional network alternately with PyTorch, and prints the ratios.

    .venv/bin/python scripts/bench/conv.py --data-dir DIR [--batch-size 32 128] [--rounds 3] [--busy 1]

The network is that of Keras's example for MNIST (34,826 parameters, Adam 1e-3), whose files are in DIR. PyTorch is
measured with its default layout and with channels_last, both with fused Adam. The first epoch is the warm-up, and the
median of the others counts. `--busy` starts programs that occupy a processor each. Each line has
the CPU time of the whole program, too, which other programs on the machine disturb less.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import SEQFIT, mnist

LAYERS = "conv 32 3 relu, maxpool 2, conv 64 3 relu, maxpool 2, flatten, dropout 0.5, dense"


def pytorch(folder, batch_size, epochs, threads, channels_last):
    """Trains as a PyTorch user would, with all data in memory."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    x, y = mnist(Path(folder))
    x, y = torch.from_numpy(x).reshape(-1, 1, 28, 28), torch.from_numpy(y.astype("int64"))
    convolutions = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10))
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7, fused=True)
    for _ in range(epochs):
        started = time.perf_counter()
        order = torch.randperm(len(x))
        for i in range(0, len(x), batch_size):
            chosen = order[i : i + batch_size]
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        print(len(x) / (time.perf_counter() - started), flush=True)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_pytorch(channels_last):
    def run(args, batch_size):
        command = [sys.executable, __file__, "--data-dir", args.data_dir, "--batch-size", str(batch_size)]
        command += ["--epochs", str(args.epochs), "--threads", str(args.threads)]
        command += ["--peer", "channels_last" if channels_last else "default"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [float(line) for line in out.split()]

    return run


def run_seqfit(args, batch_size):
    with tempfile.TemporaryDirectory() as folder:
        command = [args.seqfit, "train", "--json", "--data-dir", args.data_dir, "--epochs", str(args.epochs)]
        command += ["--batch-size", str(batch_size), "--layers", LAYERS, "--engine", args.engine]
        command += ["--threads", str(args.threads), "--out", f"{folder}/run"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    records = [json.loads(line) for line in out.splitlines()]
    return [record["samples_per_second"] for record in records if "epoch" in record]


def occupy():
    while True:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--busy", type=int, default=0, help="programs that occupy a processor each")
    parser.add_argument("--seqfit", default=SEQFIT)
    parser.add_argument("--engine", default="fused")
    parser.add_argument("--only", nargs="+", help="names of programs to run")
    parser.add_argument("--peer", choices=["default", "channels_last"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return pytorch(args.data_dir, args.batch_size[0], args.epochs, args.threads, args.peer == "channels_last")

    programs = {
        "seqfit": run_seqfit,
        "PyTorch": run_pytorch(False),
        "PyTorch, channels_last": run_pytorch(True),
    }
    if args.only:
        programs = {name: run for name, run in programs.items() if name in args.only}
    others = [multiprocessing.Process(target=occupy, daemon=True) for _ in range(args.busy)]
    for other in others:
        other.start()
    for batch in args.batch_size:
        speeds = {name: [] for name in programs}
        seconds = {name: [] for name in programs}
        for _ in range(args.rounds):
            for name, run in programs.items():
                before = cpu_seconds()
                epochs = run(args, batch)
                seconds[name].append(cpu_seconds() - before)
                speeds[name].append(statistics.median(epochs[1:] or epochs))
        print(f"batch {batch}, {args.rounds} alternating rounds: median samples/s (minimum to maximum)")
        ours = next(iter(speeds.values()))
        for name, theirs in speeds.items():
            ratio = statistics.median(a / b for a, b in zip(ours, theirs))
            low, middle, high = min(theirs), statistics.median(theirs), max(theirs)
            print(
                f"{name:<24} {middle:>9,.0f}  ({low:,.0f} to {high:,.0f})  {ratio:.2f}x,"
                f" CPU {statistics.median(seconds[name]):.1f} s in all",
                flush=True,
            )
    for other in others:
        other.terminate()


if __name__ == "__main__":
    main()

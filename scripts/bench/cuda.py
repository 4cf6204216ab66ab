#!/usr/bin/env python3
"""Times seqfit's training on a GPU against PyTorch and JAX on the same card, in turn.

    python scripts/bench/cuda.py --data-dir DIR [--seqfit PROGRAM] [--batch-size 32 4096] [--rounds 3]

Run it with the Python that has PyTorch with CUDA; JAX is timed where it is installed. All train the
tutorial's network (784-128-64-10, relu, Adam 1e-3) on the MNIST files in DIR, each in a separate process, in
the order A B C A B C …. Prints the seconds of all epochs, including the first with its warm-up, the median of
samples per second of the other epochs, and the ratio of seqfit's speed to that of each program. The peers have
all images as float32 on the card before their clocks start.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peers

ROOT = Path(__file__).resolve().parents[2]


OWN = {
    "pytorch": lambda *args: peers.pytorch(*args, fused=False, device="cuda"),
    "pytorch-fused": lambda *args: peers.pytorch(*args, fused=True, device="cuda"),
    "jax": peers.jax,
}


def peer(name, samples):
    def run(args, batch_size):
        own = ["--data-dir", args.data_dir, "--batch-size", str(batch_size), "--epochs", str(args.epochs)]
        command = [sys.executable, __file__, "--peer", name, *own]
        # Without preallocation JAX does not take all of the card's memory.
        environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        wall = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
        return [samples / float(speed) for speed in done.stdout.split()], wall

    return run


def seqfit(*options):
    def run(args, batch_size):
        with tempfile.TemporaryDirectory() as folder:
            command = [args.seqfit, "train", "--json", "--cuda", "--data-dir", args.data_dir]
            command += ["--epochs", str(args.epochs), "--batch-size", str(batch_size)]
            command += ["--out", f"{folder}/run", *options]
            started = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True)
            wall = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
        if "note:" in done.stderr:
            print(done.stderr.strip(), file=sys.stderr)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        seconds = [record["seconds"] for record in records if "epoch" in record]
        return seconds, wall

    return run


def compare(programs, args, batch_size, samples):
    """Prints a table of the programs, run alternately for all rounds, with their ratios to the first one."""
    runs = {name: [] for name in programs}
    for _ in range(args.rounds):
        for name, run in programs.items():
            runs[name].append(run(args, batch_size))
    speed = lambda seconds: samples / statistics.median(seconds[1:])
    first = next(iter(runs))
    for name, done in runs.items():
        total = statistics.median(sum(seconds) for seconds, _ in done)
        speeds = [speed(seconds) for seconds, _ in done]
        ratio = statistics.median(
            speed(ours) / speed(theirs) for (ours, _), (theirs, _) in zip(runs[first], done)
        )
        totals = statistics.median(
            sum(theirs) / sum(ours) for (ours, _), (theirs, _) in zip(runs[first], done)
        )
        wall = statistics.median(wall for _, wall in done)
        print(
            f"  {name:<30} {args.epochs} epochs {total:6.2f} s, steady {statistics.median(speeds):>11,.0f} samples/s"
            f" ({min(speeds):,.0f} to {max(speeds):,.0f}), {first} is {ratio:.2f}x ({totals:.2f}x with the"
            f" first epoch), whole command {wall:.1f} s",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--seqfit", default=str(ROOT / "target/release/seqfit"))
    parser.add_argument("--batch-size", type=int, nargs="+", default=[32, 4096])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", choices=OWN, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peers.EPOCHS = args.epochs
        return OWN[args.peer](Path(args.data_dir), args.batch_size[0])

    samples = len(peers.read_idx(Path(args.data_dir), "train-labels-idx1-ubyte"))
    programs = {"seqfit": seqfit(), "seqfit, autograd": seqfit("--engine", "autograd")}
    programs["PyTorch"] = peer("pytorch", samples)
    programs["PyTorch, fused Adam"] = peer("pytorch-fused", samples)
    if importlib.util.find_spec("jax") and importlib.util.find_spec("optax"):
        programs["JAX, jitted scan"] = peer("jax", samples)
    for batch_size in args.batch_size:
        print(f"batch {batch_size}, {args.rounds} alternating rounds, medians (minimum to maximum)")
        compare(programs, args, batch_size, samples)


if __name__ == "__main__":
    main()

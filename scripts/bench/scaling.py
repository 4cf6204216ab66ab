#!/usr/bin/env python3
"""Measures how seqfit's time and memory scale with the batch size, the width of the network and the data.

    scripts/bench/scaling.sh --data-dir DIR [--engine auto] [--copies 1 2 4 8 16]

trains on the MNIST files in DIR, one setting after the other: batches of 8 to 4096 samples, hidden layers
of 32 to 2048 units (W, W/2), and 1 to 16 copies of the training set. Prints samples per second of the last
epoch, seconds of the whole command, and its peak memory.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEQFIT = ROOT / "target/release/seqfit"


def read(folder, stem):
    plain, packed = folder / stem, folder / (stem + ".gz")
    return plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())


def copies(source, target, n):
    """Writes the files of `source` with the training set repeated n times."""
    for stem, header in [("train-images-idx3-ubyte", 16), ("train-labels-idx1-ubyte", 8)]:
        raw = read(source, stem)
        count = n * int.from_bytes(raw[4:8], "big")
        with open(target / stem, "wb") as file:
            file.write(raw[:4] + count.to_bytes(4, "big") + raw[8:header])
            for _ in range(n):
                file.write(raw[header:])
    for stem in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]:
        (target / stem).write_bytes(read(source, stem))


def records_of(folder, *options):
    """Trains once; returns the records of --json and the peak memory in MiB."""
    with tempfile.TemporaryDirectory() as out:
        command = [SEQFIT, "train", "--json", "--data-dir", folder, "--out", f"{out}/run", *options]
        with open(f"{out}/lines", "w+") as lines:
            process = subprocess.Popen([str(part) for part in command], stdout=lines, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                sys.exit(f"{command} ended with {process.returncode}")
            lines.seek(0)
            return [json.loads(line) for line in lines], usage.ru_maxrss / 1024


def train(folder, *options):
    """Trains once; returns samples per second, seconds and megabytes."""
    records, peak = records_of(folder, *options)
    speed = [record["samples_per_second"] for record in records if "epoch" in record][-1]
    return speed, records[-1]["result"]["seconds"], peak


def line(what, figures):
    speed, seconds, megabytes = figures
    print(f"{what:<24} {speed:>10,.0f} samples/s {seconds:>8.2f} s {megabytes:>8.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    args = parser.parse_args()
    engine = ["--engine", args.engine]
    for batch in [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]:
        line(f"batch {batch}", train(args.data_dir, "--epochs", 2, "--batch-size", batch, *engine))
    for width in [32, 64, 128, 256, 512, 1024, 2048]:
        for batch in [32, 256]:
            hidden = f"{width},{width // 2}"
            options = ["--epochs", 1, "--batch-size", batch, "--hidden", hidden, *engine]
            line(f"hidden {hidden} batch {batch}", train(args.data_dir, *options))
    for n in args.copies:
        with tempfile.TemporaryDirectory() as folder:
            copies(args.data_dir, Path(folder), n)
            line(f"{n} x the data", train(folder, "--epochs", 1, *engine))


if __name__ == "__main__":
    main()

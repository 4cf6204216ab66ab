#!/usr/bin/env python3
"""Measures the cost of streaming the training data, and how close its order is to a full shuffle.

    scripts/bench/stream.sh memory [--gigabytes 20] [--stream 64]
    scripts/bench/stream.sh order --data-dir DIR [--seeds 3]
    scripts/bench/stream.sh speed --data-dir DIR [--rounds 5]

`memory` creates a synthetic data set of that size (shards of 256 MiB that are links to one file, so that it
needs only that much disk space), trains one epoch on it, and prints the peak memory. `order` sorts the MNIST
files in DIR by class, the worst case for a shuffle by blocks, and prints the test accuracy by the memory for
the open blocks, compared with that of data in memory. `speed` prints samples per second, streamed and in
memory, in alternating runs.
"""

import argparse
import os
import random
import statistics
import tempfile
from pathlib import Path

from scaling import read
from scaling import records_of as train

SHARD = 256 << 20


def idx(path, sizes, parts):
    with open(path, "wb") as file:
        file.write(bytes([0, 0, 8, len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes))
        for part in parts:
            file.write(part)


def made_up(generator, label):
    """Returns an image of 28 by 28 with a black margin, noise inside, and a bright bar whose row is the label."""
    rows = []
    for row in range(20):
        noise = bytes(value // 4 for value in generator.randbytes(20))
        rows.append(bytes(4) + (b"\xff" * 20 if row // 2 == label else noise) + bytes(4))
    return bytes(4 * 28) + b"".join(rows) + bytes(4 * 28)


def memory(args):
    generator = random.Random(0)
    count = SHARD // 784
    labels = bytes(i % 10 for i in range(count))
    pictures = [made_up(generator, label % 10) for label in range(1000)]
    shards = round(args.gigabytes * 1e9 / SHARD)
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        name = lambda number, what: Path(folder) / f"train-{number:05}-of-{shards:05}-{what}.idx"
        idx(name(0, "images"), [count, 28, 28], (pictures[i % 1000] for i in range(count)))
        idx(name(0, "labels"), [count], [labels])
        for number in range(1, shards):
            for what in ["images", "labels"]:
                os.link(name(0, what), name(number, what))
        test = Path(folder) / "test-00000-of-00001-images.idx"
        idx(test, [1000, 28, 28], pictures)
        idx(Path(folder) / "test-00000-of-00001-labels.idx", [1000], [labels[:1000]])
        options = ["--epochs", 1, "--batch-size", 256, f"--stream={args.stream}", *args.options]
        lines, peak = train(folder, *options)
    gigabytes = shards * count * 784 / 1e9
    seconds = lines[-1]["result"]["seconds"]
    speed = lines[0]["samples_per_second"]
    print(f"{shards * count:,} images, {gigabytes:.1f} GB, --stream={args.stream}: peak {peak:.0f} MiB, "
          f"{seconds:.0f} s, {speed:,.0f} samples/s")


def plain(source, target, by_class):
    """Writes the four MNIST files uncompressed, with the training samples sorted by class or unchanged."""
    for stem in ["train", "t10k"]:
        images, labels = [read(source, f"{stem}-{what}") for what in ["images-idx3-ubyte", "labels-idx1-ubyte"]]
        pixels, values = images[16:], labels[8:]
        order = range(len(values))
        if by_class and stem == "train":
            order = sorted(order, key=lambda i: values[i])
        idx(target / f"{stem}-images-idx3-ubyte", [len(values), 28, 28], (pixels[784 * i:784 * (i + 1)] for i in order))
        idx(target / f"{stem}-labels-idx1-ubyte", [len(values)], [bytes(values[i] for i in order)])


def order(args):
    with tempfile.TemporaryDirectory() as folder:
        plain(args.data_dir, Path(folder), by_class=True)
        settings = [("in memory", [])] + [(f"--stream={mib}", [f"--stream={mib}"]) for mib in [64, 16, 4, 2, 1]]
        for name, options in settings:
            accuracies = []
            for seed in range(args.seeds):
                lines, _ = train(folder, "--epochs", args.epochs, "--seed", seed, *options, *args.options)
                accuracies.append(100 * lines[-1]["result"]["test"]["accuracy"])
            spread = statistics.stdev(accuracies)
            print(f"{name:<12} {statistics.mean(accuracies):.2f} % ± {spread:.2f} over {args.seeds} seeds", flush=True)


def speed(args):
    with tempfile.TemporaryDirectory() as folder:
        plain(args.data_dir, Path(folder), by_class=False)
        for batch in [32, 256]:
            speeds = {"in memory": [], "streamed": []}
            for _ in range(args.rounds):
                for name, options in [("in memory", []), ("streamed", ["--stream=16"])]:
                    lines, _ = train(folder, "--epochs", 3, "--batch-size", batch, *options, *args.options)
                    speeds[name].append(max(line["samples_per_second"] for line in lines if "epoch" in line))
            ratios = [b / a for a, b in zip(speeds["in memory"], speeds["streamed"])]
            medians = "  ".join(f"{name} {statistics.median(all):,.0f}" for name, all in speeds.items())
            print(f"batch {batch}: {medians} samples/s, ratio {statistics.median(ratios):.2f} "
                  f"({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for run in [memory, order, speed]:
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("--options", nargs="*", default=[], help="more options of seqfit train")
        if run is memory:
            command.add_argument("--gigabytes", type=float, default=20)
            command.add_argument("--stream", type=int, default=64)
            command.add_argument("--scratch", help="folder for the files")
        else:
            command.add_argument("--data-dir", required=True, type=Path)
        if run is order:
            command.add_argument("--seeds", type=int, default=3)
            command.add_argument("--epochs", type=int, default=5)
        if run is speed:
            command.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()

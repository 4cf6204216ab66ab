#!/usr/bin/env python3
"""Measures a training step by the number of ranks, and models it for networks and clusters.

    python scripts/bench/ranks.py [--seqfit target/release/seqfit] [--rounds 3]

The program must be built with --features mpi. Everything runs on this machine: a single process without MPI, and 1,
2 and 4 ranks, over shared memory and over TCP on the loopback interface, where the sent bytes can be counted. The
data is synthetic (784 random pixels per image), as only its size matters.

The model is fitted to steps of one process, which has the whole machine: a step with P parameters and b samples
takes a·P·b + c·P + d seconds, and the all-reduce of N ranks takes 2·(N-1)·(latency + 4·P/N/bandwidth) as a ring,
the minimum for any all-reduce. It does not cover slow ranks or networks with shared links.
"""

import argparse
import csv
import os
import re
import statistics
import struct
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 8192
PIXELS = 784
CLASSES = 10

# Bits per second, and seconds per message: typical values of such networks, not measured here.
NETWORKS = {"1 Gbit/s": (1e9, 50e-6), "10 Gbit/s": (1e10, 20e-6), "100 Gbit/s": (1e11, 2e-6)}
RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
WIDTHS = [128, 512, 2048, 8192]
BATCHES = [512, 8192]


def parameters(width):
    """Returns the number of parameters of 784 - width - width - 10."""
    return (PIXELS + 1) * width + (width + 1) * width + (width + 1) * CLASSES


def write_data(folder):
    folder.mkdir()
    for part, samples in [("train", SAMPLES), ("t10k", 64)]:
        images = struct.pack(">4i", 2051, samples, 28, 28) + os.urandom(samples * PIXELS)
        labels = struct.pack(">2i", 2049, samples) + bytes(i % CLASSES for i in range(samples))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def sent():
    """Returns the bytes that the loopback interface has sent."""
    return int(Path("/sys/class/net/lo/statistics/tx_bytes").read_text())


def train(options, data, ranks, width, batch, epochs, transport, threads=None):
    """Returns seconds per step of the last epoch, seconds of all-reduce per step, and bytes sent per step.

    `ranks` of 0 means a single process without MPI.
    """
    with tempfile.TemporaryDirectory() as home:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
        if transport == "tcp":
            command += ["--mca", "pml", "ob1", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo"]
        command += [options.seqfit, "train", "--data-dir", str(data), "--out", f"{home}/run"]
        command += ["--distributed"] if ranks else []
        command += ["--hidden", f"{width},{width}", "--batch-size", str(batch), "--epochs", str(epochs)]
        command += ["--quiet", "--timing"]
        if threads:
            command += ["--threads", str(threads)]
        environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        before = sent()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        bytes_sent = sent() - before
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        with open(f"{home}/run/history.csv") as file:
            seconds = float(list(csv.DictReader(file))[-1]["seconds"])
    steps = -(-SAMPLES // batch)
    exchange = re.search(r"exchange: ([0-9.]+) s of the training in (\d+) sums", done.stderr)
    apart = float(exchange[1]) / max(int(exchange[2]), 1) if ranks > 1 else 0.0
    return seconds / steps, apart, bytes_sent / (steps * epochs)


def median(rounds, work):
    return [statistics.median(column) for column in zip(*(work() for _ in range(rounds)))]


def measure(options, data):
    print("## Measured\n")
    print(f"{os.cpu_count()} processors, medians of {options.rounds} rounds, global batches\n")
    print("| hidden layers | batch | ranks | transport | step, ms | all-reduce, ms | gradients, KB | sent per step, KB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for width, batch in [(128, 128), (128, 1024), (1024, 1024)]:
        for ranks, transport in [(0, "-"), (1, "-"), (2, "shared memory"), (2, "tcp"), (4, "shared memory"), (4, "tcp")]:
            step, apart, traffic = median(
                options.rounds, lambda: train(options, data, ranks, width, batch, 3, transport)
            )
            traffic = f"{traffic / 1e3:,.0f}" if transport == "tcp" else ""
            print(
                f"| {width}, {width} | {batch} | {ranks or 'no MPI'} | {transport} | {1e3 * step:.2f} | {1e3 * apart:.2f} "
                f"| {4 * parameters(width) / 1e3:,.0f} | {traffic} |",
                flush=True,
            )


def solve(rows, values):
    """Solves least squares by the normal equations, each row weighted by its value, with results >= 0."""
    count = len(rows[0])
    rows = [[x / value for x in row] for row, value in zip(rows, values)]
    used = list(range(count))
    while True:
        matrix = [[sum(r[i] * r[j] for r in rows) for j in used] + [sum(r[i] for r in rows)] for i in used]
        for i in range(len(used)):
            matrix[i] = [x / matrix[i][i] for x in matrix[i]]
            for j in range(len(used)):
                if j != i:
                    matrix[j] = [x - matrix[j][i] * y for x, y in zip(matrix[j], matrix[i])]
        found = {i: row[-1] for i, row in zip(used, matrix)}
        if min(found.values()) >= 0:
            return [found.get(i, 0.0) for i in range(count)]
        # Drop the coefficient that is most negative, and solve again without it.
        used.remove(min(found, key=found.get))


def fit(options, data):
    print("\n## Fitted\n")
    rows, values, settings = [], [], []
    for width in [128, 512, 2048]:
        for batch in [64, 256, 1024]:
            (step, _, _) = median(options.rounds, lambda: train(options, data, 0, width, batch, 2, "-"))
            size = parameters(width)
            rows.append([size * batch, size, 1.0])
            values.append(step)
            settings.append((width, batch))
    a, c, d = solve(rows, values)
    print(f"a = {a:.3e} s per parameter and sample, c = {c:.3e} s per parameter, d = {d:.3e} s\n")
    print("| hidden layers | batch | measured, ms | model, ms |")
    print("| --- | --- | --- | --- |")
    for (width, batch), row, value in zip(settings, rows, values):
        print(f"| {width}, {width} | {batch} | {1e3 * value:.2f} | {1e3 * (a * row[0] + c * row[1] + d):.2f} |")
    return a, c, d


def model(constants):
    a, c, d = constants
    print("\n## Modeled\n")
    print("Milliseconds per step if each rank has a machine like this one to itself. The fastest is in bold: beyond")
    print("it more ranks do not help.\n")
    print("| hidden layers | batch | network | " + " | ".join(map(str, RANKS)) + " | best speedup |")
    print("| --- | --- | --- | " + " | ".join("---" for _ in RANKS) + " | --- |")
    for width in WIDTHS:
        size = parameters(width)
        for batch in BATCHES:
            for name, (bandwidth, latency) in NETWORKS.items():
                times = []
                for ranks in RANKS:
                    compute = a * size * max(batch / ranks, 1) + c * size + d
                    exchange = 2 * (ranks - 1) * (latency + 32 * size / ranks / bandwidth)
                    times.append(compute + exchange)
                best = min(times)
                cells = [f"**{1e3 * t:.3g}**" if t == best else f"{1e3 * t:.3g}" for t in times]
                gain = f"{times[0] / best:.1f}x with {RANKS[times.index(best)]}"
                print(f"| {width}, {width} | {batch} | {name} | " + " | ".join(cells) + f" | {gain} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seqfit", default=str(ROOT / "target/release/seqfit"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        data = Path(home) / "data"
        write_data(data)
        measure(options, data)
        model(fit(options, data))


if __name__ == "__main__":
    main()

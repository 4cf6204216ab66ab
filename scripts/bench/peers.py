#!/usr/bin/env python3
"""Times seqfit's training alternately with other programs that do the same, and prints the ratios.

    scripts/bench/peers.sh --data-dir DIR [--batch-size 32 256] [--rounds 5] [--picture FILE.svg]

builds the peers first and calls this script. All train the tutorial's network (784-128-64-10, relu, Adam
1e-3) on the MNIST files in DIR, each in a separate process, in the order A B C A B C …. The first epoch is
the warm-up, and the median of the others counts. The peers have all images as float32 in memory before their
clocks start; seqfit converts them batch by batch. Quote the ratios: absolute speeds vary with the machine's
other work.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS = 3
ROOT = Path(__file__).resolve().parents[2]
SEQFIT = ROOT / "target/release/seqfit"
RUST_PEERS = ROOT / "target/peers/release"
WIDTHS = (784, 128, 64, 10)


def read_idx(folder, stem):
    """Returns the u8 array in an IDX file, gzipped or not."""
    import numpy as np

    plain = folder / stem
    packed = folder / (stem + ".gz")
    raw = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    rank = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def mnist(folder):
    import numpy as np

    x = read_idx(folder, "train-images-idx3-ubyte").reshape(-1, 784).astype(np.float32) / np.float32(255)
    return x, read_idx(folder, "train-labels-idx1-ubyte")


def pytorch(folder, batch_size, fused, device="cpu"):
    """Trains as a PyTorch user would, with all data on the device."""
    import torch
    from torch import nn

    x, y = mnist(folder)
    x, y = torch.from_numpy(x).to(device), torch.from_numpy(y.astype("int64")).to(device)
    layers = [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(64, 10)).to(device)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True if fused else None)
    for _ in range(EPOCHS):
        wait()
        started = time.perf_counter()
        order = torch.randperm(len(x), device=device)
        xs, ys = x[order], y[order]
        for i in range(0, len(x), batch_size):
            loss = nn.functional.cross_entropy(model(xs[i : i + batch_size]), ys[i : i + batch_size])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        wait()
        print(len(x) / (time.perf_counter() - started), flush=True)


def jax(folder, batch_size):
    """Trains a whole epoch as one compiled scan, the fastest way in JAX."""
    import jax
    import jax.numpy as jnp
    import optax

    x, y = mnist(folder)
    x, y = jnp.asarray(x), jnp.asarray(y, jnp.int32)
    key, params = jax.random.PRNGKey(0), []
    for inputs, units in zip(WIDTHS, WIDTHS[1:]):
        key, own = jax.random.split(key)
        bound = (6 / (inputs + units)) ** 0.5
        weights = jax.random.uniform(own, (inputs, units), minval=-bound, maxval=bound)
        params.append((weights, jnp.zeros(units)))
    optimizer = optax.adam(1e-3)

    def loss_of(params, x, y):
        for i, (weights, bias) in enumerate(params):
            x = x @ weights + bias
            if i + 1 < len(params):
                x = jax.nn.relu(x)
        return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()

    def step(carry, batch):
        params, state = carry
        loss, gradients = jax.value_and_grad(loss_of)(params, *batch)
        updates, state = optimizer.update(gradients, state)
        return (optax.apply_updates(params, updates), state), loss

    count = len(x) // batch_size * batch_size

    @jax.jit
    def epoch(params, state, key):
        order = jax.random.permutation(key, len(x))[:count]
        batches = x[order].reshape(-1, batch_size, 784), y[order].reshape(-1, batch_size)
        carry, losses = jax.lax.scan(step, (params, state), batches)
        return carry, losses.mean()

    state = optimizer.init(params)
    for _ in range(EPOCHS):
        started = time.perf_counter()
        key, own = jax.random.split(key)
        (params, state), loss = epoch(params, state, own)
        loss.block_until_ready()
        print(count / (time.perf_counter() - started), flush=True)


def keras(folder, batch_size):
    """Trains with the tutorial's program."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    x, y = mnist(folder)
    model = keras.Sequential(
        [
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    one_hot = keras.utils.to_categorical(y, 10)
    for _ in range(EPOCHS):
        started = time.perf_counter()
        model.fit(x, one_hot, epochs=1, batch_size=batch_size, verbose=0)
        print(len(x) / (time.perf_counter() - started), flush=True)


PEERS = {
    "pytorch": lambda folder, batch: pytorch(folder, batch, False),
    "pytorch-fused": lambda folder, batch: pytorch(folder, batch, True),
    "jax": jax,
    "keras": keras,
}


def numbers(command, environment=None):
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return [float(line) for line in out.split()]


def python_peer(python, name):
    def run(data_dir, batch_size):
        own = ["--data-dir", data_dir, "--batch-size", str(batch_size)]
        return numbers([python, __file__, "--peer", name, *own])

    return run


def rust_peer(name, **environment):
    def run(data_dir, batch_size):
        command = [RUST_PEERS / name, data_dir, str(batch_size), str(EPOCHS)]
        return numbers(command, {**os.environ, **environment})

    return run


def run_seqfit(data_dir, batch_size):
    with tempfile.TemporaryDirectory() as folder:
        command = [SEQFIT, "train", "--json", "--data-dir", data_dir, "--epochs", str(EPOCHS)]
        command += ["--batch-size", str(batch_size), "--out", f"{folder}/run"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    records = [json.loads(line) for line in out.splitlines()]
    return [record["samples_per_second"] for record in records if "epoch" in record]


def picture(path, results):
    """Draws bars of samples per second, one panel per batch size."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(results), figsize=(5 * len(results), 3.2), squeeze=False)
    for panel, (batch, speeds) in zip(panels[0], results.items()):
        medians = sorted((statistics.median(values), name) for name, values in speeds.items())
        colors = ["#d1495b" if name == "seqfit" else "#9aa5b1" for _, name in medians]
        bars = panel.barh([name for _, name in medians], [value / 1000 for value, _ in medians])
        for bar, color, (value, _) in zip(bars, colors, medians):
            bar.set_color(color)
            panel.text(bar.get_width(), bar.get_y() + 0.4, f" {value / 1000:.0f}", va="center", fontsize=8)
        panel.set_title(f"batch {batch}", fontsize=10)
        panel.set_xlabel("thousand samples per second", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.margins(x=0.12)
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch and numpy")
    parser.add_argument("--other-python", default=sys.executable, help="one with jax, optax and keras")
    parser.add_argument("--only", nargs="+", help="names of peers to run")
    parser.add_argument("--picture", help="an SVG file to draw the results to")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return PEERS[args.peer](Path(args.data_dir), args.batch_size[0])

    programs = {
        "seqfit": run_seqfit,
        "libtorch's products alone": rust_peer("products"),
        "JAX, jitted scan": python_peer(args.other_python, "jax"),
        "PyTorch": python_peer(args.torch_python, "pytorch"),
        "PyTorch, fused Adam": python_peer(args.torch_python, "pytorch-fused"),
        "tch loop": rust_peer("tch_loop"),
        # Its matrix products use all threads, which makes small ones slower.
        "candle, one thread": rust_peer("candle_loop", RAYON_NUM_THREADS="1"),
        "burn on flex": rust_peer("burn_loop"),
        "Keras on TensorFlow": python_peer(args.other_python, "keras"),
    }
    if args.only:
        programs = {name: run for name, run in programs.items() if name in ["seqfit", *args.only]}
    results = {}
    for batch in args.batch_size:
        speeds = {name: [] for name in programs}
        for _ in range(args.rounds):
            for name, run in programs.items():
                speeds[name].append(statistics.median(run(args.data_dir, batch)[1:]))
        results[batch] = speeds
        ours = speeds["seqfit"]
        print(f"batch {batch}, {args.rounds} alternating rounds: median samples/s (minimum to maximum)")
        for name, theirs in speeds.items():
            ratio = statistics.median(a / b for a, b in zip(ours, theirs))
            low, middle, high = min(theirs), statistics.median(theirs), max(theirs)
            print(f"{name:<28} {middle:>9,.0f}  ({low:,.0f} to {high:,.0f})  seqfit is {ratio:.2f}x", flush=True)
    if args.picture:
        picture(args.picture, results)


if __name__ == "__main__":
    main()

"""Times the estimators of seqfit against scikit-learn's MLPClassifier and MLPRegressor, and compares their scores.

    python scripts/bench/estimators.py --tables DIR [--seeds 3] [--epochs 20] [--only digits adult california]
                                       [--threads N] [--cpu-time] [--json FILE]

DIR holds adult/ and california/ with train.csv and test.csv, whose last column is the target. Networks, batch sizes,
numbers of epochs and pipelines are the same for both: numbers standardized, text columns one-hot, and for California
the target standardized for scikit-learn as seqfit does by itself. The two train alternately, seed by seed, so that
a machine that is busy for a while is busy for both. Times are those of `fit` on prepared arrays, with the start of
the program, its data and its result; the ratio is the median of the ratios of the seeds. `--threads` limits both;
`--cpu-time` counts the processors' time of both in place of the time that passes, for a machine that is never idle.
Needs the package seqfit (its wheel, or PYTHONPATH=python and SEQFIT_PROGRAM=target/release/seqfit), and pandas.
"""

import argparse
import json
import os
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from seqfit import SeqfitClassifier, SeqfitRegressor, _worker

NETWORKS = [((100,), 200), ((256, 256), 256)]
# California's networks learn longer, as its few rows need.
EPOCHS = {"digits": 5, "adult": 1, "california": 2}


def read(folder: Path) -> tuple[Any, ...]:
    """Returns prepared training and test samples and targets of a table."""
    parts = [pd.read_csv(folder / f"{part}.csv", keep_default_na=False, na_values=[""]) for part in ("train", "test")]
    (x, y), (x_test, y_test) = [(part.iloc[:, :-1], part.iloc[:, -1].to_numpy()) for part in parts]
    numbers = [name for name in x if pd.api.types.is_numeric_dtype(x[name])]
    texts = [name for name in x if name not in numbers]
    prepare = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts),
    )
    missing = dict.fromkeys(texts, "")
    x, x_test = prepare.fit_transform(x.fillna(missing)), prepare.transform(x_test.fillna(missing))
    return x.astype(np.float32), x_test.astype(np.float32), y, y_test


def digits() -> tuple[Any, ...]:
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
    scaler = StandardScaler().fit(x)
    return scaler.transform(x).astype(np.float32), scaler.transform(x_test).astype(np.float32), y, y_test


def cpu_seconds() -> float:
    """Returns the processors' time of this process, of seqfit's worker, and of those that they have waited for."""
    # The worker answers before it has waited for the process that trained.
    time.sleep(0.1)
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(each.ru_utime + each.ru_stime for each in own)
    if _worker._worker is not None:
        fields = Path(f"/proc/{_worker._worker._process.pid}/stat").read_text().rpartition(")")[2].split()
        seconds += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return seconds


def measure(model: Any, data: tuple[Any, ...], clock: Callable[[], float]) -> tuple[float, float]:
    """Returns the seconds of `fit` by this clock, and the accuracy or the RMSE on the test set."""
    x, x_test, y, y_test = data
    scale = (0.0, 1.0)
    if isinstance(model, MLPRegressor):
        scale = (y.mean(), y.std())
        y = ((y - scale[0]) / scale[1]).astype(np.float32)
    # OpenBLAS's threads poll for some 25 ms after their last product, on a processor that the next one could use.
    time.sleep(0.1)
    started = clock()
    model.fit(x, y)
    seconds = clock() - started
    if is_classifier(model):
        return seconds, model.score(x_test, y_test)
    return seconds, root_mean_squared_error(y_test, model.predict(x_test) * scale[1] + scale[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    clock = cpu_seconds if args.cpu_time else time.perf_counter
    limits = threadpool_limits(args.threads)
    warnings.simplefilter("ignore", ConvergenceWarning)
    # What the first call takes: modules that are imported, and libtorch that is read from the disk.
    SeqfitClassifier(max_iter=1).fit(np.eye(4), [0, 1, 0, 1])
    results = []
    print("data        network   batch  epochs   sklearn s  seqfit s  ratio   sklearn score     seqfit score")
    for name in args.only:
        data = digits() if name == "digits" else read(args.tables / name)
        kinds = (MLPRegressor, SeqfitRegressor) if name == "california" else (MLPClassifier, SeqfitClassifier)
        epochs = args.epochs * EPOCHS[name]
        for widths, batch in NETWORKS:
            runs: list[list[tuple[float, float]]] = [[], []]
            for seed in range(args.seeds):
                for own, kind in zip(runs, kinds, strict=True):
                    # Neither ends early.
                    settings = {"batch_size": batch, "max_iter": epochs, "n_iter_no_change": epochs}
                    if kind in (SeqfitClassifier, SeqfitRegressor):
                        settings["n_jobs"] = args.threads
                    model = kind(hidden_layer_sizes=widths, random_state=seed, **settings)
                    own.append(measure(model, data, clock))
                    assert model.n_iter_ == epochs
            seconds = [[run[0] for run in own] for own in runs]
            scores = [[run[1] for run in own] for own in runs]
            ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
            medians = [statistics.median(each) for each in seconds]
            means = [f"{statistics.mean(each):.4f} ± {statistics.pstdev(each):.4f}" for each in scores]
            label = "x".join(map(str, widths))
            print(f"{name:<11} {label:<9} {batch:>5}  {epochs:>6}  {medians[0]:>10.2f}  {medians[1]:>8.2f}  "
                  f"{ratio:>5.1f}   {means[0]}   {means[1]}", flush=True)
            results.append({"data": name, "network": widths, "batch": batch, "epochs": epochs, "ratio": ratio,
                            "seconds": seconds, "scores": scores})
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    limits.restore_original_limits()


if __name__ == "__main__":
    main()

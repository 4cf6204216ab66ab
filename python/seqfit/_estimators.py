"""Estimators of scikit-learn that are trained by the program seqfit.

Parameters have the names and defaults of `sklearn.neural_network.MLPClassifier` and `MLPRegressor` where they mean
the same, so that one can take the place of the other in a pipeline or a grid. What only seqfit has is named after
its option of `seqfit train`. A different meaning has another name: `weight_decay` is decoupled from the gradient
(AdamW), and the `alpha` of scikit-learn is a penalty in the loss, which seqfit does not have.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse, special
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_array, check_is_fitted, validate_data

from seqfit import _program
from seqfit._layers import ACTIVATIONS, Layers, outputs

Array = npt.NDArray[Any]

_ALIASES = {"identity": "linear", "logistic": "sigmoid"}
_SOLVERS = ("adam", "adamw", "sgd", "rmsprop")
_LOSSES = {"squared_error": "mean_squared_error", "absolute_error": "mean_absolute_error", "huber": "huber"}
_FEATURES: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
_SHARED_MEMORY = "/dev/shm"


class _SeqfitEstimator(BaseEstimator):
    """The common parts of the classifier and the regressor: the settings, the training, the outputs."""

    _parameters_of_both = """
    Args:
        hidden_layer_sizes: the widths of the hidden Dense layers; `()` for a linear model.
        activation: of the hidden layers: relu, tanh, logistic (sigmoid), identity (linear), gelu, silu, leaky_relu,
            elu, selu, softplus, hard_sigmoid or mish.
        solver: the optimizer: adam, adamw, sgd or rmsprop.
        learning_rate_init: the learning rate, at the start of the schedule if there is one.
        batch_size: samples per step; `"auto"` is `min(200, n_samples)`.
        max_iter: epochs, unless the training ends earlier.
        tol: the least improvement for `n_iter_no_change`.
        n_iter_no_change: ends the training when the training loss, or with `early_stopping` the validation score,
            has not improved by more than `tol` for this number of epochs. `None` trains for `max_iter` epochs.
        early_stopping: holds out `validation_fraction` of the samples, and ends with the weights of the epoch that
            was best on them.
        validation_fraction: the fraction of the samples that is held out, drawn from every class.
        random_state: the seed of the initial weights, the order of the samples, the validation set and dropout.
            The same integer gives the same weights, bit for bit, on the CPU.
        momentum: only with the solver sgd.
        nesterovs_momentum: only with the solver sgd and a momentum.
        weight_decay: only with the solver adamw, decoupled from the gradient. It takes the place of `alpha`.
        dropout: the fraction of each hidden layer's outputs that is dropped in training.
        schedule: the learning rate's schedule as `seqfit train --schedule` takes it, such as `"cosine"` or
            `"one-cycle:warm_up=0.1"`.
        clip_norm: the maximum norm of all gradients together.
        ema: ends with a moving average of the weights, with this decay per step.
        n_jobs: the number of threads; `None` and -1 are all processors.
        device: cpu, cuda or cuda:N. Only the training runs there; predictions are computed by NumPy.
        verbose: prints the progress of the program on standard error.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        learning_rate_init: float = 0.001,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int | None = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        weight_decay: float = 0.004,
        dropout: float = 0.0,
        schedule: str | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.ema = ema
        self.n_jobs = n_jobs
        self.device = device
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _options(self, samples: int) -> list[str]:
        """Returns the options of `seqfit train` for these settings."""
        given: Any = self.hidden_layer_sizes
        widths: list[Any] = [given] if isinstance(given, Integral) else list(given)
        for width in widths:
            _check(isinstance(width, Integral) and int(width) > 0, "hidden_layer_sizes", "whole numbers above 0", width)
        known = [*_ALIASES, *ACTIVATIONS]
        _check(self.activation in known, "activation", f"one of {', '.join(known)}", self.activation)
        _check(self.solver in _SOLVERS, "solver", f"one of {', '.join(_SOLVERS)}", self.solver)
        batch_size = min(200, samples) if self.batch_size == "auto" else self.batch_size
        for name, value in [("batch_size", batch_size), ("max_iter", self.max_iter)]:
            _check(isinstance(value, Integral) and value > 0, name, "a whole number above 0", value)
        options = {
            "hidden": ",".join(map(str, widths)),
            "activation": _ALIASES.get(self.activation, self.activation),
            "optimizer": self.solver,
            "learning-rate": self.learning_rate_init,
            "batch-size": min(batch_size, samples),
            "epochs": self.max_iter,
            "seed": _seed(self.random_state),
            "dropout": self.dropout,
            "device": self.device,
            "schedule": self.schedule,
            "clip-norm": self.clip_norm,
            "ema": self.ema,
        }
        flags = ["restore-best"] if self.early_stopping else []
        if self.solver == "adamw":
            options["weight-decay"] = self.weight_decay
        if self.solver == "sgd":
            options["momentum"] = self.momentum
            if self.nesterovs_momentum and self.momentum > 0:
                flags.append("nesterov")
        if self.n_jobs is not None and self.n_jobs != -1:
            options["threads"] = self.n_jobs
        patience = self.n_iter_no_change
        if patience is None and self.early_stopping:
            # Never ends early, and still ends with the best weights.
            patience = self.max_iter
        if patience is not None:
            options["early-stopping"] = patience
            options["min-delta"] = self.tol
        if self.early_stopping:
            options["validation-split"] = self.validation_fraction
        chosen = [f"--{name}={value}" for name, value in options.items() if value is not None]
        return chosen + [f"--{name}" for name in flags]

    def _train(
        self,
        x: Array,
        y: Array,
        weights: Array | None,
        task: str,
        options: Sequence[str],
        files: Mapping[str, str],
    ) -> None:
        """Trains on samples [N, features] and targets, and sets the attributes of a fitted estimator."""
        given = [*self._options(len(x)), *options]
        x = np.ascontiguousarray(x, np.float32)
        # A run is always tested: on one sample, since nothing is held out here.
        arrays: dict[str, Any] = {"x_train": x, "y_train": y, "x_test": x[:1], "y_test": y[:1]}
        if weights is not None:
            arrays["w_train"] = weights
            given.append("--keys=w_train=w_train")
        with tempfile.TemporaryDirectory(prefix="seqfit-", dir=_fast_folder(2 * x.nbytes + y.nbytes)) as folder:
            data, run = Path(folder, "data.npz"), Path(folder, "run")
            np.savez(data, **arrays)
            for name, text in files.items():
                Path(folder, name).write_text(text, encoding="utf-8")
            given = [option.replace("{folder}", folder) for option in given]
            command = ["train", f"--data={data}", f"--task={task}", f"--out={run}", "--json", "--keep=0", *given]
            if not self.verbose:
                command.append("--quiet")
            lines = _program.run(command, verbose=bool(self.verbose))
            layers = Layers.read(run)
        *epochs, end = lines
        history = {key: [epoch[key] for epoch in epochs if key in epoch] for key in epochs[-1]}
        self.coefs_ = layers.weights
        self.intercepts_ = layers.biases
        self.history_ = history
        self.loss_curve_ = history["loss"]
        self.loss_ = self.loss_curve_[-1]
        self.n_iter_ = int(end["result"]["epochs"])
        self.n_layers_ = len(layers.weights) + 1
        self.n_outputs_ = layers.biases[-1].size

    def _samples(self, x: Any) -> Array:
        """Returns checked samples to predict, as a dense array."""
        return _dense(validate_data(self, x, reset=False, **_FEATURES))

    def _triples(
        self, x: Any, y: Any, sample_weight: npt.ArrayLike | None, **checks: Any
    ) -> tuple[Array, Any, Array | None]:
        """Returns checked samples to train on, as a dense array, their targets, and their weights if there are any.

        Samples of weight 0 are left out. The others get a mean of 1, so that they do not change the learning rate.
        """
        x, y = validate_data(self, x, y, multi_output=True, **_FEATURES, **checks)
        if sample_weight is None:
            return _dense(x), y, None
        weights = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
        used = weights > 0
        if not used.any():
            raise ValueError("sample_weight must have a weight above 0, found only zeros")
        if not used.all():
            x, y, weights = x[used], y[used], weights[used]
        return _dense(x), y, (weights / weights.mean()).astype(np.float32)

    def _outputs(self, x: Any) -> Array:
        """Returns the outputs [N, outputs]: logits, or predicted numbers."""
        check_is_fitted(self)
        activation = _ALIASES.get(self.activation, self.activation)
        return outputs(self._samples(x), self.coefs_, self.intercepts_, activation)


class SeqfitClassifier(ClassifierMixin, _SeqfitEstimator):
    """A neural network that predicts one class, or several labels, of each sample; trained by seqfit.

    `fit` takes dense or sparse arrays and numeric DataFrames [n_samples, n_features]. Sparse ones are made dense.
    Features are not scaled: put a `StandardScaler` before it. With targets [n_samples] it learns 2 to 256 classes of
    any type; with targets [n_samples, n_labels] of 0 and 1 it learns several labels.
    """

    __doc__ += _SeqfitEstimator._parameters_of_both + """
        class_weight: `"balanced"`, or the weight of each class as a dict; those that are left out have 1.
        label_smoothing: the fraction of each target that is spread over all classes.

    Attributes:
        classes_: the classes [n_classes], sorted; of several labels, their numbers.
        coefs_, intercepts_: weights [inputs, outputs] and biases [outputs] of each layer, float32.
        history_: loss, accuracy and others of each epoch, by the names of `seqfit train --json`.
        loss_curve_, loss_, n_iter_: the loss of each epoch, of the last one, and the number of epochs.
        n_features_in_, feature_names_in_, n_layers_, n_outputs_: as in scikit-learn.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        learning_rate_init: float = 0.001,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int | None = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        weight_decay: float = 0.004,
        dropout: float = 0.0,
        schedule: str | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
        verbose: bool = False,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        # scikit-learn reads the parameters off the signature, so each is written out.
        super().__init__(
            hidden_layer_sizes,
            activation,
            solver=solver,
            learning_rate_init=learning_rate_init,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            random_state=random_state,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            weight_decay=weight_decay,
            dropout=dropout,
            schedule=schedule,
            clip_norm=clip_norm,
            ema=ema,
            n_jobs=n_jobs,
            device=device,
            verbose=verbose,
        )
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Trains a new network on samples [n_samples, n_features] and their classes or labels.

        `sample_weight` [n_samples] are weights of the samples in the loss. Their scale does not matter, and samples
        of weight 0 are left out.

        Raises:
            ValueError: data or parameters that break a rule.
            seqfit.SeqfitError: the program failed, such as when the loss is not finite.
        """
        x, y, weights = self._triples(X, y, sample_weight)
        check_classification_targets(y)
        options = [f"--label-smoothing={self.label_smoothing}"]
        files: dict[str, str] = {}
        kind = type_of_target(y)
        self._has_labels = kind == "multilabel-indicator"
        if self._has_labels:
            y = np.asarray(y.toarray() if sparse.issparse(y) else y)
            self.classes_ = np.arange(y.shape[1])
            _check(self.class_weight is None, "class_weight", "None for several labels", self.class_weight)
        else:
            _check(kind != "multiclass-multioutput", "y", "one class or several labels of 0 and 1", kind)
            self.classes_, y = np.unique(_column(y), return_inverse=True)
            count = len(self.classes_)
            if not 2 <= count <= 256:
                raise ValueError(f"a classifier needs 2 to 256 classes, found {count} class{'es'[:2 * (count != 1)]}")
            if self.class_weight is not None:
                files, given = self._class_weights()
                options.append(given)
        if self.early_stopping:
            options.append("--monitor=val_accuracy")
        task = "labels" if self._has_labels else "class"
        self._train(x, y.astype(np.uint8), weights, task, options, files)
        return self

    def _class_weights(self) -> tuple[dict[str, str], str]:
        """Returns a file of weights, by the numbers of the classes, and the option that names it."""
        if isinstance(self.class_weight, str):
            _check(self.class_weight == "balanced", "class_weight", '"balanced" or a dict', self.class_weight)
            return {}, "--class-weights=balanced"
        given = dict(self.class_weight or {})
        weights = {str(at): float(given.pop(name, 1.0)) for at, name in enumerate(self.classes_.tolist())}
        _check(not given, "class_weight", f"weights of the classes {self.classes_.tolist()}", list(given))
        return {"weights.json": json.dumps(weights)}, "--class-weights={folder}/weights.json"

    def predict_proba(self, X: Any) -> Array:
        """Returns the probabilities of the classes [n_samples, n_classes], or of each label.

        The columns are in the order of `classes_`. Those of classes add up to 1.
        """
        logits = self._outputs(X)
        return special.expit(logits) if self._has_labels else special.softmax(logits, axis=1)

    def predict_log_proba(self, X: Any) -> Array:
        """Returns the logarithms of `predict_proba`."""
        logits = self._outputs(X)
        return special.log_expit(logits) if self._has_labels else special.log_softmax(logits, axis=1)

    def predict(self, X: Any) -> Array:
        """Returns the most probable class of each sample [n_samples], or its labels as 0 and 1."""
        logits = self._outputs(X)
        return (logits >= 0).astype(int) if self._has_labels else self.classes_[logits.argmax(axis=1)]


class SeqfitRegressor(RegressorMixin, _SeqfitEstimator):
    """A neural network that predicts one number or several of each sample; trained by seqfit.

    `fit` takes dense or sparse arrays and numeric DataFrames [n_samples, n_features]. Sparse ones are made dense.
    Features are not scaled: put a `StandardScaler` before it. Targets [n_samples] or [n_samples, n_outputs] are
    scaled to a mean of 0 and a standard deviation of 1 in training, unlike those of `MLPRegressor`, and predictions
    are scaled back.
    """

    __doc__ += _SeqfitEstimator._parameters_of_both + """
        loss: squared_error, absolute_error or huber, on scaled targets.

    Attributes:
        coefs_, intercepts_: weights [inputs, outputs] and biases [outputs] of each layer, float32. The last layer
            includes the scaling of the targets.
        history_: the loss of each epoch and others, by the names of `seqfit train --json`; on scaled targets.
        loss_curve_, loss_, n_iter_: the loss of each epoch, of the last one, and the number of epochs.
        n_features_in_, feature_names_in_, n_layers_, n_outputs_: as in scikit-learn.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        loss: str = "squared_error",
        solver: str = "adam",
        learning_rate_init: float = 0.001,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int | None = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        weight_decay: float = 0.004,
        dropout: float = 0.0,
        schedule: str | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
        verbose: bool = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            solver=solver,
            learning_rate_init=learning_rate_init,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            random_state=random_state,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            weight_decay=weight_decay,
            dropout=dropout,
            schedule=schedule,
            clip_norm=clip_norm,
            ema=ema,
            n_jobs=n_jobs,
            device=device,
            verbose=verbose,
        )
        self.loss = loss

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Trains a new network on samples [n_samples, n_features] and their numbers.

        `sample_weight` [n_samples] are weights of the samples in the loss. Their scale does not matter, and samples
        of weight 0 are left out.

        Raises:
            ValueError: data or parameters that break a rule.
            seqfit.SeqfitError: the program failed, such as when the loss is not finite.
        """
        x, y, weights = self._triples(X, y, sample_weight, y_numeric=True)
        _check(self.loss in _LOSSES, "loss", f"one of {', '.join(_LOSSES)}", self.loss)
        y = check_array(y, ensure_2d=False, dtype=np.float64)
        y = y if y.ndim == 2 and y.shape[1] > 1 else _column(y)
        self._is_one_number = y.ndim == 1
        options = [f"--loss={_LOSSES[self.loss]}"]
        if self.early_stopping:
            options.append("--monitor=val_loss")
        self._train(x, y.astype(np.float32), weights, "numbers", options, {})
        return self

    def predict(self, X: Any) -> Array:
        """Returns the predicted numbers [n_samples], or [n_samples, n_outputs] if there are several."""
        predicted = self._outputs(X)
        return predicted[:, 0] if self._is_one_number else predicted


def _check(holds: bool, name: str, rule: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {rule}, found {found!r}")


def _dense(x: Any) -> Array:
    return x.toarray() if sparse.issparse(x) else x


def _column(y: Any) -> Array:
    """Returns targets [n] or [n, 1] as [n], with scikit-learn's warning for the latter."""
    from sklearn.utils.validation import column_or_1d

    return column_or_1d(y, warn=True)


def _seed(random_state: int | np.random.RandomState | None) -> int:
    """Returns a seed of the program: the number itself, or one that is drawn."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _fast_folder(size: int) -> str | None:
    """Returns a folder in memory with room for four times `size` bytes and the checkpoints, else none.

    The program forces every checkpoint to the disk, for runs that must survive a loss of power. This one is deleted
    when it is read, and on a disk that would take most of the time.
    """
    try:
        free = shutil.disk_usage(_SHARED_MEMORY).free
    except OSError:
        return None
    has_room = free > 4 * size + 2**28
    return _SHARED_MEMORY if has_room and os.access(_SHARED_MEMORY, os.W_OK | os.X_OK) else None

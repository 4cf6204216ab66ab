"""`SeqfitClassifier` and `SeqfitRegressor` as estimators of scikit-learn."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import seqfit
import torch
from scipy import sparse
from seqfit import SeqfitClassifier, SeqfitRegressor, _layers, _program
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

Table = tuple[np.ndarray, np.ndarray]


WHY = "targets are scaled by the mean and the standard deviation of the samples, without their weights"
EXPECTED_TO_FAIL = dict.fromkeys(
    ["check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"], WHY
)


# scikit-learn itself skips array_api input, if SCIPY_ARRAY_API is not set, and decision_function, which MLPClassifier
# has not either.
@parametrize_with_checks(
    [SeqfitClassifier(max_iter=50, n_jobs=1), SeqfitRegressor(max_iter=50, n_jobs=1)],
    expected_failed_checks=lambda estimator: EXPECTED_TO_FAIL if isinstance(estimator, SeqfitRegressor) else {},
)
def test_conventions_of_scikit_learn(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.mark.parametrize("ours, theirs", [(SeqfitClassifier, MLPClassifier), (SeqfitRegressor, MLPRegressor)])
def test_parameters_of_the_same_name_have_the_same_default(ours: type, theirs: type) -> None:
    mine, its = ours().get_params(), theirs().get_params()
    common = mine.keys() & its.keys()
    assert len(common) >= 13 and {name: mine[name] for name in common} == {name: its[name] for name in common}


def test_classifier_learns_digits_in_a_pipeline() -> None:
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, random_state=0)
    model = make_pipeline(StandardScaler(), SeqfitClassifier(random_state=0, max_iter=40))
    assert model.fit(x, y).score(x_test, y_test) > 0.95
    probabilities = model.predict_proba(x_test)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.log(probabilities), model.predict_log_proba(x_test), atol=1e-9)
    assert model[-1].n_iter_ == 40 == len(model[-1].loss_curve_)


def test_regressor_learns_one_number_and_several() -> None:
    x, y = load_diabetes(return_X_y=True)
    one = SeqfitRegressor(random_state=0, max_iter=60).fit(x, y)
    # Least squares reach 0.52 on all of it.
    assert one.score(x, y) > 0.45 and one.predict(x).shape == y.shape
    both = SeqfitRegressor(random_state=0, max_iter=60, loss="huber").fit(x, np.c_[y, -y * 1000])
    predicted = both.predict(x)
    assert predicted.shape == (len(y), 2) and both.score(x, np.c_[y, -y * 1000]) > 0.45


@pytest.mark.parametrize("activation", _layers.ACTIVATIONS)
def test_predictions_are_those_of_the_trained_network(activation: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    y = x[:, :2] * 20 + 300
    np.savez(tmp_path / "table.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    options = [f"--data={tmp_path}/table.npz", f"--activation={activation}", "--hidden=16,8", "--dropout=0.1"]
    _program.run(["train", *options, "--epochs=3", f"--out={tmp_path}/run", "--json", "--quiet"])
    layers = _layers.Layers.read(tmp_path / "run")
    expected = seqfit.load(tmp_path / "run")(torch.from_numpy(x)).detach().numpy()
    for kind in (np.float32, np.float64):
        found = _layers.outputs(x.astype(kind), layers.weights, layers.biases, activation)
        assert found.dtype == kind
        # 7 digits of f32 at outputs of about 300.
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_several_labels(table: Table) -> None:
    x, _ = table
    y = (x[:, :2] > 0).astype(int)
    model = SeqfitClassifier(random_state=0, max_iter=100).fit(x, y)
    assert model.predict(x).shape == y.shape and model.score(x, y) > 0.8
    probabilities = model.predict_proba(x)
    np.testing.assert_array_equal(probabilities >= 0.5, model.predict(x))
    np.testing.assert_allclose(np.log(probabilities), model.predict_log_proba(x), atol=1e-9)


def test_classes_of_any_type_and_their_weights(table: Table) -> None:
    x, y = table
    names = np.array(["no", "yes"])[y]
    model = SeqfitClassifier(random_state=0, max_iter=20, class_weight={"yes": 50.0})
    weighted = model.fit(x, names)
    assert list(weighted.classes_) == ["no", "yes"]
    plain = clone(model).set_params(class_weight=None).fit(x, names)
    counts = [(each.predict(x) == "yes").sum() for each in (weighted, plain)]
    assert counts[0] > counts[1] + 10
    clone(model).set_params(class_weight="balanced").fit(x, names)
    with pytest.raises(ValueError, match=r"class_weight must be weights of the classes .*found \['maybe'\]"):
        clone(model).set_params(class_weight={"maybe": 1}).fit(x, names)


def test_weights_of_samples_count_in_the_loss(table: Table) -> None:
    x, y = table
    weights = np.where(y == 1, 20.0, 1.0)
    model = SeqfitClassifier(random_state=0, max_iter=20)
    plain, weighted = clone(model).fit(x, y), clone(model).fit(x, y, sample_weight=weights)
    assert weighted.predict(x).sum() > plain.predict(x).sum() + 10
    same = clone(model).fit(x, y, sample_weight=np.full(len(y), 7.0))
    np.testing.assert_allclose(same.coefs_[0], plain.coefs_[0], atol=1e-5)
    # Half of the targets are 1 and weigh next to nothing, so that 0 is predicted.
    regressor = SeqfitRegressor(random_state=0, max_iter=200, batch_size=20, learning_rate_init=0.01)
    predicted = regressor.fit(x * 0, y, sample_weight=np.where(y == 1, 1e-6, 1.0)).predict(x * 0)
    assert np.abs(predicted).max() < 0.1
    without, left_out = clone(model).fit(x[:150], y[:150]), clone(model).fit(x, y, np.arange(200) < 150)
    np.testing.assert_allclose(left_out.coefs_[0], without.coefs_[0], atol=1e-5)
    with pytest.raises(ValueError, match="zero"):
        model.fit(x, y, sample_weight=np.zeros(len(y)))


def test_the_same_seed_gives_the_same_weights(table: Table) -> None:
    models = [SeqfitClassifier(random_state=seed, max_iter=3, n_jobs=jobs).fit(*table) for seed, jobs in
              [(1, 1), (1, 2), (2, 1)]]
    first, same, other = [model.coefs_ for model in models]
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_fitted_estimators_can_be_pickled_and_cloned(table: Table) -> None:
    model = SeqfitClassifier(random_state=0, max_iter=3).fit(*table)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(table[0]), model.predict_proba(table[0]))
    assert not hasattr(clone(model), "coefs_")


def test_data_frames_text_columns_and_sparse_matrices(table: Table) -> None:
    x, y = table
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    model = SeqfitClassifier(random_state=0, max_iter=5)
    on_frame, on_sparse = model.fit(frame, y), clone(model).fit(sparse.csr_matrix(x), y)
    assert list(on_frame.feature_names_in_) == ["a", "b", "c"] and on_frame.n_features_in_ == 3
    np.testing.assert_array_equal(on_frame.predict_proba(frame), on_sparse.predict_proba(sparse.csr_matrix(x)))
    frame["kind"] = np.where(y == 1, "round", "square")
    columns = make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["a"]), sparse_threshold=1)
    assert make_pipeline(columns, clone(model).set_params(max_iter=60)).fit(frame, y).score(frame, y) == 1


def test_search_and_cross_validation(table: Table) -> None:
    search = GridSearchCV(SeqfitClassifier(max_iter=10, random_state=0), {"activation": ["relu", "logistic"]}, cv=2)
    assert search.fit(*table).best_score_ > 0.7
    assert cross_val_score(SeqfitRegressor(max_iter=5), *table, cv=2).shape == (2,)


def test_early_stopping_ends_with_the_best_weights(table: Table) -> None:
    x, y = table
    noisy = np.where(np.random.default_rng(1).random(len(y)) < 0.3, 1 - y, y)
    model = SeqfitClassifier(random_state=0, learning_rate_init=0.02, early_stopping=True, validation_fraction=0.3)
    assert model.fit(x, noisy).n_iter_ < 200
    scores = model.history_["val_accuracy"]
    assert len(scores) == model.n_iter_ and max(scores) == max(scores[:-10])
    on_loss = SeqfitRegressor(random_state=0, max_iter=100, early_stopping=True).fit(x, y.astype(float))
    assert "val_loss" in on_loss.history_
    for early_stopping in (False, True):
        settings = {"max_iter": 7, "n_iter_no_change": None, "early_stopping": early_stopping}
        assert SeqfitClassifier(**settings).fit(x, y).n_iter_ == 7


@pytest.mark.parametrize("settings", [
    {"solver": "adamw", "weight_decay": 0.1}, {"solver": "sgd", "learning_rate_init": 0.1},
    {"solver": "rmsprop"}, {"schedule": "one-cycle:warm_up=0.1"}, {"ema": 0.9}, {"clip_norm": 0.01},
    {"dropout": 0.2, "hidden_layer_sizes": (32, 32)}, {"hidden_layer_sizes": ()}, {"hidden_layer_sizes": 20},
    {"label_smoothing": 0.1},
])
def test_settings_reach_the_program(settings: dict[str, object], table: Table) -> None:
    base = {"random_state": 0, "max_iter": 30, "batch_size": 20, "learning_rate_init": 0.02}
    plain = SeqfitClassifier(**base).fit(*table)
    model = SeqfitClassifier(**base | settings).fit(*table)
    assert model.score(*table) > 0.8
    assert not np.array_equal(model.coefs_[-1], plain.coefs_[-1])


def test_errors_are_those_of_the_program(table: Table) -> None:
    x, y = table
    for settings, message in [
        ({"learning_rate_init": -1.0}, "learning-rate"),
        ({"schedule": "zigzag"}, "zigzag"),
        ({"device": "cuda:99"}, "cuda"),
    ]:
        with pytest.raises(seqfit.SeqfitError, match=message):
            SeqfitClassifier(max_iter=1, **settings).fit(x, y)
    with pytest.raises(ValueError, match="learning-rate"):
        SeqfitClassifier(learning_rate_init=-1.0).fit(x, y)
    with pytest.raises(seqfit.SeqfitError, match="loss"):
        SeqfitRegressor(solver="sgd", learning_rate_init=1e6).fit(x * 1e6, y)
    for settings, message in [
        ({"solver": "lbfgs"}, "solver must be one of adam, adamw, sgd, rmsprop, found 'lbfgs'"),
        ({"activation": "step"}, "activation must be one of identity, .* found 'step'"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be whole numbers above 0, found 0"),
        ({"batch_size": 0}, "batch_size must be a whole number above 0, found 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            SeqfitClassifier(**settings).fit(x, y)
    with pytest.raises(ValueError, match="needs 2 to 256 classes, found 1 class$"):
        SeqfitClassifier().fit(x, np.ones(len(x)))


def test_nothing_is_left_in_temporary_folders(
    table: Table, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("seqfit._estimators._SHARED_MEMORY", str(tmp_path))
    SeqfitClassifier(max_iter=1).fit(*table)
    with pytest.raises(ValueError):
        SeqfitClassifier(max_iter=1, schedule="zigzag").fit(*table)
    assert not list(tmp_path.iterdir())

"""Hyperparameters of scikit-learn models on its own data sets: 5 to 30 ms an evaluation, the same each time.

Each function takes a configuration and returns what is to be minimised. Data are read once a process.
"""

import functools
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = tuple[NDArray[np.float64], NDArray[np.int64]]


def svm_digits(config: dict[str, Any]) -> float:
    """The error of a support vector machine on 400 handwritten digits, in three folds."""
    from sklearn.model_selection import cross_val_score
    from sklearn.svm import SVC

    inputs, labels = _digits(400)
    model = SVC(**{_ARGUMENTS.get(name, name): value for name, value in config.items()})
    return 1 - float(cross_val_score(model, inputs, labels, cv=3).mean())


def boosting_diabetes(config: dict[str, Any]) -> float:
    """The root mean squared error of gradient boosting for 147 patients, trained on 295."""
    from sklearn.ensemble import GradientBoostingRegressor

    inputs, progress = _shuffled("load_diabetes")
    model = GradientBoostingRegressor(random_state=0, **config).fit(inputs[:295], progress[:295])
    return float(np.sqrt(np.mean((model.predict(inputs[295:]) - progress[295:]) ** 2)))


def network_digits(config: dict[str, Any]) -> float:
    """The log loss of a network of one layer after ten epochs on 400 digits, for 400 others."""
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier

    inputs, labels = _digits(800)
    width, settings = config["width"], {name: value for name, value in config.items() if name != "width"}
    model = MLPClassifier((width,), max_iter=10, random_state=0, **settings)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # that ten epochs were too few to converge
        try:
            probabilities = model.fit(inputs[:400], labels[:400]).predict_proba(inputs[400:])
        except ValueError:  # the weights overflowed
            return _CHANCE
    if not np.isfinite(probabilities).all():
        return _CHANCE
    return min(_CHANCE, float(log_loss(labels[400:], np.clip(probabilities, 1e-6, 1))))


def pipeline_cancer(config: dict[str, Any]) -> float:
    """One minus the area under the ROC curve of a scaler and a classifier, on 400 tumours in two folds."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline

    inputs, labels = (values[:400] for values in _shuffled("load_breast_cancer"))
    errors = []
    for train, test in StratifiedKFold(2).split(inputs, labels):
        model = make_pipeline(*_preparation(config), _classifier(config))
        model.fit(inputs[train], labels[train])
        score = getattr(model, "decision_function", None) or (lambda x, m=model: m.predict_proba(x)[:, 1])
        errors.append(1 - float(roc_auc_score(labels[test], score(inputs[test]))))
    return float(np.mean(errors))


def _preparation(config: dict[str, Any]) -> list[Any]:
    """Return the steps before the classifier."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import RobustScaler, StandardScaler

    if config["preparation"] == "robust":
        return [RobustScaler(quantile_range=(config["quantile"], 100 - config["quantile"]))]
    if config["preparation"] == "pca":
        return [StandardScaler(), PCA(config["components"], whiten=config["whiten"], svd_solver="full")]
    return [StandardScaler()]


def _classifier(config: dict[str, Any]) -> Any:
    """Return the classifier."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    if config["classifier"] == "svm":
        names = ("C", "kernel", "gamma", "degree", "coef0", "poly_gamma")
        settings = {_ARGUMENTS.get(name, name): config[name] for name in names if name in config}
        return SVC(**settings, max_iter=5_000)
    if config["classifier"] == "neighbours":
        return KNeighborsClassifier(config["neighbours"], weights=config["weights"])
    if config["classifier"] == "tree":
        return DecisionTreeClassifier(
            max_depth=config["depth"], min_samples_leaf=config["leaf"], random_state=0
        )
    return LogisticRegression(C=config["strength"], solver="newton-cholesky", max_iter=50)


_ARGUMENTS = {"poly_gamma": "gamma"}  # a key of a space in which `gamma` stands in another branch
_CHANCE = float(np.log(10))


def _digits(count: int) -> Table:
    inputs, labels = _shuffled("load_digits")
    return inputs[:count] / 16, labels[:count]


@functools.cache
def _shuffled(loader: str) -> Table:
    """Return a data set of scikit-learn's in an order of its own."""
    from sklearn import datasets

    inputs, labels = getattr(datasets, loader)(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return inputs[order], labels[order]

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import lightning.pytorch
import pytest
import pytorch_lightning
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from lightning_tune.core.outcome import TrialInfo
from lightning_tune.errors import ArgumentError, MissingDependencyError
from lightning_tune.track import loggers as loggers_module
from lightning_tune.track import tensorboard_runs
from lightning_tune.track.loggers import TrialLoggers
from lightning_tune.track.mute import quiet


class Recorder(Logger):
    """A logger of a user's own, which may raise in one of its methods."""

    def __init__(self, bad: str = "") -> None:
        super().__init__()
        self.bad = bad
        self.calls: list[Any] = []

    def _call(self, name: str, *values: Any) -> None:
        if name == self.bad:
            raise OSError(f"cannot {name}")
        self.calls.append((name, *values))

    @property
    def name(self) -> str:
        return "recorder"

    @property
    def version(self) -> str:
        return "0"

    @property
    def experiment(self) -> None:
        self._call("experiment")

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._call("log_metrics", metrics, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._call("log_hyperparams", params)

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        self._call("log_graph")

    def save(self) -> None:
        self._call("save")

    def finalize(self, status: str) -> None:
        self._call("finalize", status)


def _loggers(spec: Any, root: Path, package: ModuleType = lightning.pytorch) -> TrialLoggers:
    return TrialLoggers(spec, package=package, sweep="digits", root=root)


@pytest.mark.parametrize("spec", [None, False, [], ()])
def test_no_loggers(spec: Any, tmp_path: Path, tiny: ModuleType) -> None:
    assert _loggers(spec, tmp_path).open(tiny.info(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_true_is_what_a_trainer_does(
    tmp_path: Path, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert type(_loggers(True, tmp_path).open(tiny.info(tmp_path))[0]) is TensorBoardLogger
    monkeypatch.setattr(loggers_module, "available", lambda package: False)
    assert type(_loggers(True, tmp_path).open(tiny.info(tmp_path))[0]) is CSVLogger


def test_a_name_whose_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers_module, "available", lambda package: False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"lightning-tuneloop\[tensorboard\]"):
        _loggers("tensorboard", tmp_path)


@pytest.mark.parametrize("spec", ["mlflow", 3, CSVLogger, ["csv", 0.5], {"csv": 1}])
def test_what_is_no_logger_is_refused_with_the_choices(spec: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"`logger` must be .*'wandb', 'tensorboard', 'csv'.*got"):
        _loggers(spec, tmp_path)


@pytest.mark.parametrize("name", ["CSVLogger", "TensorBoardLogger", "WandbLogger"])
def test_a_logger_of_the_other_package_is_refused(name: str, tmp_path: Path) -> None:
    for mine, other in [(lightning.pytorch, pytorch_lightning), (pytorch_lightning, lightning.pytorch)]:
        arguments = {} if name == "WandbLogger" else {"save_dir": tmp_path}
        foreign = getattr(other.loggers, name)(**arguments)
        with pytest.raises(
            ArgumentError, match=rf"`{mine.__name__}`: import the logger from `{mine.__name__}.loggers`"
        ):
            _loggers(foreign, tmp_path, mine)
        with pytest.raises(ArgumentError, match="import the logger from"):
            _loggers(lambda info, foreign=foreign: foreign, tmp_path, mine).open(
                TrialInfo(sweep="s", number=0, group=0, config={}, seed=0, folder=tmp_path)
            )


def test_using_one_package_does_not_import_the_other(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, {0} as package\n"
        "from lightning_tune.core.outcome import TrialInfo, Outcome\n"
        "from lightning_tune.track.loggers import TrialLoggers\n"
        "loggers = TrialLoggers(['csv', 'tensorboard'], package=package, sweep='s', root='.')\n"
        "info = TrialInfo(sweep='s', number=0, group=0, config={{}}, seed=0, folder=pathlib.Path({1!r}))\n"
        "loggers.close(loggers.open(info), info, Outcome(state='completed', score=1.0, step=1.0, "
        "best_step=1.0, reason=''))\n"
        "assert {2!r} not in sys.modules\n"
    )
    names = ("lightning.pytorch", "pytorch_lightning")
    running = [
        subprocess.Popen([sys.executable, "-c", code.format(name, str(tmp_path / name), other)])
        for name, other in (names, names[::-1])
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]


def test_a_callable_makes_a_trials_own_loggers(tmp_path: Path, tiny: ModuleType) -> None:
    seen: list[TrialInfo] = []
    answers: list[Any] = [None, Recorder(), [Recorder(), CSVLogger(tmp_path, name="two", version="")]]

    def make(info: TrialInfo) -> Any:
        seen.append(info)
        return answers[info.number]

    loggers = _loggers(make, tmp_path)
    infos = [tiny.info(tmp_path, number) for number in range(3)]
    opened = [loggers.open(info) for info in infos]
    assert seen == infos
    assert opened == [[], [answers[1]], answers[2]]
    for info, trial in zip(infos, opened, strict=True):
        loggers.close(trial, info, tiny.done())
    calls = [call for call in answers[1].calls if call[0] == "log_hyperparams"]
    assert calls[0][1] == {**infos[1].config, "seed": 7, "trial": 1}
    assert calls[1][1]["tune/state"] == "completed"
    assert (tmp_path / "two" / "outcome.json").is_file()


def test_a_callable_that_returns_something_else(tmp_path: Path, tiny: ModuleType) -> None:
    with pytest.raises(ArgumentError, match=r"callable given as `logger` must return a Logger.*got 'csv'"):
        _loggers(lambda info: "csv", tmp_path).open(tiny.info(tmp_path))


@pytest.mark.parametrize(
    "bad", ["log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "experiment"]
)
def test_a_logger_that_raises_costs_one_warning(bad: str, tmp_path: Path, tiny: ModuleType) -> None:
    loggers = _loggers(lambda info: [Recorder(bad), Recorder()], tmp_path)

    def run(number: int) -> None:
        info = tiny.info(tmp_path, number)
        opened = loggers.open(info)
        with quiet(lightning.pytorch):
            trainer = tiny.fit(lightning.pytorch, opened)
        loggers.close(opened, info, tiny.done())
        assert trainer.current_epoch == 2
        assert ("finalize", "success") in opened[1].calls
        assert bad == "experiment" or type(opened[0]) is Recorder

    with pytest.warns(UserWarning, match=rf"the logger Recorder failed.*cannot {bad}") as caught:
        run(0)
    assert len(caught) == 1
    run(1)  # the same failure again would be an error here: warnings are errors


def test_a_callable_that_raises_costs_one_warning(tmp_path: Path, tiny: ModuleType) -> None:
    def make(info: TrialInfo) -> Any:
        raise OSError("no space left")

    with pytest.warns(UserWarning, match=r"make failed \(opening it: OSError: no space left\)"):
        opened = _loggers([make, "csv"], tmp_path).open(tiny.info(tmp_path))
    assert [type(logger).__name__ for logger in opened] == ["DummyLogger", "CSVLogger"]


def test_an_interrupt_while_opening_closes_what_is_open(tmp_path: Path, tiny: ModuleType) -> None:
    def interrupt(info: TrialInfo) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _loggers(["csv", interrupt], tmp_path).open(tiny.info(tmp_path))
    assert '"state": "running"' in (tiny.info(tmp_path).folder / "csv" / "outcome.json").read_text()


@pytest.mark.parametrize("package", [lightning.pytorch, pytorch_lightning])
def test_it_travels_to_another_process(package: ModuleType, tmp_path: Path, tiny: ModuleType) -> None:
    with pytest.warns(UserWarning, match="for the whole sweep"):
        loggers = _loggers(
            [
                "csv",
                "tensorboard",
                package.loggers.WandbLogger(offline=True),
                package.loggers.CSVLogger(tmp_path, name="all"),
            ],
            tmp_path,
            package,
        )
    other = cloudpickle.loads(cloudpickle.dumps(loggers))
    shared = other._shared[0]
    assert other._is_shared(other._sources[-1].make(tiny.info(tmp_path)))
    assert type(shared) is package.loggers.CSVLogger
    csv = cloudpickle.loads(cloudpickle.dumps(_loggers("csv", tmp_path, package)))
    assert type(csv.open(tiny.info(tmp_path))[0]) is package.loggers.CSVLogger


def test_an_outcome_that_cannot_be_written_costs_one_warning(tmp_path: Path, tiny: ModuleType) -> None:
    loggers = _loggers("csv", tmp_path)
    for number in (0, 1):
        (tiny.info(tmp_path, number).folder / "csv" / "outcome.json").mkdir(parents=True)
    opened = loggers.open(tiny.info(tmp_path))
    with pytest.warns(UserWarning, match=r"CSVLogger failed \(closing it: IsADirectoryError"):
        loggers.close(opened, tiny.info(tmp_path), tiny.done())
    loggers.close(loggers.open(tiny.info(tmp_path, 1)), tiny.info(tmp_path, 1), tiny.done())


def test_a_configuration_that_cannot_be_logged_costs_the_logger(
    tmp_path: Path, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(params: Any) -> Any:
        raise TypeError("no such type")

    monkeypatch.setattr(tensorboard_runs, "_start_record", refuse)
    loggers = _loggers("tensorboard", tmp_path)
    with pytest.warns(
        UserWarning, match=r"TensorBoardLogger failed \(log_hyperparams: TypeError: no such type\)"
    ):
        opened = loggers.open(tiny.info(tmp_path))
    assert opened[0].log_metrics({"a": 1.0}, step=0) is None
    loggers.close(opened, tiny.info(tmp_path), tiny.done())


def test_a_callables_refusal_of_an_argument_is_raised(tmp_path: Path, tiny: ModuleType) -> None:
    def make(info: TrialInfo) -> Any:
        raise ArgumentError("no")

    with pytest.raises(ArgumentError, match="no"):
        _loggers(make, tmp_path).open(tiny.info(tmp_path))

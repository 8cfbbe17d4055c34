"""What a sweep found: the best trial (or the front of the best), all trials, a table, the trained module."""

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_tune._imports import require
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.checks import whole
from lightning_tune.core.events import CheckpointSaved, Config
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Group, Report, State, Trial
from lightning_tune.errors import CheckpointError
from lightning_tune.execute.base import CheckpointRef
from lightning_tune.inspect.rows import front_of, score_columns, step_columns, values_of
from lightning_tune.loop.arguments import split_config
from lightning_tune.loop.audit import Audit, html_table
from lightning_tune.loop.checkpoints import read_checkpoint, weights_of
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.keeping import ref_of
from lightning_tune.loop.recipe import model_recipe
from lightning_tune.loop.retrain import Source, run_audit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """A trial of a sweep, as it stands.

    Attributes:
        number: its number, from 0.
        group: the number shared by the repeats of one configuration.
        config: the configuration, a flat dictionary.
        seed: the seed that everything was seeded with.
        state: "running" (cut short, to be resumed), "paused", "completed", "stopped" or "failed".
        score: the best report in the user's own direction; None without a finite one, and with several
            objectives.
        values: the monitored values of the report that is the score, as logged, one a monitor; with several
            objectives it is the last finite one. Empty without.
        reports: (leg, step, values, time, metrics) of every validation.
        reason: why it ended, in words.
        checkpoint: the file with the weights of the epoch of the score, while it is kept.
        error: the traceback of a failed trial.
        epochs: how many epochs it trained; in the budget's unit, where that is another.
        best_epoch: the epoch of the score, in the same unit.
        seconds: how long it took, from its start to its end; None while it has not ended.
    """

    number: int
    group: int
    config: Config
    seed: int
    state: State
    score: float | None
    values: tuple[float, ...]
    reports: Sequence[Report]
    reason: str
    checkpoint: Path | None
    error: str
    epochs: float
    best_epoch: float | None
    seconds: float | None
    metrics: dict[str, float]
    _monitors: Sequence[str]
    _ref: CheckpointRef | None
    _files: SweepFiles
    _space: Space
    _size: dict[str, int]

    def load(self, model: Any) -> Any:
        """Return the trained module.

        Built from the configuration, with the weights of its best epoch, in eval mode.

        Args:
            model: what was passed to `fit`: a LightningModule class, an instance that saved its
                hyperparameters, or a callable `config -> LightningModule`.

        Raises:
            CheckpointError: the trial's checkpoint was not kept, is missing or damaged, or does not fit the
                module.
        """
        if self._ref is None:
            why = "`keep_checkpoints=` of the best trials keep theirs"
            if self._files.root is None:
                why = "it called a function, which trains nothing that could be loaded"
            raise CheckpointError(f"trial {self.number} has no checkpoint: {why}.")
        state = read_checkpoint(self._files.check(self._ref))
        config = {**self.config, **self._size}
        recipe, _ = model_recipe(model, self._space, *self._size)
        module = recipe.build(config, split_config(config)[0])
        module.configure_model()
        try:
            module.load_state_dict(weights_of(state))
        except RuntimeError as error:
            raise CheckpointError(
                f"the weights of trial {self.number} do not fit the module that `model` builds: {error} "
                "Layers must be made in `__init__` or in `configure_model`."
            ) from error
        return module.eval()

    def _repr_html_(self) -> str:
        return html_table(["trial", "state", *self._monitors, "config"], [_cells(self, self._space)])


class Result:
    """What a sweep found.

    Attributes:
        name: the sweep's name.
        folder: where its checkpoints and logs are; None of a sweep over a function, which has neither.
        reason: why the sweep ended, in words.
        space: the search space.
        history: all trials, as searchers and schedulers see them.
        budget: what trials spent.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: Path | None,
        reason: str,
        space: Space,
        history: History,
        budget: Budget = EPOCHS,
        source: Source | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.reason = reason
        self.space = space
        self.history = history
        self.budget = budget
        self._source = source

    def __getstate__(self) -> dict[str, Any]:
        """Leave out how trials were trained, which cannot be pickled."""
        return {**vars(self), "_source": None}

    @property
    def best(self) -> TrialResult | None:
        """The best trial.

        With repeats, the best member of the configuration with the best mean. With several objectives, the
        best compromise of the front: the trial nearest to the ideal point (the best value of each objective)
        after each objective is scaled to the front's range. None without any.
        """
        best = self.history.best
        return None if best is None else self._result(best)

    @property
    def front(self) -> list[TrialResult]:
        """The trials that no other dominates, none being as good in all objectives and better in one.

        The Pareto front, from the best in the first objective on; with repeats the best member of each
        configuration, whose mean counts. With one objective, the trials that share the best score.
        """
        return [self._result(group.best_member) for group in self.history.front]

    @property
    def trials(self) -> list[TrialResult]:
        """All trials, in the order of their numbers."""
        return [self._result(trial) for trial in self.history]

    def top(self, count: int) -> list[TrialResult]:
        """Return the `count` best trials, best first; with repeats, one a configuration.

        With several objectives front by front, and in each the less crowded first.
        """
        return [self._result(trial) for trial in self.history.leaders(whole("count", count, 0))]

    def dataframe(self) -> "pd.DataFrame":
        """Return a table with a row a trial.

        Number, state, score, every key of the space, epochs (or what else trials spent), reason, seed. With
        several objectives `values.<monitor>` for each, and `front`, whether no other trial dominates it; with
        repeats also `mean.<monitor>` and `stderr.<monitor>`.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        pandas = require("pandas", "pandas", "`Result.dataframe`")
        keys, (spent, best) = self._keys(), step_columns(self.budget)
        front = front_of(self.history)
        rows = [
            {
                "trial": trial.number,
                "group": trial.group,
                "state": trial.state,
                **self._scores(trial, group, front),
                **{f"config.{key}": trial.config.get(key) for key in keys},
                **{f"metrics.{name}": value for name, value in trial.metrics.items()},
                spent: trial.step,
                best: trial.best_step,
                "seconds": None if trial.ended is None else trial.ended - trial.started,
                "reason": trial.reason,
                "seed": trial.seed,
            }
            for trial, group in ((trial, self.history.group(trial.group)) for trial in self.history)
        ]
        return pandas.DataFrame(rows)

    def audit(self, n: int, model: Any, datamodule: Any = None, *, seed: int = 0) -> Audit:
        """Train `n` of the trials that the schedule stopped again, to the end: how many would have won?

        Each is trained from its record, from nothing to the full budget, by the sweep's own Trainer without
        its EarlyStopping, or a callback of ours that stops runs; a trial that something else ends early is
        not judged. A schedule with a `threshold` (CurveStopping, FreezeThaw) was wrong if the last value
        beats the best score that the sweep had when it stopped the trial; any other (rungs, the median) if
        the trial would have been the best of the whole sweep. One that diverges was stopped rightly.

        Nothing is added to the sweep. The first Ctrl-C ends the audit after the running epoch, and what was
        judged until then is returned; a second one raises at once.

        Args:
            n: how many stopped trials, drawn at random; all of them where there are fewer.
            model: what was passed to `fit`.
            datamodule: what was passed to `fit`; None is the datamodule, or the loaders, of the sweep.
            seed: what the draw derives from.

        Raises:
            ArgumentError, UnknownArgumentError: an argument that cannot be used; or a sweep that cannot be
                audited: of a function, with several objectives, or of trials that began with the weights of
                others.
            StoreError: the sweep's record cannot be read.
        """
        return run_audit(
            n,
            model,
            datamodule,
            seed,
            name=self.name,
            folder=self.folder,
            space=self.space,
            history=self.history,
            source=self._source,
        )

    def _scores(self, trial: Trial, group: Group, front: Collection[int]) -> dict[str, float | bool | None]:
        """Return a table's columns of what a trial scored."""
        objective = self.history.objective
        if objective.scalar:
            mean = objective.value(group.cost) if group.complete else None
            return {"score": trial.score, "score_mean": mean, "score_stderr": group.stderr}
        columns = score_columns(trial, self.history, front)
        if self.history.repeats > 1:
            means = None if group.costs is None else objective.values(group.costs)
            columns |= _by_name("mean", objective.monitor, means)
            columns |= _by_name("stderr", objective.monitor, group.stderrs)
        return columns

    def __repr__(self) -> str:
        best = self.best
        if best is None:
            found = "no score"
        elif best.score is not None:
            found = f"best {best.score:.6g} in trial {best.number}"
        else:
            found = f"front of {len(self.history.front)}, best compromise in trial {best.number}"
        return f"<Result {self.name!r}: {len(self.history)} trials, {found}, ended: {self.reason}>"

    def _repr_html_(self) -> str:
        header = ["trial", "state", *_score_names(self.history), "config"]
        rows = [_cells(trial, self.space) for trial in self.top(10)]
        return f"<p>{html.escape(repr(self))}</p>" + html_table(header, rows)

    def _keys(self) -> list[str]:
        """Every key that some trial has: the space's own in its order, then those of amended spaces."""
        seen = dict.fromkeys(self.space.keys())
        for trial in self.history:
            seen.update(dict.fromkeys(trial.config))
        return list(seen)

    def _result(self, trial: Trial) -> TrialResult:
        saved = next(
            (trial.checkpoints[kind] for kind in ("best", "pause", "last") if kind in trial.checkpoints), None
        )
        files = SweepFiles(self.folder)
        return TrialResult(
            number=trial.number,
            group=trial.group,
            config=dict(trial.config),
            seed=trial.seed,
            state=trial.state,
            score=trial.score,
            values=values_of(trial, self.history),
            reports=trial.reports,
            reason=trial.reason,
            checkpoint=None if saved is None else files.folder / saved.path,
            error=trial.error,
            epochs=trial.step,
            best_epoch=trial.best_step,
            seconds=None if trial.ended is None else trial.ended - trial.started,
            metrics=dict(trial.metrics),
            _monitors=_score_names(self.history),
            _ref=None if saved is None else ref_of(saved),
            _files=files,
            _space=self.space,
            _size=self._size(trial, saved),
        )

    def _size(self, trial: Trial, saved: CheckpointSaved | None) -> dict[str, int]:
        """Return the argument that grew from rung to rung, as it was when a checkpoint was saved."""
        if self.budget.argument is None or saved is None:
            return {}
        return {self.budget.argument: int(trial.legs[saved.leg].budget)}


def _cells(trial: TrialResult, space: Space) -> list[str]:
    values = trial.values if trial.score is None else [trial.score]
    scores = [f"{value:.6g}" for value in values] or [""] * len(trial._monitors)
    return [str(trial.number), trial.state, *scores, space.describe(trial.config)]


def _score_names(history: History) -> Sequence[str]:
    """Return the headings of what trials scored."""
    return ["score"] if history.objective.scalar else history.objective.monitor


def _by_name(prefix: str, monitors: Sequence[str], values: Sequence[float] | None) -> dict[str, float | None]:
    found: Sequence[float | None] = values or [None] * len(monitors)
    return {f"{prefix}.{name}": value for name, value in zip(monitors, found, strict=True)}

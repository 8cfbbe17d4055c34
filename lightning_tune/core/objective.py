"""The one place that knows which way is better: `Objective` turns every value into "lower is better"."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_tune.errors import ArgumentError

Mode = Literal["min", "max"]
_RISING = (
    "acc",
    "accuracy",
    "auc",
    "auroc",
    "f1",
    "precision",
    "recall",
    "iou",
    "dice",
    "map",
    "r2",
    "psnr",
    "ssim",
    "bleu",
    "score",
)
_FALLING = (
    "loss",
    "error",
    "err",
    "mse",
    "mae",
    "rmse",
    "perplexity",
    "ppl",
    "nll",
    "wer",
    "cer",
    "fid",
    "latency",
)


@dataclass(frozen=True, slots=True)
class Objective:
    """What a sweep optimises: one or several monitored metrics, each with its mode.

    Attributes:
        monitor: names of the metrics, as logged.
        mode: "min" or "max" for each.
        score: which report of a trial is its score: "best", "last", or a callable `(values) -> float` (lower
            is better) that makes one number of several. Without a callable, several monitors are compared by
            non-domination, and a trial stands by its last finite report whatever the word: the values of one
            epoch belong together.

    Raises:
        ArgumentError: no monitor, an empty or double name, a mode other than "min" and "max", or another
            number of modes than of monitors.

    Example:
        >>> objective = Objective.of("val_acc", "max")
        >>> objective.cost((0.9,)), objective.cost((float("nan"),))
        (-0.9, inf)
    """

    monitor: tuple[str, ...]
    mode: tuple[Mode, ...]
    score: Literal["best", "last"] | Callable[[tuple[float, ...]], float] = "best"

    @classmethod
    def of(
        cls,
        monitor: str | Sequence[str],
        mode: str | Sequence[str] = "min",
        score: Literal["best", "last"] | Callable[[tuple[float, ...]], float] = "best",
    ) -> "Objective":
        """Check a user's `monitor`, `mode` and `score` and build the objective."""
        monitors = (monitor,) if isinstance(monitor, str) else tuple(monitor)
        if not monitors or not all(isinstance(name, str) and name for name in monitors):
            raise ArgumentError(
                f"`monitor` must name a metric that the module logs (or a list of them), got {monitor!r}."
            )
        if len(set(monitors)) < len(monitors):
            raise ArgumentError(f"`monitor` names a metric twice: {list(monitors)!r}.")
        modes = (mode,) * len(monitors) if isinstance(mode, str) else tuple(mode)
        if len(modes) != len(monitors):
            raise ArgumentError(
                f"`mode` must be one word or one a monitor: got {len(modes)} modes for {len(monitors)} "
                "monitors."
            )
        for word in modes:
            if word not in ("min", "max"):
                raise ArgumentError(f"`mode` must be 'min' or 'max', got {word!r}.")
        if score not in ("best", "last") and not callable(score):
            raise ArgumentError(f"`score` must be 'best', 'last' or a callable, got {score!r}.")
        return cls(monitors, modes, score)  # type: ignore[arg-type]  # checked just above

    @property
    def scalar(self) -> bool:
        """Whether trials can be ordered by one number."""
        return len(self.monitor) == 1 or callable(self.score)

    def costs(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return what trials are compared by, lower is better in every place.

        One number an objective; with a callable `score`, the one that it makes of them. NaN and infinities of
        either sign become +inf.
        """
        if callable(self.score):
            return (self.cost(tuple(values)),)
        return tuple(
            (value if mode == "min" else -value) if math.isfinite(value) else math.inf
            for value, mode in zip(values, self.mode, strict=True)
        )

    def cost(self, values: tuple[float, ...]) -> float:
        """Return the one number that orders trials, lower is better; never NaN, +inf for what can never win.

        Raises:
            ArgumentError: there are several monitors and no callable `score`.
            TypeError: the callable raised, or made no number.
        """
        if callable(self.score):
            if not all(map(math.isfinite, values)):
                return math.inf
            cost = self._made(self.score, values)
            return cost if math.isfinite(cost) else math.inf
        if len(values) != 1:
            raise ArgumentError("several monitors have no single cost: pass `score=` a callable.")
        value = values[0]
        if not math.isfinite(value):
            return math.inf
        return value if self.mode[0] == "min" else -value

    @staticmethod
    def _made(score: Callable[[tuple[float, ...]], float], values: tuple[float, ...]) -> float:
        try:
            return float(score(values))
        except Exception as error:
            raise TypeError(
                f"`score` must be a callable `(values) -> number`; for {values!r} it raised "
                f"{type(error).__name__}: {error}"
            ) from error

    def threshold(self, target: float) -> float:
        """Return the cost that a user's target stands for; with a callable `score` it is one already."""
        return target if callable(self.score) else self.cost((target,))

    def value(self, cost: float) -> float:
        """Turn a cost back into the user's own number (the inverse of `cost` for one monitor)."""
        if callable(self.score) or self.mode[0] == "min":
            return cost
        return -cost

    def values(self, costs: Sequence[float]) -> tuple[float, ...]:
        """Turn costs back into the user's own numbers (the inverse of `costs`)."""
        if callable(self.score):
            return tuple(costs)
        return tuple(-cost if mode == "max" else cost for cost, mode in zip(costs, self.mode, strict=True))

    def better(self, first: float, second: float, min_delta: float = 0.0) -> bool:
        """Return whether the user's value `first` beats `second` by more than `min_delta`."""
        return self.cost((first,)) < self.cost((second,)) - min_delta

    def suspicions(self) -> list[str]:
        """Return a sentence for each monitor whose name speaks against its mode."""
        sentences = []
        for name, mode in zip(self.monitor, self.mode, strict=True):
            words = name.lower().replace("/", "_").replace("-", "_").split("_")
            hints = {
                "max": any(word in _RISING for word in words),
                "min": any(word in _FALLING for word in words),
            }
            other: Mode = "max" if mode == "min" else "min"
            if hints[other] and not hints[mode]:
                sentences.append(
                    f"`monitor={name!r}` sounds like a metric to "
                    f"{'maximise' if other == 'max' else 'minimise'}, "
                    f"but `mode={mode!r}`: did you mean mode={other!r}?"
                )
        return sentences

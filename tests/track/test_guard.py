import copy
from typing import Any

from lightning_tune.track.guard import METHODS, Guard, guard_of


class Recorder:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> str:
        self.calls.append(f"metrics {metrics} {step}")
        self.save()
        return "logged"

    def save(self) -> None:
        self.calls.append("save")

    def finalize(self, status: str) -> None:
        raise OSError(f"no route ({status})")


def test_calls_go_through_until_one_raises() -> None:
    told: list[Any] = []
    logger = Recorder()
    guard = Guard(logger, lambda method, error: told.append((method, str(error))))
    assert isinstance(logger, Recorder)
    assert logger.log_metrics({"a": 1.0}, step=3) == "logged"
    assert logger.finalize("failed") is None
    assert logger.log_metrics({"a": 2.0}) is None
    assert logger.finalize("success") is None
    assert logger.calls == ["metrics {'a': 1.0} 3", "save"]
    assert told == [("finalize", "no route (failed)")]
    assert guard.broken


def test_an_error_inside_another_method_is_told_once() -> None:
    class Bad(Recorder):
        def save(self) -> None:
            raise OSError("disk full")

    told: list[str] = []
    logger = Bad()
    Guard(logger, lambda method, error: told.append(method))
    assert logger.log_metrics({}) == "logged"
    assert told == ["save"]


def test_release_gives_back_what_was_there() -> None:
    logger = Recorder()
    own = lambda: "own"  # noqa: E731
    logger.save = own  # type: ignore[assignment, method-assign]
    before = dict(vars(logger))
    guard = Guard(logger, lambda method, error: None)
    assert guard_of(logger) is guard
    guard.release()
    assert guard_of(logger) is None
    assert vars(logger) == before
    assert not set(METHODS) & set(vars(logger)) - {"save"}


def test_a_copy_of_a_guarded_logger_calls_itself() -> None:
    logger = Recorder()
    Guard(logger, print)
    other = copy.deepcopy(logger)
    other.log_metrics({})
    assert (len(other.calls), logger.calls) == (2, [])


def test_what_is_no_logger_has_no_guard() -> None:
    assert guard_of(object()) is None

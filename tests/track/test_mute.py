import logging
import warnings
from types import ModuleType

import lightning.pytorch
import pytest
import pytorch_lightning
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning_fabric.utilities.warnings import PossibleUserWarning as OtherUserWarning

from lightning_tune.track.mute import LOGGERS, quiet


def _levels() -> dict[str, int]:
    return {name: logging.getLogger(name).level for name in LOGGERS}


@pytest.mark.parametrize("package", [lightning.pytorch, pytorch_lightning])
def test_a_trainer_is_silent_and_everything_is_put_back(
    package: ModuleType, tiny: ModuleType, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    filters, levels = list(warnings.filters), _levels()
    for name in LOGGERS:
        logging.getLogger(name).propagate = True
    with quiet(package):
        package.seed_everything(1, workers=True)
        tiny.fit(package, loggers=False, epochs=1)
        assert set(_levels().values()) == {logging.ERROR}
    assert (warnings.filters, _levels()) == (filters, levels)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("default")
def test_verbose_changes_nothing(caplog: pytest.LogCaptureFixture, tiny: ModuleType) -> None:
    logging.getLogger("lightning.pytorch").propagate = True
    with quiet(lightning.pytorch, verbose=True), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tiny.fit(lightning.pytorch, loggers=False, epochs=1)
    assert "GPU available" in caplog.text
    assert any(
        "does not have many workers" in str(warning.message) or "LeafSpec" in str(warning.message)
        for warning in caught
    )


def test_levels_and_filters_come_back_after_an_error() -> None:
    logger = logging.getLogger("lightning.pytorch")
    filters, level = list(warnings.filters), logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(KeyboardInterrupt), quiet(lightning.pytorch):
            raise KeyboardInterrupt
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(level)
    assert warnings.filters == filters


@pytest.mark.parametrize(
    ("package", "advice"), [(lightning.pytorch, PossibleUserWarning), (pytorch_lightning, OtherUserWarning)]
)
def test_advice_is_ignored_and_the_users_own_warnings_stay(
    package: ModuleType, advice: type[Warning]
) -> None:
    with quiet(package):
        warnings.warn("whatever it is", advice, stacklevel=1)
        warnings.warn("The 'train_dataloader' does not have many workers", UserWarning, stacklevel=1)
        with pytest.warns(UserWarning, match="my own"):
            warnings.warn("my own", UserWarning, stacklevel=1)
        with pytest.warns(FutureWarning, match="my own"):
            warnings.warn("my own", FutureWarning, stacklevel=1)


@pytest.mark.filterwarnings("default")
def test_a_warning_of_the_users_is_not_shown_again_each_trial(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest, **more: shown.append(str(message))
        warnings.simplefilter("default")
        for _ in range(3):
            with quiet(lightning.pytorch):
                warnings.warn("once", UserWarning, stacklevel=1)
    assert shown == ["once"]


def test_a_filter_set_within_a_trial_stays() -> None:
    with warnings.catch_warnings():
        with quiet(lightning.pytorch):
            warnings.filterwarnings("ignore", "mine")
            mine = warnings.filters[0]
        assert warnings.filters[0] is mine

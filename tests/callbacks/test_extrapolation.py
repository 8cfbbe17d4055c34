"""The callback inside real Trainers; decisions are checked against calling `extrapolate` by hand."""

import copy
import importlib
import logging
import math
import pickle

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, StochasticWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune import CurveExtrapolationStopping, SuccessiveHalvingPruner, TuneLoop
from lightning_tune.callbacks.foresight import Foresight
from lightning_tune.core.events import Decided, Reported
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.curves.posterior import extrapolate
from lightning_tune.errors import ArgumentError, MonitorError, SweepExistsError
from lightning_tune.inspect.pages import sweep_page, trial_page
from lightning_tune.inspect.reading import find_sweep
from lightning_tune.store import open_store

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
NAMES = ("tune/predicted_final", "tune/predicted_final_low", "tune/predicted_final_high", "tune/p_beats_best")
RISING = tuple(round(0.9 - 0.5 * epoch**-1.0, 4) for epoch in range(1, 31))
FLAT = tuple(round(0.7 - 0.3 * epoch**-2.0, 4) for epoch in range(1, 31))


def net(package=pl):
    """A module whose metric is what it is told: `values[epoch]`."""

    class Net(package.LightningModule):
        def __init__(self, curve=FLAT, late=False):
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(1, 1)
            self.seen, self.logged = [], {}

        @property
        def value(self):
            return self.hparams.curve[self.current_epoch]

        def training_step(self, batch, index):
            self.seen.append(self.current_epoch)
            loss = self.layer(batch[0]).square().mean()
            self.log("train_step", loss)
            self.log("train_acc", self.value, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch, index):
            self.log("val_acc", self.value)
            self.log("val_batch", self.value + self.trainer.fit_loop.epoch_loop.batch_idx)

        def on_train_epoch_end(self):
            if self.hparams.late:
                self.log("late_acc", self.value)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    return Net


Net = net()


def loaders():
    data = TensorDataset(torch.ones(8, 1))
    return DataLoader(data, batch_size=2), DataLoader(data, batch_size=4)


class Diary(pl.Callback):
    """Keeps what was logged in each epoch."""

    def __init__(self):
        self.rows = {}

    def on_train_epoch_start(self, trainer, module):
        self._keep(trainer)

    def on_train_end(self, trainer, module):
        self._keep(trainer)

    def _keep(self, trainer):
        row = {name: value.item() for name, value in trainer.callback_metrics.items() if "tune/" in name}
        if row:
            self.rows[trainer.current_epoch] = row


@pytest.fixture
def place(tmp_path):
    return tmp_path / "sweep.db"


@pytest.fixture(autouse=True)
def _still():
    """Let no line of Lightning's own through."""
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)


def fit(module=None, *, monitor="val_acc", callbacks=(), ckpt_path=None, package=pl, given=(), **trainer):
    """Fit once; return the Trainer, which holds the module and the callback."""
    callback = CurveExtrapolationStopping(monitor, **{"mode": "max", **dict(given)})
    built = package.Trainer(**{**QUIET, "max_epochs": 20, **trainer}, callbacks=[*callbacks, callback])
    built.stopping = callback
    built.fit(
        Net() if module is None else module,
        *loaders(),
        ckpt_path=ckpt_path,
        weights_only=True if ckpt_path else None,
    )
    return built


def predicted(values, end=20, mode="max", bounds=None):
    """Predict by hand: what Lightning logs is a float32."""
    seen = np.array([values], dtype=np.float32).astype(float)
    return extrapolate(seen, at=end, mode=mode, bounds=bounds)


def stop_by_hand(values, target=None, threshold=0.05, min_delta=0.0, min_epochs=4, end=20):
    """Return the epoch at whose end a run of these values is stopped, or the last."""
    for epoch in range(min_epochs, end):
        goal = max(values[:epoch]) if target is None else target
        if predicted(values[:epoch], end).prob_better(goal + min_delta)[0] < threshold:
            return epoch
    return end


def events(place, kind=object, sweep="s"):
    with open_store(place) as store:
        return [event for event in store.read(sweep) if isinstance(event, kind)]


def history(place):
    found = History(Objective.of("val_acc", "max"))
    found.extend(events(place))
    return found


def steps(place, trial):
    return [event.step for event in events(place, Reported) if event.trial == trial]


# -- what it does


@pytest.mark.parametrize("name", ["lightning.pytorch", "pytorch_lightning"])
@pytest.mark.parametrize("values", [FLAT, RISING])
def test_it_stops_when_the_prediction_says_so_under_either_package(name, values):
    package = importlib.import_module(name)
    trainer = fit(net(package)(values), package=package, given={"target": 0.8})
    wanted = stop_by_hand(values, 0.8)
    assert trainer.current_epoch == wanted
    assert (wanted < 20) is (values is FLAT)
    stopped = wanted if wanted < 20 else 1
    assert trainer.stopping.stopped_epoch == stopped - 1
    assert (trainer.stopping.reason != "") is (wanted < 20)


def test_what_it_logs_is_the_prediction_of_each_epoch(tmp_path):
    diary = Diary()
    logger = CSVLogger(tmp_path, name="", version="")
    fit(
        Net(RISING),
        callbacks=[diary],
        max_epochs=8,
        logger=logger,
        log_every_n_steps=1,
        given={"target": 0.8},
    )
    for epoch in range(1, 8):
        found = predicted(RISING[:epoch], 8)
        wanted = [found.quantile(level)[0] for level in (0.5, 0.05, 0.95)]
        wanted = dict(zip(NAMES, [*wanted, found.prob_better(0.8)[0]], strict=True))
        assert diary.rows[epoch] == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    last = float(np.float32(RISING[7]))
    assert diary.rows[8] == dict(zip(NAMES, [last, last, last, 1.0], strict=True))
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert set(NAMES) <= set(header)


def test_without_a_target_it_stops_when_its_best_will_not_be_beaten():
    falling = (0.5, 0.7, 0.8, 0.78, 0.74, 0.69, 0.65, 0.6, 0.55, 0.5, *[0.5] * 10)
    wanted = stop_by_hand(falling, None)
    trainer = fit(Net(falling))
    assert trainer.current_epoch == wanted < 20
    assert "chance to beat its own best of 0.8 by epoch 20" in trainer.stopping.reason


def test_min_delta_raises_the_bar():
    wanted = stop_by_hand(RISING, 0.8, min_delta=0.5)
    assert fit(Net(RISING), given={"target": 0.8, "min_delta": 0.5}).current_epoch == wanted < 20


def test_the_mode_turns_it_round():
    losses = tuple(1.0 - value for value in FLAT)
    trainer = fit(Net(losses), given={"mode": "min", "target": 0.2})
    assert trainer.current_epoch == next(
        epoch for epoch in range(4, 20) if predicted(losses[:epoch], mode="min").prob_better(0.2)[0] < 0.05
    )


@pytest.mark.parametrize(("target", "min_delta"), [(0.82, 0.0), (0.8, 0.03), (0.8, 0.04), (0.84, 0.0)])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_in_the_last_epoch_it_is_told_whether_the_target_is_beaten(mode, target, min_delta):
    """The last value is 0.8375, which beats 0.82, and 0.8 by 0.03."""
    diary = Diary()
    turned = (lambda value: value) if mode == "max" else (lambda value: 1.0 - value)
    values = tuple(turned(value) for value in RISING)
    given = {"mode": mode, "target": turned(target), "min_delta": min_delta, "threshold": 1e-9}
    fit(Net(values), callbacks=[diary], max_epochs=8, given=given)
    wanted = 1.0 if RISING[7] > target + min_delta else 0.0
    assert diary.rows[8]["tune/p_beats_best"] == wanted
    assert 0.0 < diary.rows[7]["tune/p_beats_best"] < 1.0
    assert [diary.rows[8][name] for name in NAMES[:3]] == [float(np.float32(values[7]))] * 3


def test_bounds_and_a_later_end_reach_the_prediction():
    diary = Diary()
    fit(
        Net(RISING),
        callbacks=[diary],
        max_epochs=6,
        given={"target": 0.9, "bounds": (0, 1), "max_epochs": 50},
    )
    wanted = predicted(RISING[:6], 50, bounds=(0, 1)).quantile(0.95)[0]
    assert diary.rows[6]["tune/predicted_final_high"] == pytest.approx(wanted, rel=1e-4)


def test_with_costs_counted_it_stops_when_no_epoch_is_worth_it():
    """A gain that is worth little lets it train on; a gain that must be large does not."""
    patient = fit(Net(RISING), given={"target": 0.8, "cost_aware": True, "min_delta": 1e-4})
    hasty = fit(Net(RISING), given={"target": 0.8, "cost_aware": True, "min_delta": 5.0})
    assert (patient.current_epoch, hasty.current_epoch) == (20, 4)
    assert "to be gained over 0.8 by epoch" in hasty.stopping.reason


@pytest.mark.parametrize(
    ("given", "epochs"), [({"patience": 3}, 6), ({"check_every": 5}, 5), ({"min_epochs": 7}, 7)]
)
def test_it_takes_its_time(given, epochs):
    assert fit(given={"target": 5.0, "bounds": (0, 5), "threshold": 0.999, **given}).current_epoch == epochs


def test_it_says_why_it_stops(caplog):
    caplog.set_level(logging.INFO)
    logger = logging.getLogger("lightning.pytorch")
    logger.addHandler(caplog.handler)
    try:
        trainer = fit(given={"target": 0.9345, "threshold": 0.9})
    finally:
        logger.removeHandler(caplog.handler)
    said = {record.getMessage() for record in caplog.records if "Extrapolation" in record.getMessage()}
    assert said == {f"CurveExtrapolationStopping: {trainer.stopping.reason}; it ends with this epoch."}
    assert trainer.stopping.reason.startswith("epoch 4: ")
    assert "chance to beat 0.9345 by epoch 20 (predicted 0." in trainer.stopping.reason


# -- which metrics, and beside whom


@pytest.mark.parametrize("monitor", ["val_acc", "train_acc"])
def test_a_metric_of_validation_or_of_training(monitor):
    assert fit(monitor=monitor, given={"target": 0.8}).current_epoch == stop_by_hand(FLAT, 0.8)


def test_a_metric_that_is_logged_last_of_all_is_judged_one_epoch_later(place):
    trainer = fit(Net(late=True), monitor="late_acc", given={"target": 0.8, "sweep": "s", "store": place})
    assert trainer.current_epoch == stop_by_hand(FLAT, 0.8) + 1
    assert trainer.stopping.reason.startswith(f"epoch {trainer.current_epoch - 1}: ")
    assert steps(place, 0) == list(range(1, trainer.current_epoch + 1))


def test_a_validation_every_second_epoch_leaves_gaps():
    trainer = fit(check_val_every_n_epoch=2, num_sanity_val_steps=0, given={"target": 0.8, "min_epochs": 2})
    for epoch in range(4, 20, 2):
        values = np.full(epoch, np.nan)
        values[1::2] = FLAT[1:epoch:2]
        if predicted(values).prob_better(0.8)[0] < 0.05:
            break
    assert trainer.current_epoch == epoch < 18


def test_the_last_validation_of_an_epoch_counts():
    trainer = fit(
        monitor="val_batch", val_check_interval=0.5, max_epochs=3, given={"min_epochs": 1, "target": 3.0}
    )
    assert list(trainer.stopping._sight.curve) == [1, 2, 3]
    assert list(trainer.stopping._sight.curve.values()) == pytest.approx([FLAT[n] + 3 for n in range(3)])


def test_a_metric_that_becomes_nan_ends_it():
    values = (0.5, 0.6, math.nan, *FLAT)
    trainer = fit(Net(values), given={"target": 0.1})
    assert trainer.current_epoch == 3
    assert trainer.stopping.reason == "epoch 3: val_acc is nan"
    assert fit(Net(values), given={"target": 0.1, "check_finite": False}).current_epoch == 20


@pytest.mark.parametrize("trainer", [{"min_epochs": 9}, {"min_steps": 33}])
def test_the_trainers_own_minimum_is_kept(trainer):
    assert fit(given={"target": 5.0, "threshold": 0.999}, **trainer).current_epoch == 9


def test_an_epoch_that_weight_averaging_adds_is_nothing_to_predict():
    averaging = StochasticWeightAveraging(0.01, 3, annealing_epochs=1)
    trainer = fit(Net(RISING), callbacks=[averaging], max_epochs=6, given={"target": 0.8})
    assert trainer.stopping._sight.end == 6


def test_a_monitor_that_is_never_logged_is_told_after_one_epoch():
    module = Net()
    with pytest.raises(MonitorError, match="`monitor='val_ac'` was never logged.*Did you mean 'val_acc'"):
        fit(module, monitor="val_ac")
    assert set(module.seen) == {0}


def test_two_of_them_on_one_trainer():
    other = CurveExtrapolationStopping("train_acc", mode="max")
    trainer = fit(Net(RISING), callbacks=[other], max_epochs=5, given={"target": 0.1})
    names = {f"{name}/{monitor}" for name in NAMES for monitor in ("val_acc", "train_acc")}
    assert names <= set(trainer.callback_metrics)


def test_a_pruner_beside_it_names_it(place):
    """What it logs is no measurement, and its stop is told as EarlyStopping's is."""
    pruner = SuccessiveHalvingPruner("val_acc", mode="max", sweep="s", store=place)
    trainer = fit(callbacks=[pruner], given={"target": 0.8})
    (trial,) = history(place).trials
    where = f"epoch {trainer.current_epoch}"
    why = trainer.stopping.reason.removeprefix(f"{where}: ")
    assert trial.reason == f"CurveExtrapolationStopping ended it at {where} of 20: {why}"
    assert "chance to beat 0.8 by epoch 20 (predicted" in why
    assert not [name for report in trial.reports for name in report.metrics if name.startswith("tune/")]


def test_a_fast_dev_run_and_a_validation_leave_it_alone(place):
    fit(fast_dev_run=True, given={"sweep": "s", "store": place, "max_epochs": 50})
    assert not place.exists()
    trainer = fit(given={"target": 0.8})
    reason = trainer.stopping.reason
    trainer.validate(trainer.lightning_module, loaders()[1], verbose=False)
    assert trainer.stopping.reason == reason != ""


def test_a_callback_that_serves_one_trainer_after_another_begins_anew():
    callback = CurveExtrapolationStopping("val_acc", mode="max", target=0.8)
    for values in (FLAT, RISING, FLAT):
        trainer = pl.Trainer(**QUIET, max_epochs=20, callbacks=[callback])
        trainer.fit(Net(values), *loaders())
        assert trainer.current_epoch == stop_by_hand(values, 0.8)
        assert bool(callback.reason) is (values is FLAT)


@pytest.mark.parametrize("checkpoint_every_s", [60, 0])
def test_inside_a_search_it_ends_trials_as_early_stopping_does(tmp_path, checkpoint_every_s):
    """Also where each epoch is trained by a new Trainer, from a checkpoint."""
    options = {name: value for name, value in QUIET.items() if name != "logger"}
    stopping = CurveExtrapolationStopping("val_acc", mode="max", target=0.8, threshold=0.999, patience=5)
    loop = TuneLoop(
        {"late": [False]},
        monitor="val_acc",
        mode="max",
        search="grid",
        trainer={**options, "max_epochs": 20, "callbacks": [stopping]},
        logger=False,
        root_dir=tmp_path,
        name="inside",
        checkpoint_every_s=checkpoint_every_s,
    )
    (trial,) = loop.fit(Net, *loaders()).trials
    assert trial.state == "completed"
    why = fit(Net(), given={"target": 0.8, "threshold": 0.999, "patience": 5}).stopping.reason
    assert why.startswith("epoch 8: ")
    assert why.endswith(", 5 of 5 times in a row")
    assert trial.reason == f"CurveExtrapolationStopping ended it at epoch 8 of 20: {why[9:]}"
    assert len(trial.reports) == 8
    assert not [name for report in trial.reports for name in report.metrics if name.startswith("tune/")]


# -- restarts

RESTARTS = pytest.mark.filterwarnings(
    "ignore:.*dirpath has changed", "ignore:.*exists and is not empty", "ignore:.*callbacks used to create"
)


def saved(folder, **options):
    return ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, **options)


@RESTARTS
@pytest.mark.parametrize("at_the_end", [True, False])
@pytest.mark.parametrize("shared", [False, True])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path, at_the_end, shared):
    """Saved in an epoch's validation or at its very end; of six checks in a row half come after it."""
    settings = {"target": 0.75, "threshold": 0.999, "patience": 6}
    straight = Diary()
    whole = fit(callbacks=[straight], given=settings)
    assert whole.current_epoch == 9
    if shared:
        settings |= {"sweep": "s", "store": tmp_path / "sweep.db"}

    class Dies(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            if trainer.current_epoch == 7 and index == 1:
                if shared:
                    trainer.stopping._member.run.over = True  # a killed process records nothing
                raise KeyError

    before, after = Diary(), Diary()
    saver = saved(tmp_path / "out", save_on_train_epoch_end=at_the_end)
    with pytest.raises(KeyError):
        fit(callbacks=[before, saver, Dies()], enable_checkpointing=True, given=settings)
    path = tmp_path / "out" / "epoch=5.ckpt"
    resumed = fit(
        callbacks=[after],
        ckpt_path=path,
        given=settings,
        default_root_dir=tmp_path,
        enable_checkpointing=True,
    )
    assert resumed.current_epoch == 9
    assert resumed.stopping.reason == whole.stopping.reason
    assert resumed.stopping._sight.state() == whole.stopping._sight.state()
    assert after.rows.items() >= {epoch: straight.rows[epoch] for epoch in (7, 8, 9)}.items()
    assert before.rows.items() >= {epoch: straight.rows[epoch] for epoch in range(1, 8)}.items()
    if shared:
        assert steps(tmp_path / "sweep.db", 0) == list(range(1, 10))
        assert history(tmp_path / "sweep.db").trials[0].state == "stopped"


@RESTARTS
def test_a_stopped_run_that_is_resumed_trains_no_further(tmp_path):
    trainer = fit(callbacks=[saved(tmp_path)], enable_checkpointing=True, given={"target": 0.8})
    path = tmp_path / f"epoch={trainer.current_epoch - 1}.ckpt"
    module = Net()
    again = fit(module, ckpt_path=path, given={"target": 0.8})
    assert module.seen == []
    assert again.stopping.reason == trainer.stopping.reason
    assert again.stopping.stopped_epoch == trainer.stopping.stopped_epoch
    longer = fit(Net(), ckpt_path=path, max_epochs=22, given={"target": 0.8, "min_epochs": 9})
    assert longer.current_epoch == max(9, trainer.current_epoch + 1)


def test_its_state_is_plain_and_its_key_its_own():
    callback = CurveExtrapolationStopping("val_acc", mode="max")
    callback.load_state_dict(pickle.loads(pickle.dumps(callback.state_dict())))
    others = [
        CurveExtrapolationStopping("val_acc"),
        CurveExtrapolationStopping("val_loss", mode="max"),
        CurveExtrapolationStopping("val_acc", mode="max", target=0.9),
        CurveExtrapolationStopping("val_acc", mode="max", sweep="s"),
    ]
    assert len({callback.state_key, *(other.state_key for other in others)}) == 5
    assert pickle.loads(pickle.dumps(callback)).state_key == copy.deepcopy(callback).state_key


# -- in a sweep


def test_the_best_of_the_others_is_the_target(place):
    given = {"sweep": "s", "store": place}
    first = fit(Net(RISING), given=given)
    assert first.current_epoch == 20
    second = fit(Net(FLAT), given=given)
    best = max(np.array(RISING[:20], dtype=np.float32).astype(float))
    wanted = stop_by_hand(FLAT, best)
    assert second.current_epoch == wanted < 20
    assert f"chance to beat the others' best of {best:.4g} by epoch 20" in second.stopping.reason
    trials = history(place).trials
    assert [(trial.state, trial.step) for trial in trials] == [("completed", 20), ("stopped", wanted)]
    assert trials[0].reason == "trained 20 epochs"
    assert trials[1].reason == second.stopping.reason
    assert steps(place, 1) == list(range(1, wanted + 1))
    judged = [event for event in events(place, Decided) if event.trial == 1]
    assert [event.step for event in judged] == list(range(4, wanted + 1))
    assert [event.action for event in judged] == ["continue"] * (wanted - 4) + ["stop"]
    sweep = find_sweep(str(place))
    assert "2 trials: 1 completed, 1 stopped" in sweep_page(sweep, 20)
    assert second.stopping.reason[:30] in trial_page(sweep, 1)


def test_a_run_without_others_has_nothing_to_beat(place):
    diary = Diary()
    trainer = fit(Net(FLAT), callbacks=[diary], given={"sweep": "s", "store": place})
    assert trainer.current_epoch == 20
    assert diary.rows[10]["tune/p_beats_best"] == 1.0


def test_a_target_goes_before_the_others_best(place):
    fit(Net(RISING), given={"sweep": "s", "store": place})
    assert fit(Net(FLAT), given={"sweep": "s", "store": place, "target": 0.1}).current_epoch == 20


def test_runs_that_train_at_the_same_time_see_one_another(place):
    """One trains within the other's sixth epoch; the first is judged against it from then on."""
    given = {"sweep": "s", "store": place}

    class Rival(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 5:
                fit(Net(RISING), given=given)

    trainer = fit(Net(FLAT), callbacks=[Rival()], given=given)
    best = float(np.float32(max(RISING[:20])))
    assert trainer.current_epoch == stop_by_hand(FLAT, best, min_epochs=6) < 20
    told = {event.step: event.reason for event in events(place, Decided) if event.trial == 0}
    assert ["nothing to beat yet" in told[step] for step in (4, 5, 6)] == [True, True, False]
    assert "nothing to beat yet" not in "".join(
        event.reason for event in events(place, Decided) if event.trial == 1
    )


@RESTARTS
def test_a_restart_is_judged_by_what_the_others_had_then(place, tmp_path):
    """Epochs that are trained again have the target that they had, though the others have come further."""
    given = {"sweep": "s", "store": place, "patience": 3}

    class Dies(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 7:
                trainer.stopping._member.run.over = True
                raise KeyError

    saver = saved(tmp_path / "out", save_on_train_epoch_end=True)
    with pytest.raises(KeyError):
        fit(Net(FLAT), callbacks=[saver, Dies()], enable_checkpointing=True, given=given)
    fit(Net(RISING), given=given)
    again = fit(Net(FLAT), ckpt_path=tmp_path / "out" / "epoch=3.ckpt", given=given)
    best = float(np.float32(max(RISING[:20])))
    assert again.current_epoch == stop_by_hand(FLAT, best, min_epochs=8) + 2
    assert steps(place, 0) == list(range(1, again.current_epoch + 1))


def test_an_exception_is_recorded(place):
    with pytest.raises(IndexError):
        fit(Net(RISING[:3]), given={"sweep": "s", "store": place})
    (trial,) = history(place).trials
    assert (trial.state, trial.step) == ("failed", 3)


def test_a_sweep_of_another_kind_is_refused(place):
    pruner = SuccessiveHalvingPruner("val_acc", mode="max", sweep="s", store=place)
    pl.Trainer(**QUIET, max_epochs=3, callbacks=[pruner]).fit(Net(), *loaders())
    with pytest.raises(SweepExistsError, match="schedule: 'ASHA' there, 'CurveExtrapolationStopping' here"):
        fit(given={"sweep": "s", "store": place})


# -- how it shows itself


def test_it_shows_the_arguments_that_are_not_at_their_defaults():
    shown = repr(CurveExtrapolationStopping("val_acc", mode="max", target=0.97))
    assert shown == "CurveExtrapolationStopping('val_acc', mode='max', target=0.97)"
    assert repr(CurveExtrapolationStopping("loss")) == "CurveExtrapolationStopping('loss')"


@pytest.mark.parametrize(
    "given",
    [
        {"max_epochs": 30, "sweep": "s", "store": "s.db", "min_epochs": 3, "check_every": 2, "patience": 4},
        {"min_delta": 0.1, "cost_aware": True, "bounds": (0, None), "check_finite": False, "verbose": True},
        {"threshold": 0.2, "target": 1},
    ],
)
def test_what_it_shows_makes_one_like_it(given):
    shown = repr(CurveExtrapolationStopping("loss", **given))
    assert all(f"{name}={value!r}" in shown for name, value in given.items())
    assert shown.count("=") == len(given)
    again = eval(shown, {"CurveExtrapolationStopping": CurveExtrapolationStopping})
    assert repr(again) == shown


def test_no_password_is_shown():
    secret = CurveExtrapolationStopping("loss", sweep="s", store="postgresql://me:geheim@host/db")
    assert repr(secret) == "CurveExtrapolationStopping('loss', store='postgresql://...', sweep='s')"


# -- bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"monitor": ["a", "b"]}, "`monitor` must be the name of one metric, got ['a', 'b']"),
        ({"monitor": ""}, "`monitor` must name a metric"),
        ({"mode": "up"}, "`mode` must be 'min' or 'max', got 'up'"),
        ({"threshold": 1}, "`threshold` must be a probability between 0 and 1, got 1"),
        ({"min_epochs": 0}, "`min_epochs` must be an integer of at least 1, got 0"),
        ({"check_every": 0}, "`check_every` must be an integer of at least 1, got 0"),
        ({"patience": 0}, "`patience` must be an integer of at least 1, got 0"),
        ({"target": math.inf}, "`target` must be a finite number or None, got inf"),
        ({"target": 97.0, "bounds": (0, 1)}, "`target` must lie within `bounds`"),
        ({"cost_aware": True}, "`min_delta` must be above 0 with `cost_aware=True`"),
        ({"store": "sweep.db"}, "`store` needs `sweep=`"),
        ({"store": 3, "sweep": "s"}, "`store` must be a path or URL, or None, got int"),
        ({"sweep": "../up"}, "`sweep` must be 1 to 100 letters"),
    ],
)
def test_a_bad_argument_is_named(arguments, words):
    with pytest.raises(ArgumentError) as error:
        CurveExtrapolationStopping(**{"monitor": "val_acc", **arguments})
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("trainer", "given", "words"),
    [
        ({"max_epochs": -1, "max_steps": 8}, {}, "`max_epochs` of CurveExtrapolationStopping must be given"),
        ({"max_epochs": 9}, {"max_epochs": 5}, "is 5, but the Trainer trains on to 9"),
    ],
)
def test_a_trainer_that_does_not_fit_is_refused_before_anything_is_written(place, trainer, given, words):
    module = Net()
    with pytest.raises(ArgumentError) as error:
        fit(module, given={"sweep": "s", "store": place, **given}, **trainer)
    assert words in str(error.value)
    assert module.seen == []
    assert not place.exists()


def test_a_trainer_without_an_end_takes_it_from_the_argument():
    trainer = fit(max_epochs=-1, max_steps=60, given={"max_epochs": 20, "target": 0.8})
    assert trainer.current_epoch == stop_by_hand(FLAT, 0.8)


def test_a_check_that_comes_too_late_is_warned_of():
    with pytest.warns(UserWarning, match="first, and this one is over after 3: it is never stopped"):
        assert fit(max_epochs=3).current_epoch == 3


def test_a_value_out_of_bounds_is_told():
    with pytest.raises(ArgumentError, match="`bounds` of .* do not hold"):
        fit(Net((93.0, 94.0)), given={"bounds": (0, 1)})


def test_early_stopping_beside_it_ends_a_run_as_ever(place):
    early = EarlyStopping("val_acc", mode="max", stopping_threshold=0.5)
    fit(Net(RISING), callbacks=[early], given={"sweep": "s", "store": place, "target": 0.1})
    (trial,) = history(place).trials
    assert trial.state == "completed"
    where = f"EarlyStopping ended it at epoch {trial.step:g} of 20: "
    assert trial.reason.startswith(f"{where}Stopping threshold reached: val_acc = 0.")
    assert trial.reason.endswith(" > 0.5")


def test_it_is_what_shared_runs_call_a_judge():
    assert Foresight(CurveExtrapolationStopping("val_acc")._checks).describe() == {
        "name": "CurveExtrapolationStopping"
    }

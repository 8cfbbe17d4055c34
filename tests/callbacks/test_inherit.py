"""A trial that starts from another's checkpoint: the state is the lender's, the settings are its own."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from lightning_tune.callbacks.inherit import OwnSettings


def trainer_of(optimizer_of, schedule_of=None):
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.fill_(0.5)
        layer.bias.fill_(0.0)
    optimizer = optimizer_of(layer.parameters())
    schedulers = [] if schedule_of is None else [SimpleNamespace(scheduler=schedule_of(optimizer))]
    return SimpleNamespace(optimizers=[optimizer], lr_scheduler_configs=schedulers, layer=layer)


def train(trainer, steps, metric=1.0):
    (optimizer,) = trainer.optimizers
    for _ in range(steps):
        optimizer.zero_grad()
        trainer.layer(torch.tensor([[1.0, 2.0]])).sum().backward()
        optimizer.step()
        for config in trainer.lr_scheduler_configs:
            plateau = isinstance(config.scheduler, ReduceLROnPlateau)
            config.scheduler.step(metric) if plateau else config.scheduler.step()


def inherit(lender, borrower):
    """Do what Lightning does when it restores, then lay the borrower's settings over; return its record."""
    theirs, own = OwnSettings(lender), OwnSettings(borrower)
    train(lender, 3)
    states = [copy.deepcopy(other.state_dict()) for other in lender.optimizers]
    own.drop_foreign(states, theirs.record)
    for mine, state in zip(borrower.optimizers, states, strict=True):
        mine.load_state_dict(state)
    for mine, other in zip(borrower.lr_scheduler_configs, lender.lr_scheduler_configs, strict=True):
        mine.scheduler.load_state_dict(copy.deepcopy(other.scheduler.state_dict()))
    own.lay_over(borrower, theirs.record)
    (optimizer,) = borrower.optimizers
    return optimizer


def test_every_setting_is_the_borrowers_and_the_moments_are_the_lenders():
    lender = trainer_of(lambda p: torch.optim.AdamW(p, 0.1, betas=(0.9, 0.99), weight_decay=0.1))
    borrower = trainer_of(lambda p: torch.optim.AdamW(p, 0.02, betas=(0.5, 0.9), weight_decay=0.0))
    optimizer = inherit(lender, borrower)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.02, (0.5, 0.9), 0.0)
    steps = [float(state["step"]) for state in optimizer.state.values()]
    assert steps == [3.0, 3.0]


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: StepLR(o, step_size=2, gamma=0.5),
        lambda o: CosineAnnealingLR(o, T_max=10),
        lambda o: ReduceLROnPlateau(o, patience=0, factor=0.5),
        lambda o: SequentialLR(o, [LinearLR(o, 0.1, total_iters=2), StepLR(o, 1, 0.5)], milestones=[2]),
        lambda o: OneCycleLR(o, max_lr=2 * o.param_groups[0]["lr"], total_steps=12),
    ],
    ids=["step", "cosine", "plateau", "sequential", "one_cycle"],
)
def test_a_schedule_goes_on_as_if_the_trial_had_had_its_own_rate_all_along(schedule):
    def own():
        return trainer_of(lambda p: torch.optim.SGD(p, 0.02), schedule)

    lender = trainer_of(lambda p: torch.optim.SGD(p, 0.1), schedule)
    borrower, straight = own(), own()
    optimizer = inherit(lender, borrower)
    train(straight, 3)
    for _ in range(4):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(straight.optimizers[0].param_groups[0]["lr"])
        train(borrower, 1)
        train(straight, 1)


def test_the_settings_of_a_schedule_are_the_borrowers_too():
    lender = trainer_of(lambda p: torch.optim.SGD(p, 0.1), lambda o: StepLR(o, 1, gamma=0.5))
    borrower = trainer_of(lambda p: torch.optim.SGD(p, 0.1), lambda o: StepLR(o, 1, gamma=0.1))
    optimizer = inherit(lender, borrower)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**3)
    train(borrower, 1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**3 * 0.1)
    assert borrower.lr_scheduler_configs[0].scheduler.last_epoch == 4


def test_another_kind_of_optimizer_begins_without_moments():
    lender = trainer_of(lambda p: torch.optim.SGD(p, 0.1, momentum=0.9))
    borrower = trainer_of(lambda p: torch.optim.Adam(p, 0.01))
    optimizer = inherit(lender, borrower)
    assert not optimizer.state
    train(borrower, 1)
    assert optimizer.param_groups[0]["lr"] == 0.01

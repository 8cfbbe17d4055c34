import pytest

from lightning_tune.core.events import LegStarted, Reported, TrialEnded, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.journal import Journal
from lightning_tune.loop.keeping import Keeper, newest_checkpoint
from lightning_tune.store import MemoryStore


def keeper_of(folder, monitor, keep, repeats=1):
    store = MemoryStore()
    store.create("s", {}, 0.0)
    journal = Journal(name="s", store=store, history=History(Objective.of(monitor), repeats))
    return Keeper(journal=journal, files=SweepFiles(folder), keep=keep)


@pytest.fixture
def keeper(tmp_path):
    return keeper_of(tmp_path, "loss", 2)


def trial(keeper, number, *values):
    keeper.journal.record(
        TrialStarted(
            trial=number,
            group=number,
            config={"n": number},
            seed=0,
            space_version=1,
            origin="search",
            time=0.0,
        ),
        LegStarted(trial=number, leg=0, budget=9.0, time=0.0),
        Reported(number, 0, 1.0, values, 0.0),
    )


def save(keeper, number, kind, step):
    path = f"trials/{number}/{kind}-{step}"
    keeper.saved(number, 0, step, kind, keeper.files.write(path, step, lambda file: file.write(b"x")))


def end(keeper, number, state="completed"):
    keeper.journal.record(TrialEnded(trial=number, leg=0, step=1.0, state=state, reason="", time=0.0))
    keeper.drop()


def files(keeper):
    return sorted(
        path.relative_to(keeper.files.folder).as_posix() for path in keeper.files.folder.rglob("*-*")
    )


def test_a_new_save_replaces_the_old_one_once_it_is_in_place(keeper):
    trial(keeper, 0, 0.5)
    for step in (1.0, 2.0, 3.0):
        save(keeper, 0, "pause", step)
    assert files(keeper) == ["trials/0/pause-3.0"]
    assert newest_checkpoint(keeper.journal.history.trials[0]).step == 3.0


def test_only_the_best_keep_theirs_and_running_ones_what_they_need(keeper):
    for number, value in enumerate([0.3, 0.1, 0.2, 0.4]):
        trial(keeper, number, value)
        save(keeper, number, "pause", 1.0)
        save(keeper, number, "best", 1.0)
    for number in (0, 1, 2):
        end(keeper, number)
    assert files(keeper) == [
        "trials/1/best-1.0",
        "trials/2/best-1.0",
        "trials/3/best-1.0",
        "trials/3/pause-1.0",
    ]
    assert [keeper.keeps(number) for number in range(4)] == [False, True, True, False]
    assert newest_checkpoint(keeper.journal.history.trials[1]) is None


def test_what_a_kill_left_undeleted_goes_at_the_next_opening(keeper):
    """Killed after an end was recorded, and before the files that it made superfluous were gone."""
    for number, value in enumerate([0.3, 0.1, 0.2]):
        trial(keeper, number, value)
        save(keeper, number, "best", 1.0)
        keeper.journal.record(
            TrialEnded(trial=number, leg=0, step=1.0, state="completed", reason="", time=0.0)
        )
    keeper.files.write("trials/0/pause-0-9.ckpt", 9.0, lambda file: file.write(b"x"))
    keeper.tidy()
    assert files(keeper) == ["trials/1/best-1.0", "trials/2/best-1.0"]


def test_a_failed_trial_keeps_nothing(keeper):
    trial(keeper, 0, 0.1)
    save(keeper, 0, "best", 1.0)
    end(keeper, 0, "failed")
    assert files(keeper) == []
    assert keeper.journal.history.with_checkpoints == []


FRONTS = [(1.0, 4.0), (2.0, 2.0), (3.0, 3.0), (4.0, 1.0), (5.0, 5.0)]


@pytest.mark.parametrize(("keep", "kept"), [(0, []), (1, [0, 1, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3, 4])])
def test_with_several_objectives_the_whole_front_keeps_its_files(tmp_path, keep, kept):
    keeper = keeper_of(tmp_path, ["loss", "size"], keep)
    for number, values in enumerate(FRONTS):
        trial(keeper, number, *values)
        save(keeper, number, "best", 1.0)
        assert keeper.keeps(number) == (number in kept)
        end(keeper, number)
    assert files(keeper) == [f"trials/{number}/best-1.0" for number in kept]


def test_one_that_still_trains_displaces_nobody_on_the_front(tmp_path):
    """What it is now it may not stay: with several objectives its last report counts."""
    keeper = keeper_of(tmp_path, ["loss", "size"], 1)
    trial(keeper, 0, 2.0, 2.0)
    trial(keeper, 1, 1.0, 1.0)
    save(keeper, 0, "best", 1.0)
    assert keeper.keeps(0)
    end(keeper, 0)
    assert files(keeper) == ["trials/0/best-1.0"]
    keeper.journal.record(Reported(1, 0, 2.0, (9.0, 1.0), 0.0))
    save(keeper, 1, "best", 2.0)
    assert keeper.keeps(1)
    end(keeper, 1)
    assert files(keeper) == ["trials/0/best-1.0", "trials/1/best-2.0"]
    assert [group.number for group in keeper.journal.history.front] == [0, 1]

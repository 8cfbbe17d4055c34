import pickle
from pathlib import Path

from lightning_tune.core.outcome import Outcome, TrialInfo


def test_they_travel_between_processes():
    info = TrialInfo(sweep="s", number=3, group=3, config={"lr": 0.1}, seed=7, folder=Path("trials/3"))
    outcome = Outcome(
        state="failed", score=None, step=1.0, best_step=None, reason="why", cause="exception", error="tb"
    )
    assert pickle.loads(pickle.dumps((info, outcome))) == (info, outcome)
    assert not info.resumed

from lightning_tune.store import MemoryStore
from lightning_tune.testing.recorded import SPEC, record_example


def test_the_example_can_be_recorded_under_several_names() -> None:
    store = MemoryStore()
    record_example(store)
    record_example(store, "again")
    assert [record.name for record in store.sweeps()] == ["digits", "again"]
    assert [record.spec for record in store.sweeps()] == [SPEC, SPEC]
    first, second = ([type(event).__name__ for event in store.read(name)] for name in ("digits", "again"))
    assert first == second
    assert first.count("TrialStarted") == 4
    assert first.count("TrialEnded") == 3

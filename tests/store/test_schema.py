"""The tables of the present version, and what is said about another one's."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Table, UniqueConstraint, create_engine, insert, select, update

from lightning_tune.core.events import EVENT_TYPES, Reported
from lightning_tune.errors import StoreError
from lightning_tune.store.schema import (
    EVENT_TABLES,
    METADATA,
    SCHEMA,
    VERSION,
    prepare_schema,
    schema_is_ready,
)
from lightning_tune.store.sqlite import SQLiteStore

VERSION_1 = """
tune_checkpoints: sweep BigInteger key, seq BigInteger key, trial BigInteger, leg BigInteger, step Double?,
    kind Text, path Text, size BigInteger, sha256 Text, time Double?
tune_decisions: sweep BigInteger key, seq BigInteger key, trial BigInteger, leg BigInteger, step Double?,
    action Text, reason Text, time Double?
tune_deletions: sweep BigInteger key, seq BigInteger key, trial BigInteger, path Text, time Double?
tune_endings: sweep BigInteger key, seq BigInteger key, trial BigInteger, leg BigInteger, step Double?,
    state Text, reason Text, time Double?, cause Text, error Text
tune_legs: sweep BigInteger key, seq BigInteger key, trial BigInteger, leg BigInteger, budget Double?, time
    Double?, checkpoint Text?
tune_pauses: sweep BigInteger key, seq BigInteger key, trial BigInteger, leg BigInteger, step Double?,
    reason Text, time Double?
tune_reports: sweep BigInteger key, seq BigInteger key, trial BigInteger, leg BigInteger, step Double, value
    Double?, time Double?, metrics Text, more Text?, unique sweep trial leg step
tune_requests: sweep BigInteger key, seq BigInteger key, number BigInteger, config Text, time Double?
tune_schema: version Integer key
tune_sessions: sweep BigInteger key, seq BigInteger key, session BigInteger, provenance Text, time Double?
tune_spaces: sweep BigInteger key, seq BigInteger key, version BigInteger, space Text, time Double?
tune_stops: sweep BigInteger key, seq BigInteger key, trial BigInteger, reason Text, time Double?
tune_sweeps: id BigInteger key, name Text, spec Text, created Double, seq BigInteger, unique name
tune_trials: sweep BigInteger key, seq BigInteger key, trial BigInteger, group BigInteger, config Text, seed
    BigInteger, space_version BigInteger, origin Text, time Double?, source BigInteger?, parent BigInteger?
"""


def test_tables_change_only_with_the_version() -> None:
    """Where this fails, raise VERSION, write what turns old tables into new ones, then pin the new ones."""
    lines = [described(METADATA.tables[name]) for name in sorted(METADATA.tables)]
    assert VERSION == 1
    assert lines == " ".join(VERSION_1.split()).replace(" tune_", "\ntune_").splitlines()


def described_column(column: Column[Any]) -> str:
    kind = type(column.type).__name__ + ("?" if column.nullable else "")
    return f"{column.name} {kind}" + (" key" if column.primary_key else "")


def described(table: Table) -> str:
    columns = ", ".join(map(described_column, table.c))
    unique = [rule.columns.keys() for rule in table.constraints if isinstance(rule, UniqueConstraint)]
    return f"{table.name}: {columns}" + "".join(f", unique {' '.join(names)}" for names in unique)


def test_there_is_a_table_for_each_type_of_event() -> None:
    assert set(EVENT_TABLES) == set(EVENT_TYPES)


def test_a_table_has_the_fields_of_its_event() -> None:
    for kind, table in EVENT_TABLES.items():
        names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(Reported._fields)
        if kind is Reported:
            names = [name for name in names if name != "values"] + ["value", "more"]
        assert sorted(table.c.keys()) == sorted([*names, "sweep"])


def test_making_the_tables_twice_changes_nothing(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.begin() as connection:
        assert not schema_is_ready(connection, "it")
        prepare_schema(connection)
        prepare_schema(connection)
        assert schema_is_ready(connection, "it")
        assert connection.execute(select(SCHEMA.c.version)).scalars().all() == [VERSION]
    engine.dispose()


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "x.db") as store:
        store.create("a", {}, 0.0)
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.begin() as connection:
        connection.execute(update(SCHEMA).values(version=VERSION + 1))
    with pytest.raises(StoreError, match="written by a newer lightning-tune.*upgrade lightning-tune"):
        SQLiteStore(tmp_path / "x.db")
    with engine.begin() as connection:
        connection.execute(update(SCHEMA).values(version=VERSION))
    engine.dispose()
    with SQLiteStore(tmp_path / "x.db") as store:
        assert [record.name for record in store.sweeps()] == ["a"]


def test_a_version_that_never_was_is_refused(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.begin() as connection:
        METADATA.create_all(connection)
        with pytest.raises(StoreError, match="version None"):
            schema_is_ready(connection, "it")
        connection.execute(insert(SCHEMA), {"version": 0})
        with pytest.raises(StoreError, match="version 0"):
            schema_is_ready(connection, "it")
    engine.dispose()

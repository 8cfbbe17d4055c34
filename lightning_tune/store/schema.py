"""The tables: one of sweeps, and one append-only table for each type of event.

Every event row is keyed by (sweep, seq); `seq` counts all events of the sweep, over all tables, and is given
inside the write transaction from the counter in the sweep's own row. A column is named as the event's field
that it holds, but for `Reported.values`: its first value is the column `value`, further ones are JSON text in
`more`. A NULL in a column of numbers means NaN (`codec.py` says why), so such columns are nullable.

A change to any table needs a new `VERSION`: `tests/store/test_schema.py` holds the tables of the present one.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
)

from lightning_tune.core.events import (
    CheckpointDeleted,
    CheckpointSaved,
    ConfigEnqueued,
    Decided,
    Event,
    LegStarted,
    Reported,
    SessionOpened,
    SpaceDeclared,
    StopRequested,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.errors import StoreError

VERSION = 1
METADATA = MetaData()
_Id = BigInteger().with_variant(
    Integer(), "sqlite"
)  # SQLite numbers rows by itself only in an INTEGER column


def _count(name: str, *, optional: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=optional, autoincrement=False)


def _text(name: str, *, optional: bool = False) -> Column[str]:
    return Column(name, Text, nullable=optional)


def _number(name: str) -> Column[float]:
    return Column(name, Double)


def _events(
    name: str, *columns: Column[int] | Column[str] | Column[float], unique: tuple[str, ...] = ()
) -> Table:
    return Table(
        f"tune_{name}",
        METADATA,
        Column(
            "sweep",
            _Id,
            ForeignKey("tune_sweeps.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        *columns,
        *((UniqueConstraint("sweep", *unique),) if unique else ()),
        sqlite_with_rowid=False,
    )


SCHEMA = Table("tune_schema", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))
SWEEPS = Table(
    "tune_sweeps",
    METADATA,
    Column("id", _Id, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("spec", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("seq", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # the id of a deleted sweep never comes back
)

EVENT_TABLES: dict[type[Event], Table] = {
    SpaceDeclared: _events("spaces", _count("version"), _text("space"), _number("time")),
    SessionOpened: _events("sessions", _count("session"), _text("provenance"), _number("time")),
    TrialStarted: _events(
        "trials",
        _count("trial"),
        _count("group"),
        _text("config"),
        _count("seed"),
        _count("space_version"),
        _text("origin"),
        _number("time"),
        _count("source", optional=True),
        _count("parent", optional=True),
    ),
    LegStarted: _events(
        "legs",
        _count("trial"),
        _count("leg"),
        _number("budget"),
        _number("time"),
        _text("checkpoint", optional=True),
    ),
    Reported: _events(
        "reports",
        _count("trial"),
        _count("leg"),
        Column("step", Double, nullable=False),
        _number("value"),
        _number("time"),
        _text("metrics"),
        _text("more", optional=True),
        unique=("trial", "leg", "step"),
    ),
    Decided: _events(
        "decisions",
        _count("trial"),
        _count("leg"),
        _number("step"),
        _text("action"),
        _text("reason"),
        _number("time"),
    ),
    CheckpointSaved: _events(
        "checkpoints",
        _count("trial"),
        _count("leg"),
        _number("step"),
        _text("kind"),
        _text("path"),
        _count("size"),
        _text("sha256"),
        _number("time"),
    ),
    CheckpointDeleted: _events("deletions", _count("trial"), _text("path"), _number("time")),
    TrialPaused: _events(
        "pauses", _count("trial"), _count("leg"), _number("step"), _text("reason"), _number("time")
    ),
    TrialEnded: _events(
        "endings",
        _count("trial"),
        _count("leg"),
        _number("step"),
        _text("state"),
        _text("reason"),
        _number("time"),
        _text("cause"),
        _text("error"),
    ),
    ConfigEnqueued: _events("requests", _count("number"), _text("config"), _number("time")),
    StopRequested: _events("stops", _count("trial"), _text("reason"), _number("time")),
}


def prepare_schema(connection: Connection) -> None:
    """Make the tables, inside a transaction that keeps others from doing the same."""
    if not inspect(connection).has_table(SCHEMA.name):
        METADATA.create_all(connection, checkfirst=False)
        connection.execute(insert(SCHEMA), {"version": VERSION})


def schema_is_ready(connection: Connection, place: str) -> bool:
    """Return whether the tables are there.

    Raises:
        StoreError: they are of another version than this package's.
    """
    if not inspect(connection).has_table(SCHEMA.name):
        return False
    version = connection.execute(select(SCHEMA.c.version)).scalar()
    if version is None or version < VERSION:
        raise StoreError(f"{place} has tables of version {version}, which this lightning-tune cannot read.")
    if version > VERSION:
        raise StoreError(
            f"{place} was written by a newer lightning-tune (its tables have version {version}, this one "
            f"knows version {VERSION}): upgrade lightning-tune, or use another store."
        )
    return True

"""What all tests share: a clean environment, and one throwaway PostgreSQL server a test process."""

import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is first imported, by whatever imports it

pytest.register_assert_rewrite("lightning_tune.testing")

_SCRIPT = Path(__file__).with_name("postgres.sh")
_WANDB = {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
_PYTEST = "PYTEST_CURRENT_TEST"


def pytest_configure(config: pytest.Config) -> None:
    """Keep W&B off the network in every test; what was set before comes back at the end."""
    before = {name: os.environ.get(name) for name in _WANDB}
    os.environ.update(_WANDB)
    config.add_cleanup(lambda: _restore(before))


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Undo what a test did to the environment variables."""
    before = dict(os.environ)
    yield
    names = {name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name)}
    _restore({name: before.get(name) for name in names - {_PYTEST}})


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a server through `postgres.sh` and give its URL.

    A server that does not start is an error, so that no run leaves these tests out unnoticed. Where that is
    wanted, `LIGHTNING_TUNE_NO_POSTGRES=1` skips them with this reason; with `CI=true` it does not.
    """
    if os.environ.get("LIGHTNING_TUNE_NO_POSTGRES") == "1" and os.environ.get("CI") != "true":
        pytest.skip("LIGHTNING_TUNE_NO_POSTGRES=1: no PostgreSQL server is started")
    # beside pytest's own folders, into which the server's user may not look
    folder = Path(tempfile.gettempdir()) / f"lightning-tune-postgres-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    started = subprocess.run(
        [str(_SCRIPT), "start", str(folder), str(os.getpid())], capture_output=True, text=True, check=False
    )
    try:
        if started.returncode != 0:
            pytest.fail(f"the PostgreSQL server did not start:\n{started.stderr}", pytrace=False)
        yield started.stdout.strip()
    finally:
        subprocess.run([str(_SCRIPT), "stop", str(folder)], capture_output=True, check=False)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Give the URL of a database's empty schema that only this test uses."""
    import psycopg
    from psycopg import sql

    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        yield f"{postgres_server}?options=-csearch_path%3D{schema}"
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def _restore(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

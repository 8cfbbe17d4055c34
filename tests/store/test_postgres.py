"""The store in PostgreSQL: what it does beyond the contract."""

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from lightning_tune.core.events import Reported
from lightning_tune.errors import ArgumentError, StoreError, SweepBusyError
from lightning_tune.store.postgres import PostgresStore
from lightning_tune.testing.store_contract import StoreContract, one_of_each


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, postgres_url: str) -> Iterator[PostgresStore]:
        with PostgresStore(postgres_url) as store:
            yield store


@pytest.fixture
def url(postgres_url: str) -> str:
    """A store with one sweep, "a", that holds one event of each type."""
    with PostgresStore(postgres_url) as store:
        store.create("a", {}, 0.0)
        store.append("a", one_of_each())
    return postgres_url


def test_what_was_recorded_is_there_after_reopening(url: str) -> None:
    with PostgresStore(url) as store:
        assert len(list(store.read("a"))) == len(one_of_each())


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def test_the_password_is_shown_nowhere(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    password = urlsplit(url).password
    assert password is not None
    secrets = [password, unquote(password), "hunter2"]
    texts = []
    with PostgresStore(url) as store:
        texts += [repr(store), str(store)]
        assert "tune@127.0.0.1" in repr(store)
        for call in (lambda: store.read("b"), lambda: store.append("a", [Reported(0, 0, 1.0, (0.0,), 0.0)])):
            with pytest.raises(StoreError) as caught:
                call()
            texts.append(shown(caught.value))
    parts = urlsplit(url)
    wrong = (
        url.replace(password, "hunter2"),
        f"postgresql://tune:{password}@127.0.0.1:1/postgres",
        f"postgresql://tune@127.0.0.1:{parts.port}/postgres?password=hunter2",
        f"postgresql://tune:{password}@127.0.0.1:{parts.port}/nowhere",
        f"postgresql://tune:{password}@no.such.host.invalid/postgres",
        f"postgresql://tune:{password}@127.0.0.1:{parts.port}/postgres?sslmode={password}",
    )
    for broken in wrong:
        with pytest.raises(StoreError) as caught:
            PostgresStore(broken)
        texts.append(shown(caught.value))
        assert "the store postgresql://tune@" in str(caught.value)
    for unreadable in ("postgresql://tune:hunter2@h:port/x", "postgresql:/tune:hunter2@h/x"):
        with pytest.raises(ArgumentError) as refused:
            PostgresStore(unreadable)
        texts.append(str(refused.value))
    texts.extend(capfd.readouterr())
    own_lines = "\n".join(
        line for text in texts for line in text.splitlines() if "for unreadable" not in line
    )
    assert not [secret for secret in secrets if secret in own_lines]


def test_a_database_that_cannot_be_reached() -> None:
    with pytest.raises(StoreError, match=r"the store postgresql://tune@127\.0\.0\.1:1/x answered: .*refused"):
        PostgresStore("postgresql://tune:secret@127.0.0.1:1/x")


def test_an_encoding_that_cannot_hold_every_text(postgres_server: str) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        try:
            with pytest.raises(StoreError, match="encoding LATIN1.*ENCODING 'UTF8'"):
                PostgresStore(postgres_server.replace("/postgres", "/latin"))
        finally:
            connection.execute("DROP DATABASE latin WITH (FORCE)")


def test_a_newer_version_is_named(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE tune_schema SET version = 2")
    with pytest.raises(StoreError, match="written by a newer lightning-tune"):
        PostgresStore(url)


def test_two_processes_may_make_the_tables_at_once(postgres_url: str) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            PostgresStore(postgres_url).close()
        except BaseException as error:  # it is shown by the test itself
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with PostgresStore(postgres_url) as store:
        assert store.sweeps() == []


def test_only_durable_transactions_wait_for_the_disk(url: str) -> None:
    with PostgresStore(url) as store:
        for durable, setting in ((False, "off"), (True, "on"), (False, "off"), (True, "on")):
            with store.transaction("a", durable=durable):
                connection = store._sessions[threading.get_ident()].connection
                assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == setting


def test_a_sweep_that_is_locked_for_too_long(url: str) -> None:
    with PostgresStore(url) as other, PostgresStore(url, busy_timeout_s=0.1) as store:
        store.create("b", {}, 0.0)
        with other.transaction("a"):
            with pytest.raises(StoreError, match=r"locked by another process for 0\.1 s"):
                store.append("a", [])
            assert len(list(store.read("a"))) == len(one_of_each())
            assert len(store.append("b", one_of_each())) == len(one_of_each())  # sweeps are apart
        assert store.append("a", []) == []


def test_the_holder_is_named(url: str) -> None:
    with PostgresStore(url) as store, PostgresStore(url) as other, other.hold("a"):
        with (
            pytest.raises(SweepBusyError, match=r"is being run by lightning-tune process \d+ on "),
            store.hold("a"),
        ):
            pass
        with store.hold("b"):
            assert store.sweep("a") is not None


HOLDER = """
import sys, time
from lightning_tune.store.postgres import PostgresStore
with PostgresStore(sys.stdin.readline()) as store, store.hold("a"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_loses_its_hold(url: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(url + "\n")
    holder.stdin.close()
    assert holder.stdout.readline() == "held\n"
    with PostgresStore(url) as store:
        with pytest.raises(SweepBusyError, match=f"process {holder.pid} on "), store.hold("a"):
            pass
        holder.kill()
        holder.wait()
        hold_within(store, 5.0)
    holder.stdout.close()


def hold_within(store: PostgresStore, seconds: float) -> None:
    """The server sees the end of a connection a moment after the process's."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with store.hold("a"):
                return
        except SweepBusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_a_connection_that_the_server_ended_is_replaced(url: str) -> None:
    with PostgresStore(url) as store, psycopg.connect(url, autocommit=True) as other:
        end = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name LIKE 'lightning-tune process {os.getpid()} %'"
        )
        store.append("a", [])
        other.execute(end)
        with pytest.raises(StoreError, match="the store postgresql://tune@"):
            store.append("a", [Reported(9, 0, 1.0, (0.0,), 0.0)])
        appended = store.append("a", [Reported(9, 0, 1.0, (0.0,), 0.0)])
        assert appended[0].seq == len(one_of_each()) + 1
        with store.hold("a"):
            other.execute(end)
        with pytest.raises(StoreError):
            store.sweeps()
        assert len(store.sweeps()) == 1


FORK = """
import os, sys
from lightning_tune.core.events import StopRequested
from lightning_tune.store.postgres import PostgresStore

def stop(reason):
    return [StopRequested(trial=0, reason=reason, time=0.0)]

with PostgresStore(sys.stdin.readline()) as store, store.hold("a"):
    store.append("a", stop("before"))
    child = os.fork()
    if child == 0:
        store.append("a", stop("child"))
        sys.exit(0)  # leaves both blocks, which must not end the parent's connections
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    child = os.fork()
    if child == 0:
        store.close()  # without having used it
        del store
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.append("a", stop("after"))
    with PostgresStore(store._engine.url.render_as_string(hide_password=False)) as other:
        try:
            with other.hold("a"):
                sys.exit("the hold was lost")
        except RuntimeError as error:
            assert "being run by" in str(error)
"""


def test_a_forked_child_has_its_own_connection(url: str) -> None:
    subprocess.run([sys.executable, "-c", FORK], input=url, text=True, check=True, timeout=60)
    with PostgresStore(url) as store:
        events: list[Any] = list(store.read("a", after=len(one_of_each())))
        assert [event.reason for event in events] == ["before", "child", "after"]

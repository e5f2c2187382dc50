"""The SQLite store when what is below it fails."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parts.ingest_harness import EPOCH, digest
from parts.simulated import Sender, fill
from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.stores.base import (
    Retention,
    StateMissingError,
    StoreError,
    StoreFullError,
    StoreLockedError,
)
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.bridge.stores.sqlite_schema import MIGRATIONS, connect, migrate

ROUNDS = int(os.environ.get("TEST_KILL_ROUNDS", "12"))
HARNESS = Path(__file__).parents[2] / "parts" / "ingest_harness.py"


def test_killed_at_random_moments_nothing_acknowledged_is_lost_or_doubled(tmp_path):
    acknowledged = {}
    rng = random.Random(7)
    for _ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, str(HARNESS), str(tmp_path), str(len(acknowledged))], stdout=subprocess.PIPE, text=True
        )
        first = process.stdout.readline()
        time.sleep(rng.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        lines = [first, *process.stdout.read().splitlines(keepends=True)]
        process.stdout.close()
        process.wait()
        for line in lines:
            if line.endswith("\n"):
                seq, found = line.split()
                assert acknowledged.setdefault(int(seq), found) == found
        store = SqliteStore(tmp_path, reserve_bytes=0)
        try:
            order = store.epochs("atlas")[0].order
            assert store.last_of("atlas", order).seq >= max(acknowledged)
            assert digest(store.state_of("atlas", order, max(acknowledged)).state) == acknowledged[max(acknowledged)]
            kept = store.latest("atlas").frame.seq
            assert store.span("atlas", None, None).revisions == kept + 1
        finally:
            store.close()
    store = SqliteStore(tmp_path, reserve_bytes=0)
    assert [mark.epoch for mark in store.epochs("atlas")] == [EPOCH]
    assert all(digest(store.state_of("atlas", order, seq).state) == found for seq, found in acknowledged.items())
    assert sorted(acknowledged) == list(range(len(acknowledged)))
    store.close()


def test_a_damaged_row_is_a_gap_until_the_next_whole_state(tmp_path):
    sender = Sender()
    store = SqliteStore(tmp_path, reserve_bytes=0)
    fill(Ingest(store), sender, 40)
    store.close()
    with sqlite3.connect(tmp_path / "history.sqlite3") as connection:
        connection.execute("UPDATE frame SET blob = zeroblob(9) WHERE seq = 20")
    connection.close()
    store = SqliteStore(tmp_path, reserve_bytes=0)
    told = []
    for seq, at in sender.times.items():
        try:
            assert store.state_at("atlas", at).state == sender.states[seq]
            told.append(seq)
        except StateMissingError:
            continue
    store.close()
    assert told == [*range(20), *range(30, 40)]


@pytest.fixture
def small(tmp_path):
    """A file system of 3 MB with 1.2 MB of ballast on it."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr}")
    (folder / "ballast").write_bytes(b"x" * 1_200_000)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_disk_full_refuses_loses_nothing_and_goes_on_when_there_is_room(small):
    store = SqliteStore(small, reserve_bytes=100_000)
    ingest = Ingest(store)
    sender = Sender(processes=60)
    with pytest.raises(StoreFullError, match="full"):
        fill(ingest, sender, 3000)
    refused = max(sender.frames)
    assert store.stats().full
    assert ingest.hosts["atlas"].twin.canonical_bytes() == sender.states[refused - 1]
    for seq in range(refused):
        assert store.state_at("atlas", sender.times[seq]).state == sender.states[seq]
    (small / "ballast").unlink()
    ingest.accept("atlas", [sender.frames[refused]], sender.machine.now)
    assert not store.stats().full
    assert store.state_at("atlas", sender.machine.now).state == sender.states[refused]
    store.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_on_a_full_disk_retention_makes_room_within_the_reserve(small):
    store = SqliteStore(small, reserve_bytes=700_000)
    ingest = Ingest(store)
    sender = Sender(processes=60)
    with pytest.raises(StoreFullError):
        fill(ingest, sender, 3000)
    refused = max(sender.frames)
    assert (small / "reserve").exists()
    policy = Retention(full_days=0.02, sparse_days=0.02, days=0.02)
    for _ in range(1000):
        if not store.retain(policy, sender.machine.now):
            break
    ingest.accept("atlas", [sender.frames[refused]], sender.machine.now)
    assert not store.stats().full
    assert (small / "reserve").exists()
    assert store.state_at("atlas", sender.machine.now).state == sender.states[refused]
    fill(ingest, sender, 20)
    store.close()


def test_a_second_process_is_told_who_has_the_store(tmp_path):
    store = SqliteStore(tmp_path, reserve_bytes=0)
    with pytest.raises(StoreLockedError, match=f"pid {os.getpid()}"):
        SqliteStore(tmp_path)
    store.close()
    SqliteStore(tmp_path, reserve_bytes=0).close()


def test_an_older_format_is_migrated_and_a_newer_one_refused(tmp_path):
    store = SqliteStore(tmp_path, reserve_bytes=0)
    fill(Ingest(store), Sender(), 3)
    store.close()
    connection = connect(tmp_path / "history.sqlite3", writes=True)
    migrate(connection, (*MIGRATIONS, "ALTER TABLE host ADD COLUMN note TEXT; UPDATE host SET note = 'kept'"))
    assert connection.execute("SELECT host_id, note FROM host").fetchall() == [("atlas", "kept")]
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*MIGRATIONS, "", "CREATE TABLE half (x); SELECT nonsense"))
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    connection.close()
    with pytest.raises(StoreError, match="format 3"):
        SqliteStore(tmp_path)

"""A file that one process at a time holds."""

import os
import subprocess
import sys

import pytest

from safetytwin.lock import FileLock, LockedError


def test_the_second_is_told_who_the_first_is(tmp_path) -> None:
    path = tmp_path / "lock"
    with FileLock(path):
        with pytest.raises(LockedError) as refused:
            FileLock(path)
        assert refused.value.holder == str(os.getpid())
        assert path.stat().st_mode & 0o777 == 0o600
    FileLock(path).close()


def test_it_ends_with_the_process_that_held_it(tmp_path) -> None:
    path = tmp_path / "lock"
    code = f"import os, safetytwin.lock as l; held = l.FileLock({str(path)!r}); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert path.read_text().strip().isdecimal()
    with FileLock(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_closing_twice_is_harmless(tmp_path) -> None:
    lock = FileLock(tmp_path / "lock")
    lock.close()
    lock.close()


def test_a_system_without_flock_holds_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock"):
        assert not (tmp_path / "lock").exists()


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "absent" / "lock")

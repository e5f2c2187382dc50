"""Users who can log in, and their groups."""

import grp
import os
import pwd
import shutil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import FIXTURES, fixture_look, live_look
from safetytwin.collectors import accounts
from safetytwin.collectors.account_files import can_log_in, parse_group, parse_shadow, parse_users
from safetytwin.collectors.accounts import AccountsCollector
from safetytwin.collectors.base import AbsentError
from safetytwin.models.software import Group, User

TORN = "software/accounts-nis-and-torn-lines"


def test_nis_entries_second_lines_and_torn_ones_are_passed_over():
    found = AccountsCollector().collect(fixture_look(TORN))
    assert found.users == [
        User("ada", 1000, 1000, "Ada Lovelace", "/home/ada", "/bin/bash", ["docker", "sudo"], "usable", "2026-01-01"),
        User("eve", 1001, 1001, None, "/home/eve", "/bin/sh", ["docker"], "none"),
        User("root", 0, 0, "root", "/root", "/bin/bash", None, "locked"),
    ]
    assert found.groups == [
        Group("ada", 1000),
        Group("docker", 996, ["ada", "eve"]),
        Group("eve", 1001),
        Group("root", 0),
        Group("sudo", 27, ["ada"]),
    ]


def test_no_hash_of_a_password_is_in_the_state():
    found = msgspec.json.encode(AccountsCollector().collect(fixture_look(TORN)))
    assert b"hashhash" not in found
    assert b"$y$" not in found


def test_the_users_of_this_machine_are_those_that_the_c_library_knows():
    found = AccountsCollector().collect(live_look())
    known = {one.pw_name: one for one in pwd.getpwall() if can_log_in(one.pw_shell)}
    assert {user.name for user in found.users} <= known.keys()
    for user in found.users:
        one = known[user.name]
        assert (user.uid, user.gid, user.home) == (one.pw_uid, one.pw_gid, one.pw_dir)
    for group in found.groups:
        one = grp.getgrnam(group.name)
        assert (group.gid, group.members or []) == (one.gr_gid, sorted(one.gr_mem))


def test_without_the_right_to_read_shadow_passwords_are_unknown_and_the_mend_is_said(monkeypatch):
    real = accounts.read_bytes

    def read(path):
        if path.endswith("shadow"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(accounts, "read_bytes", read)
    collector = AccountsCollector()
    for _ in range(2):
        look = fixture_look(TORN)
        assert {user.password for user in collector.collect(look).users} == {None}
        assert (look.notes, look.hint) == (["whether users have a password may be read by root only"], "run as root")


def test_what_did_not_change_is_the_same_object_and_a_new_user_is_seen(tmp_path):
    shutil.copytree(os.path.join(FIXTURES, TORN), tmp_path, dirs_exist_ok=True)
    collector, look = AccountsCollector(), fixture_look(str(tmp_path))
    first = collector.collect(look)
    assert collector.collect(look) is first
    with open(tmp_path / "etc/passwd", "a") as passwd:
        passwd.write("mary:x:1002:27::/home/mary:/bin/zsh\n")
    assert [user.name for user in collector.collect(look).users] == ["ada", "eve", "mary", "root"]


def test_a_machine_without_passwd_is_no_fault(tmp_path):
    with pytest.raises(AbsentError, match="no passwd file"):
        AccountsCollector().collect(fixture_look(str(tmp_path)))


@pytest.mark.parametrize(
    ("field", "state"),
    [
        ("", "none"),
        ("*", "locked"),
        ("!!", "locked"),
        ("!$6$salt$hash", "locked"),
        ("x", "locked"),
        ("$6$salt$hash", "usable"),
        ("_J9..rasmBYk8r9AiWNc", "usable"),
        ("rl.3StKT.4T8M", "usable"),
    ],
)
def test_what_the_field_of_a_password_says(field, state):
    assert parse_shadow(f"ada:{field}:1:::::".encode())["ada"].password == state


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data):
    assert all(user.name for user in parse_users(data))
    assert all(parse_group(b"a:x:1:" + data))
    assert all(line.password in {"usable", "locked", "none"} for line in parse_shadow(b"a:" + data).values())

import os
import stat
import subprocess
import sys

import pytest

from safetytwin.bridge.auth import FILE, TokenError, TokenStore


def test_a_token_is_known_again_and_others_are_not(tmp_path):
    tokens = TokenStore(tmp_path)
    token = tokens.create("person", name="Ada")
    kept = tokens.check(token)
    assert kept is not None
    assert (kept.kind, kept.name) == ("person", "Ada")
    for other in ("", "st_", token[:-1], token + "x", token.upper(), "st_" + "0" * 12 + "_x", "é", "\udcff", "\0"):
        assert tokens.check(other) is None


def test_the_token_itself_is_nowhere_in_the_file_and_the_file_is_private(tmp_path):
    token = TokenStore(tmp_path).create("agent", host_id="atlas")
    content = (tmp_path / FILE).read_text()
    assert token not in content
    assert token.rpartition("_")[2] not in content
    assert stat.S_IMODE(os.stat(tmp_path / FILE).st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == [FILE, FILE + ".lock"]


def test_a_revoked_token_is_worthless_at_once_in_a_bridge_that_runs(tmp_path):
    bridge, command = TokenStore(tmp_path), TokenStore(tmp_path)
    token = command.create("person")
    kept = bridge.check(token)
    assert kept is not None
    command.revoke(kept.id)
    assert bridge.check(token) is None
    assert command.list() == []


def test_revoking_what_is_not_there_names_what_is(tmp_path):
    tokens = TokenStore(tmp_path)
    tokens.create("person")
    with pytest.raises(TokenError, match=tokens.list()[0].id):
        tokens.revoke("nothing")


def test_an_agents_token_is_bound_by_its_first_use_for_ever(tmp_path):
    tokens = TokenStore(tmp_path)
    token = tokens.create("agent")
    kept = tokens.check(token)
    assert kept is not None
    assert kept.host_id is None
    assert tokens.bind(kept.id, "atlas").host_id == "atlas"
    assert tokens.bind(kept.id, "borea").host_id == "atlas"
    assert TokenStore(tmp_path).check(token).host_id == "atlas"
    tokens.revoke(kept.id)
    assert tokens.bind(kept.id, "atlas") is None


@pytest.mark.parametrize("host_id", ["", "../etc", "A", "a b", "x" * 65, "a\n"])
def test_a_token_for_what_is_no_host_id_is_refused(tmp_path, host_id):
    with pytest.raises(TokenError):
        TokenStore(tmp_path).create("agent", host_id=host_id)


def test_a_person_has_no_host(tmp_path):
    with pytest.raises(TokenError, match="all machines"):
        TokenStore(tmp_path).create("person", host_id="atlas")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 2, "tokens": []}', b"\xff", b'{"version":1,"tokens":[{}]}']
)
def test_a_damaged_file_lets_no_one_in_and_says_how_to_mend_it(tmp_path, content):
    tokens = TokenStore(tmp_path)
    token = tokens.create("person")
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(TokenError, match="make new tokens"):
        tokens.check(token)


def test_a_file_that_others_may_read_is_said_to_be_so(tmp_path, caplog):
    tokens = TokenStore(tmp_path)
    token = tokens.create("person")
    os.chmod(tmp_path / FILE, 0o644)
    assert TokenStore(tmp_path).check(token) is not None
    assert "chmod 600" in caplog.text


CREATE_SOME = """
import pathlib, sys
from safetytwin.bridge.auth import TokenStore
for _ in range(10):
    TokenStore(pathlib.Path(sys.argv[1])).create("agent")
"""


def test_processes_that_make_tokens_at_once_lose_none(tmp_path):
    workers = [subprocess.Popen([sys.executable, "-c", CREATE_SOME, tmp_path]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert len(TokenStore(tmp_path).list()) == 30

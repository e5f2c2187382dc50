"""safetytwin bridge and its tokens, as processes on this machine."""

import json
import os
import signal
import stat
import urllib.error
import urllib.request

import pytest

from parts.bridge import Command, answers, ask, free_port, until

MACHINE = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_end(tmp_path, number) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Command(tmp_path, "bridge", "bridge", "--listen", url.removeprefix("http://")) as bridge:
        until(lambda: answers(url), "the bridge answers")
        assert ask(url, "/api/v1/hosts")["hosts"] == []
        assert bridge.stop(number) == 0
    assert f"listening on {url}" in bridge.said
    assert "Traceback" not in bridge.said
    assert stat.S_IMODE((tmp_path / "state" / "bridge").stat().st_mode) == 0o700


def test_a_port_in_use_is_said(tmp_path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with Command(tmp_path, "first", "bridge", "--listen", address, "--data", str(tmp_path / "1")):
        until(lambda: answers(f"http://{address}"), "the bridge answers")
        with Command(tmp_path, "second", "bridge", "--listen", address, "--data", str(tmp_path / "2")) as second:
            assert second.process.wait(60) == 1
        assert "is in use: another bridge may be running. Choose another with --listen." in second.said


def test_one_bridge_a_data_directory(tmp_path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with Command(tmp_path, "first", "bridge", "--listen", address) as first:
        until(lambda: answers(f"http://{address}"), "the bridge answers")
        with Command(tmp_path, "second", "bridge", "--listen", "127.0.0.1:0") as second:
            assert second.process.wait(60) == 1
        assert f"Another bridge (process {first.process.pid}) uses" in second.said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--listen", "127.0.0.2.3:x"], 2, "is no address to listen on"),
        (["--listen", "0.0.0.0:0"], 1, "it needs TLS (--tls-cert FILE --tls-key FILE), or a proxy"),
        (["--tls-cert", "/nowhere"], 1, "TLS needs both files"),
        (["--listen", "0.0.0.0:0", "--behind-proxy"], 1, "safetytwin bridge token create --person --data"),
        (["--data", "/proc/nowhere"], 1, "Choose one with --data"),
        (["--data", "/dev/null"], 1, "Choose one with --data"),
        (["tokens"], 2, "token"),
        (["token"], 2, "create,list,revoke"),
    ],
)
def test_what_can_not_be_is_said(tmp_path, arguments, code, said) -> None:
    with Command(tmp_path, "bridge", "bridge", *arguments) as bridge:
        assert bridge.process.wait(60) == code
    assert said in bridge.said
    assert "Traceback" not in bridge.said


def _status(url, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:  # noqa: S310 - a test's own bridge
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_tokens_are_made_shown_once_and_revoked(safetytwin, tmp_path) -> None:
    data = tmp_path / "bridge"
    code, person, err = safetytwin("bridge", "token", "create", "--person", "--name", "ann\x1b", "--data", data)
    assert (code, err) == (0, "Keep it in a file that only its owner may read: it is not shown again.\n")
    person = person.strip()
    agent = safetytwin("bridge", "--data", data, "token", "create", "--host-id", MACHINE)[1].strip()
    free = safetytwin("bridge", "token", "create", "--data", data)[1].strip()
    _, listed, _ = safetytwin("bridge", "token", "list", "--data", data)
    assert [line.split()[1] for line in listed.splitlines()] == ["person", "agent", "agent"]
    assert "ann\\x1b" in listed
    assert MACHINE in listed
    assert "not used yet" in listed
    for token in (person, agent, free):
        assert token not in listed
        assert token.split("_", 2)[2] not in (data / "tokens.json").read_text()
    rows = json.loads(safetytwin("bridge", "token", "list", "--json", "--data", data)[1])["tokens"]
    assert [row["kind"] for row in rows] == ["person", "agent", "agent"]
    assert all("sha256" not in row for row in rows)
    url = f"http://127.0.0.1:{free_port()}"
    with Command(
        tmp_path, "b", "bridge", "--require-tokens", "--listen", url.removeprefix("http://"), "--data", str(data)
    ):
        until(lambda: answers(url), "the bridge answers")
        assert _status(f"{url}/api/v1/hosts") == 401
        assert _status(f"{url}/api/v1/hosts", person) == 200
        assert _status(f"{url}/api/v1/hosts", agent) == 403
        code, _, err = safetytwin("hosts", "--bridge", url)
        assert code == 1
        assert "asks for a token" in err
        (tmp_path / "token").write_text(person)
        assert safetytwin("hosts", "--bridge", url, "--token-file", tmp_path / "token")[0] == 0
        assert safetytwin("bridge", "token", "revoke", person.split("_")[1], "--data", data)[0] == 0
        assert _status(f"{url}/api/v1/hosts", person) == 401
        code, _, err = safetytwin("hosts", "--bridge", url, "--token-file", tmp_path / "token")
        assert code == 1
        assert "does not know the token" in err


def test_a_token_that_there_is_not_can_not_be_revoked(safetytwin, tmp_path) -> None:
    code, _, err = safetytwin("bridge", "token", "revoke", "nope", "--data", tmp_path)
    assert code == 1
    assert "There is no token 'nope'" in err


def test_a_person_has_no_machine(safetytwin, tmp_path) -> None:
    code, _, err = safetytwin("bridge", "token", "create", "--person", "--host-id", MACHINE, "--data", tmp_path)
    assert code == 1
    assert "leave out the host id" in err


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: gives a directory to another user")
def test_tokens_are_made_as_the_user_that_the_bridge_runs_as(safetytwin, tmp_path) -> None:
    os.chown(tmp_path, 65534, 65534)
    code, out, err = safetytwin("bridge", "token", "create", "--data", tmp_path)
    assert (code, out) == (1, "")
    assert "belongs to nobody: run this as that user, such as: sudo -u nobody safetytwin bridge token ..." in err
    assert not list(tmp_path.iterdir())

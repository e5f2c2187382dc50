"""Frames over NATS: what the agent is told, and what the server lets it do."""

import contextlib
import json
import os

import pytest
import zstandard

from parts.bridge_http import full_frame
from parts.nats import linked, nats_server
from safetytwin.agent.bridge_client import BridgeUrlError
from safetytwin.agent.nats_client import NatsClient
from safetytwin.nats_subjects import PART, RETRY, STATUS, ingest_subject

PERMISSIONS = """
authorization {
  users: [
    { user: bridge, password: b, permissions: { publish: ">", subscribe: ">" } }
    { user: atlas, password: a, permissions: {
        publish: "safetytwin.ingest.%s", subscribe: "_INBOX.atlas.>" } }
  ]
}
""" % ingest_subject("atlas").removeprefix("safetytwin.ingest.")  # noqa: UP031 - braces are NATS's own
FRAME = zstandard.ZstdCompressor().compress(json.dumps(full_frame()).encode())


@pytest.fixture
def server(tmp_path):
    with nats_server(tmp_path / "nats", config=PERMISSIONS, userinfo="bridge:b@") as server:
        yield server


@pytest.fixture
def owner(server):
    """Give the connection of a bridge."""
    with linked(server.url.replace("://", "://bridge:b@")) as link:
        yield link


@contextlib.contextmanager
def client(server, tmp_path, host_id="atlas", secret="atlas:a"):  # noqa: S107 - of a server of this test
    path = tmp_path / "credentials"
    path.write_text(secret)
    sender = NatsClient(server.url, host_id, credentials_file=str(path), ca_file=None)
    try:
        yield sender
    finally:
        sender.close()


def answering(link, host_id, status, body=b"{}", **headers):
    """Answer frames of a machine as its owner would; returns what came."""
    came = []

    def got(message):
        came.append(message)
        if message.headers[PART].split("/")[0] == message.headers[PART].split("/")[1]:
            link.send(message.reply, body, headers={STATUS: str(status)} | headers)

    link.subscribe(ingest_subject(host_id), got)
    return came


def test_frames_are_joined_and_the_answer_is_as_over_http(server, owner, tmp_path):
    came = answering(owner, "atlas", 200)
    with client(server, tmp_path) as sender:
        assert sender.send([FRAME, FRAME]).status == 200
    frames = json.loads(zstandard.ZstdDecompressor().stream_reader(came[0].data, read_across_frames=True).read())
    assert [frame["host_id"] for frame in frames] == ["atlas", "atlas"]


@pytest.mark.parametrize("need", ["full", "identity"])
def test_what_the_bridge_needs_is_told(server, owner, tmp_path, need):
    answering(owner, "atlas", 409, json.dumps({"need": need, "detail": "why"}).encode())
    with client(server, tmp_path) as sender:
        answer = sender.send([FRAME])
    assert (answer.status, answer.need, answer.detail) == (409, need, "why")


def test_a_busy_bridge_says_when_to_come_back(server, owner, tmp_path):
    answering(owner, "atlas", 503, **{RETRY: "7"})
    with client(server, tmp_path) as sender:
        answer = sender.send([FRAME])
    assert (answer.status, answer.retry_after) == (503, 7.0)


def test_more_than_a_message_may_hold_goes_in_parts(server, owner, tmp_path):
    came = answering(owner, "atlas", 200)
    large = os.urandom(3 << 20)
    with client(server, tmp_path) as sender:
        assert sender.send([large]).status == 200
    assert [message.headers[PART] for message in came] == ["1/4", "2/4", "3/4", "4/4"]
    assert large in b"".join(message.data for message in came)
    assert len({message.reply for message in came}) == 1


def test_where_no_bridge_has_the_machine_it_waits_a_little(server, tmp_path):
    with client(server, tmp_path) as sender:
        answer = sender.send([FRAME])
    assert answer.status == 503
    assert answer.retry_after


def test_without_nats_it_is_as_a_bridge_that_is_away(server, tmp_path, monkeypatch):
    monkeypatch.setattr("safetytwin.agent.nats_client.TIMEOUT_SECONDS", 1.0)
    server.kill()
    with client(server, tmp_path) as sender:
        answer = sender.send([FRAME])
    assert answer.status == 0
    assert answer.detail


def test_the_server_refuses_to_publish_as_another_machine(server, owner, tmp_path, monkeypatch):
    monkeypatch.setattr("safetytwin.agent.nats_client.TIMEOUT_SECONDS", 2.0)
    came = answering(owner, "rhea", 200)
    with client(server, tmp_path, host_id="rhea") as sender:
        assert sender.send([FRAME]).status == 0
    assert came == []


def test_the_server_refuses_to_listen_to_answers_for_another_machine(server, owner, tmp_path):
    heard = []
    with linked(server.url.replace("://", "://atlas:a@")) as spy:
        spy.subscribe("_INBOX.rhea.>", heard.append)
        owner.publish("_INBOX.rhea.1", b"for rhea")
        answering(owner, "atlas", 200)
        with client(server, tmp_path) as sender:
            assert sender.send([FRAME]).status == 200
    assert heard == []


def test_a_secret_in_the_url_is_refused_and_not_shown(tmp_path):
    with pytest.raises(BridgeUrlError, match="--token-file") as refused:
        NatsClient("nats://atlas:geheim@127.0.0.1:4222", "atlas", credentials_file=None, ca_file=None)
    assert "geheim" not in str(refused.value)


def test_the_wrong_secret_is_told_without_showing_it(server, tmp_path, monkeypatch):
    monkeypatch.setattr("safetytwin.agent.nats_client.TIMEOUT_SECONDS", 3.0)
    with client(server, tmp_path, secret="atlas:geheim") as sender:
        answer = sender.send([FRAME])
    assert answer.status == 0
    assert "credentials" in answer.detail
    assert "geheim" not in answer.detail

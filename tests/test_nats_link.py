"""The connection to NATS, with real servers."""

import signal
import threading
import time

import pytest

from parts.bridge import until
from parts.nats import linked, nats_cluster, nats_server
from safetytwin.nats_address import NatsAddressError, nats_address
from safetytwin.nats_link import LinkError, NatsLink


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


def test_what_is_asked_is_answered_and_what_is_published_is_heard(server):
    with linked(server.url) as one, linked(server.url) as other:
        end = one.subscribe("ask.*", lambda message: one.send(message.reply, message.subject.encode() + message.data))
        assert other.request("ask.now", b"!").data == b"ask.now!"
        heard = []
        one.subscribe("news", heard.append)
        other.publish("news", b"first", headers={"Kind": "test"})
        until(lambda: heard, "it was heard")
        assert (heard[0].subject, heard[0].data, heard[0].headers["Kind"]) == ("news", b"first", "test")
        end()
        with pytest.raises(LinkError, match="Nobody listens"):
            other.request("ask.now", b"!")


def test_of_one_queue_one_hears_each_message(server):
    with linked(server.url) as one, linked(server.url) as other:
        heard = []
        for link in (one, other):
            link.subscribe("work", heard.append, queue="workers")
        for number in range(20):
            one.publish("work", str(number).encode())
        until(lambda: len(heard) >= 20, "all were heard")
        assert sorted(int(message.data) for message in heard) == list(range(20))


def test_an_error_of_jetstream_has_its_number(server):
    with linked(server.url) as link, pytest.raises(LinkError, match="stream not found") as caught:
        link.call(lambda client: client.jetstream().stream_info("none"))
    assert caught.value.code == 10059
    assert not caught.value.unknown


def test_where_nobody_is_it_says_so_and_goes_on_trying(tmp_path):
    with nats_server(tmp_path) as server:
        url = server.url
        server.stop()
        link = NatsLink(nats_address(url))
        try:
            with pytest.raises(LinkError, match="can't be reached"):
                link.wait(0.5)
            with pytest.raises(LinkError, match="can't be reached"):
                link.request("ask")
            server.start()
            link.wait(30)
        finally:
            link.close()
        with pytest.raises(LinkError, match="closed"):
            link.request("ask")


def test_after_a_cut_it_is_back_with_its_subscriptions(tmp_path):
    with nats_server(tmp_path) as server, linked(server.url) as link:
        heard, changes = [], []
        link.when_changed(changes.append)
        link.subscribe("news", heard.append)
        link.subscribe("never", lambda _: None)
        waiting = threading.Timer(0.3, server.kill)
        waiting.start()
        began = time.monotonic()
        with pytest.raises(LinkError, match="lost before the answer") as caught:
            link.request("never", timeout=60)
        assert caught.value.unknown
        assert time.monotonic() - began < 30
        waiting.join()
        until(lambda: not link.connected, "the loss was seen")
        server.start()
        link.wait(30)
        until(lambda: changes == [False, True], "the changes were told")
        link.publish("news", b"again")
        until(lambda: heard, "the subscription was made again")


def test_a_server_that_no_longer_answers_is_left(tmp_path):
    with nats_cluster(tmp_path) as cluster, linked(cluster.url) as link:
        port = link.call(_port)
        (stopped,) = (server for server in cluster.servers if server.port == port)
        stopped.signal(signal.SIGSTOP)
        try:
            until(lambda: link.connected and link.call(_port) != port, "another server was found")
            link.call(lambda client: client.jetstream().account_info())
        finally:
            stopped.signal(signal.SIGCONT)


async def _port(client):
    return client.connected_url.port


def test_a_user_is_let_in_by_the_address_and_by_a_file(tmp_path):
    config = 'authorization { users: [ { user: "bridge", password: "open sesame" } ] }'
    secret = tmp_path / "secret"
    secret.write_text("bridge:open sesame\n")
    with nats_server(tmp_path / "server", config=config, userinfo="bridge:open%20sesame@") as server:
        with linked(server.url.replace("://", "://bridge:open%20sesame@")) as link:
            link.publish("news")
        with linked(server.url, credentials_file=secret) as link:
            link.publish("news")
        link = NatsLink(nats_address(server.url.replace("://", "://bridge:wrong-one@")))
        try:
            with pytest.raises(LinkError, match="are not the server's") as caught:
                link.wait(2)
            assert "wrong-one" not in str(caught.value)
        finally:
            link.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://nats:4222", "begins with nats://"),
        ("nats://", "HOST or HOST:PORT"),
        ("nats://a:b:c", "HOST or HOST:PORT"),
        ("nats://a:99999", "HOST or HOST:PORT"),
        ("nats://a,,b", "HOST or HOST:PORT"),
        ("nats://a/b", "HOST or HOST:PORT"),
        ("nats://a?replicas", "OPTION=VALUE"),
    ],
)
def test_an_address_that_is_none_is_refused(url, why):
    with pytest.raises(NatsAddressError, match=why):
        nats_address(url)


def test_an_address_in_parts(tmp_path):
    found = nats_address("nats://me:se%40cret@one:1,[::1],two?replicas=3&max_bytes=5G")
    assert found.servers == ("one:1", "[::1]:4222", "two:4222")
    assert (found.user, found.password) == ("me", "se@cret")
    assert found.options == (("replicas", "3"), ("max_bytes", "5G"))
    assert found.text == "nats://one:1,[::1]:4222,two:4222"
    assert "se@cret" not in repr(found)
    with pytest.raises(NatsAddressError, match="leave one out"):
        nats_address("nats://me:secret@one", credentials_file=tmp_path / "none")
    with pytest.raises(NatsAddressError, match="can't be read"):
        nats_address("nats://one", credentials_file=tmp_path / "none")
    with pytest.raises(NatsAddressError, match="authority"):
        nats_address("tls://one", ca_file=tmp_path / "none")

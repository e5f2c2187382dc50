"""Starting, refusing to start, and ending."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import httpx
import pytest

from parts.bridge_http import full_frame, memory_keeper, post_frames, running
from safetytwin.bridge.auth import TokenStore
from safetytwin.bridge.server import BridgeError, BridgeOptions, BridgeThread, run_bridge


def options(tmp_path, **more):
    return BridgeOptions(tmp_path, memory_keeper, **{"port": 0} | more)


def refused(options):
    with pytest.raises(BridgeError) as caught, BridgeThread(options):
        pass
    return str(caught.value)


def test_off_loopback_it_needs_tls_or_a_proxy_and_a_token(tmp_path):
    text = refused(options(tmp_path, host="0.0.0.0"))
    assert "--tls-cert" in text
    assert "--behind-proxy" in text
    assert "bridge token create" in refused(options(tmp_path, host="0.0.0.0", behind_proxy=True))
    TokenStore(tmp_path).create("person")
    with BridgeThread(options(tmp_path, host="0.0.0.0", behind_proxy=True)) as url:
        port = url.rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/hosts").status_code == 401


def test_behind_a_proxy_loopback_is_no_open_door(tmp_path):
    TokenStore(tmp_path).create("person")
    with running(tmp_path, behind_proxy=True) as client:
        assert client.get("/api/v1/hosts").status_code == 401


def test_a_port_in_use_is_said_to_be_so(tmp_path, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "in use" in refused(options(tmp_path, port=port))
        assert run_bridge(options(tmp_path, port=port)) == 1
    assert "in use" in caplog.text


def test_a_second_bridge_on_the_same_data_is_refused(tmp_path):
    with BridgeThread(options(tmp_path)):
        text = refused(options(tmp_path))
        assert str(os.getpid()) in text
        assert "Another bridge" in text
    with BridgeThread(options(tmp_path)):
        pass


def test_a_data_directory_that_can_not_be_made_is_said_to_be_so(tmp_path):
    (tmp_path / "file").write_text("")
    assert "--data" in refused(options(tmp_path / "file" / "data"))


def test_its_data_directory_is_its_users_alone(tmp_path):
    with BridgeThread(options(tmp_path / "data")):
        assert os.stat(tmp_path / "data").st_mode & 0o777 == 0o700


def test_more_names_can_be_allowed(tmp_path):
    with running(tmp_path, allow_hosts=("Twin.Example",)) as client:
        assert client.get("/healthz", headers={"Host": "twin.example:5678"}).status_code == 200
        assert client.get("/healthz", headers={"Host": "other.example"}).status_code == 421


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "cert"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"openssl can't make a certificate: {made.stderr!r}")
    return folder / "cert", folder / "key"


def test_tls_from_files(tmp_path, certificate):
    cert, key = certificate
    TokenStore(tmp_path).create("person")
    with BridgeThread(options(tmp_path, host="0.0.0.0", tls_certificate=cert, tls_key=key)) as url:
        port = url.rpartition(":")[2]
        context = ssl.create_default_context(cafile=cert)
        with httpx.Client(verify=context, base_url=f"https://localhost:{port}") as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/api/v1/hosts").status_code == 401


def test_tls_files_that_can_not_be_used(tmp_path, certificate):
    cert, key = certificate
    assert "both" in refused(options(tmp_path, tls_certificate=cert))
    assert "can't be used" in refused(options(tmp_path, tls_certificate=key, tls_key=cert))
    assert "can't be used" in refused(options(tmp_path, tls_certificate=tmp_path / "no", tls_key=tmp_path / "no"))


def test_it_ends_while_a_browser_keeps_its_connection(tmp_path):
    thread = BridgeThread(options(tmp_path))
    url = thread.start()
    with httpx.Client(base_url=url) as client:
        assert client.get("/healthz").status_code == 200
        ended = threading.Thread(target=thread.stop)
        ended.start()
        ended.join(20)
        assert not ended.is_alive()


PROGRAM = """
import pathlib, sys
from parts.bridge_http import memory_keeper
from safetytwin.bridge.server import BridgeOptions, run_bridge
def ready(url):
    print(url, flush=True)
sys.exit(run_bridge(BridgeOptions(pathlib.Path(sys.argv[1]), memory_keeper, port=0, on_ready=ready)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_with_status_0_after_what_is_in_flight(tmp_path, number):
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as bridge:
        url = bridge.stdout.readline().strip()
        host, _, port = url.removeprefix("http://").rpartition(":")
        with httpx.Client(base_url=url) as client:
            assert post_frames(client, [full_frame()]).status_code == 200
        with socket.create_connection((host, int(port)), timeout=20) as half:
            half.sendall(b"POST /api/v1/update_state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{")
            time.sleep(0.3)
            bridge.send_signal(number)
            time.sleep(0.3)
            half.sendall(b"}")
            assert b" 422 " in half.recv(65536)
        assert bridge.wait(20) == 0
        assert "Traceback" not in bridge.stderr.read()

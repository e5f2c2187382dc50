"""Real NATS servers with JetStream on loopback: one, or a cluster of three whose servers are killed and restarted."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from parts.bridge import free_port, until
from safetytwin.nats_address import nats_address
from safetytwin.nats_link import LinkError, NatsLink

NATS_SERVER = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin")


class NatsServer:
    """One nats-server as a process, its files in a folder of its own."""

    def __init__(self, folder, *, config="", name="alone", port=None, host="127.0.0.1"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port(host)
        self.url = f"nats://{host}:{self.port}"
        self.log = self.folder / "nats.log"
        self.store = self.folder / "jetstream"
        self.process = None
        self._config = self.folder / "nats.conf"
        self._config.write_text(
            f'server_name: "{name}"\nlisten: "{host}:{self.port}"\nlog_file: "{self.log}"\n'
            f'jetstream {{ store_dir: "{self.store}" }}\n{config}\n'
        )

    def start(self):
        """Start it; it may still be on its way when this returns."""
        assert self.process is None
        self.process = subprocess.Popen(
            [NATS_SERVER, "-c", str(self._config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def kill(self):
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        """End it in order."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def signal(self, number):
        """Send it a signal, such as SIGSTOP."""
        self.process.send_signal(number)


class NatsCluster:
    """Three servers that know each other."""

    def __init__(self, folder, *, config=""):
        ports = [free_port() for _ in range(3)]
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        self.servers = [
            NatsServer(
                Path(folder) / f"nats{number}",
                name=f"nats{number}",
                config=f'cluster {{ name: "test", listen: "127.0.0.1:{port}", routes: [{routes}] }}\n{config}',
            )
            for number, port in enumerate(ports, 1)
        ]
        self.url = f"nats://{','.join(one.url.removeprefix('nats://') for one in self.servers)}"

    def start(self):
        """Start all that do not run."""
        for server in self.servers:
            if server.process is None:
                server.start()
        return self

    def stop(self):
        """End all at once, as an order to do so one after the other would wait for each to hand over."""
        for server in self.servers:
            server.kill()


def jetstream_is_up(url):
    """Say whether JetStream answers, in a cluster that has a leader."""
    link = NatsLink(nats_address(url), name="test")
    try:
        link.wait(2)
        link.call(lambda client: client.jetstream(timeout=2).account_info(), timeout=3)
    except LinkError:
        return False
    else:
        return True
    finally:
        link.close()


def wait_for(url):
    """Wait until JetStream answers."""
    until(lambda: jetstream_is_up(url), f"JetStream answered at {url}")


@contextlib.contextmanager
def nats_server(folder, *, config="", userinfo=""):
    """Run one server with JetStream; config is more of its configuration, userinfo (USER:PASSWORD@) who may ask it."""
    _needed()
    server = NatsServer(folder, config=config).start()
    try:
        wait_for(server.url.replace("://", f"://{userinfo}"))
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def nats_cluster(folder, *, config=""):
    """Run a cluster of three."""
    _needed()
    cluster = NatsCluster(folder, config=config).start()
    try:
        wait_for(cluster.url)
        yield cluster
    finally:
        cluster.stop()


@contextlib.contextmanager
def linked(url, **options):
    """Give a link that has its connection."""
    link = NatsLink(nats_address(url, **options), name="test")
    try:
        link.wait(20)
        yield link
    finally:
        link.close()


def _needed():
    if NATS_SERVER is None:
        pytest.skip("no nats-server here (Debian's package nats-server)")

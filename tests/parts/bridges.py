"""Several bridges on one store in NATS, and simulated machines whose agents report to all of them."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import zstandard

from parts.bridge import PATIENCE, Command, answers, free_port, until
from safetytwin.agent.bridge_client import BridgeClient
from safetytwin.agent.nats_client import NatsClient
from safetytwin.agent.outbox import Outbox
from safetytwin.agent.spool import Spool
from safetytwin.bridge.auth import TokenStore
from safetytwin.changes.diff import tree_of
from safetytwin.changes.trees import canonical_bytes
from safetytwin.fleet.machine import Machine

_HASTE = 20.0
"""How much faster time passes for agents that wait before they try again: minutes are no test."""
_PERIOD = 0.5


class Bridge:
    """One bridge as a process that is killed and started again; within is what starts it elsewhere."""

    def __init__(self, folder, name, store, *, host="127.0.0.1", within=()):
        self.url = f"http://{host}:{free_port() if host == '127.0.0.1' else 5678}"
        self._arguments = [
            *("bridge", "--listen", self.url.removeprefix("http://"), "--data", str(folder / name)),
            *("--store", store, *(() if host == "127.0.0.1" else ("--behind-proxy",))),
        ]
        self._folder, self._name, self._within = folder, name, within
        self.command = None
        # Off loopback a bridge asks for tokens.
        self.token = None if host == "127.0.0.1" else TokenStore(_made(folder / name)).create("person")

    def start(self):
        self.command = Command(self._folder, self._name, *self._arguments, within=self._within)
        return self

    def kill(self):
        self.command.kill()

    def stop(self):
        if self.command is not None:
            self.command.__exit__()

    def get(self, path):
        """Return an answer; where the bridge says to come back in a moment, as while machines move, the one after."""
        return until(lambda: found if (found := self.ask(path)).status_code != 503 else None, f"{path} was answered")

    def ask(self, path):
        return httpx.get(self.url + path, timeout=40, headers=self._headers)

    @property
    def _headers(self):
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def is_whole(self):
        """Say whether it answers for all machines, whichever bridges have them."""
        return answers(self.url) and self.get("/api/v1/hosts").json()["incomplete"] is None


def _made(folder):
    folder.mkdir(mode=0o700)
    return folder


class Doors:
    """Sends to one bridge after the other, as behind a load balancer, and remembers what was acknowledged."""

    def __init__(self, clients):
        self._clients = itertools.cycle(clients)
        self.acknowledged = set()

    def send(self, frames):
        answer = next(self._clients).send(frames)
        if answer.status == 200:
            for frame in frames:
                self.acknowledged.add(msgspec.json.decode(zstandard.decompress(frame))["seq"])
        return answer


class Reporter:
    """A simulated machine with a real agent's outbox and spool."""

    def __init__(self, host_id, clients, folder):
        self.host_id = host_id
        self.doors = Doors(clients)
        self.machine = Machine(host_id, processes=8, start=time.time(), interval=_PERIOD)
        self.outbox = Outbox(host_id, self.doors, Spool(str(folder), 64 << 20), clock=lambda: time.monotonic() * _HASTE)
        self.sent = 0
        self.last = b""

    def report(self):
        state = self.machine.look()
        self.last = canonical_bytes(tree_of(state))
        self.sent += 1
        self.outbox.deliver(state, time.monotonic())
        self.outbox.drain()

    def is_through(self):
        """Say whether all that was seen has been acknowledged."""
        return self.doors.acknowledged == set(range(self.sent))


class Fleet:
    """Machines that report all the time, in threads."""

    def __init__(self, folder, number, bridges, nats_url):
        """Every third machine reports over NATS, the others over HTTP to every bridge in turn."""
        self.reporters = []
        self._clients = []
        for index in range(number):
            host_id = f"machine-{index}" if index % 2 else f"machine-{index}.example"
            if index % 3 == 2:
                clients = [NatsClient(nats_url, host_id, credentials_file=None, ca_file=None)]
            else:
                clients = [BridgeClient(bridge.url, host_id, token=bridge.token) for bridge in bridges]
            self._clients += clients
            self.reporters.append(Reporter(host_id, clients, folder / f"spool-{index}"))
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(16)
        self._running = []

    def start(self):
        groups = [self.reporters[index::16] for index in range(16)]
        self._running = [self._threads.submit(self._report, group) for group in groups if group]
        return self

    def _report(self, reporters):
        while not self._stop.is_set():
            for reporter in reporters:
                reporter.report()
            self._stop.wait(_PERIOD)

    def pause(self):
        """End reporting; raises what went wrong in it."""
        self._stop.set()
        for running in self._running:
            running.result(PATIENCE)

    def goes_on(self, rounds=3):
        """Wait until each machine has reported some more, and was answered at least once."""
        before = [(one.sent, len(one.doors.acknowledged)) for one in self.reporters]

        def on():
            return all(
                one.sent >= sent + rounds and len(one.doors.acknowledged) > acknowledged
                for one, (sent, acknowledged) in zip(self.reporters, before, strict=True)
            )

        until(on, "every machine was heard")

    def finish(self):
        """End reporting, with all that waits delivered."""
        self.pause()

        def through():
            late = [one for one in self.reporters if not one.is_through()]
            for one in late:
                one.report()
            return not late

        until(through, "all that waited was delivered")

    def close(self):
        self._stop.set()
        self._threads.shutdown(wait=True)
        for client in self._clients:
            client.close()

    def check(self, bridges):
        """See that every bridge tells each machine's last state, each of its states once and in order."""
        for one in self.reporters:
            assert one.outbox.dropped == 0, one.host_id
            told = [bridge.get(f"/api/v1/hosts/{one.host_id}") for bridge in bridges]
            for answer in told:
                assert answer.content == one.last, one.host_id
                assert answer.headers["SafetyTwin-Revision"] == str(one.sent), one.host_id
            for bridge in bridges:
                moments = bridge.get(f"/api/v1/hosts/{one.host_id}/moments").json()
                assert moments["revisions"] == one.sent, one.host_id
        everyone = sorted(one.host_id for one in self.reporters)
        for bridge in bridges:
            found = bridge.get("/api/v1/hosts?limit=1000").json()
            assert [row["host_id"] for row in found["hosts"]] == everyone
            assert found["incomplete"] is None

"""Agent and bridge as processes on this machine: what happens on it is seen, and no crash loses or doubles anything."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import urllib.parse

import pytest

from parts.bridge import Command, answers, ask, free_port, until
from parts.recording_proxy import recording_proxy
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.changes.trees import canonical_bytes
from safetytwin.models.timestamps import seconds_of, timestamp

CRASHES = int(os.environ.get("TEST_CRASHES", "15"))
"""How often something is killed; ./dev test takes a few, a night takes more."""


def _state(url, host_id, at=None):
    query = "" if at is None else f"?at={urllib.parse.quote(at)}"
    return ask(url, f"/api/v1/hosts/{host_id}{query}")


def _events(url, host_id):
    return ask(url, f"/api/v1/hosts/{host_id}/events?limit=1000")["events"]


def _pids(state):
    return {process["pid"] for process in state["processes"]}


def _only_host(url):
    (host,) = until(lambda: ask(url, "/api/v1/hosts")["hosts"], "a machine has reported")
    return host["host_id"]


@pytest.mark.slow
def test_a_process_that_comes_and_goes_is_seen_and_can_be_seen_again(tmp_path) -> None:
    program = tmp_path / "st-guest"  # a name of its own: events of one name are folded
    shutil.copy("/bin/sleep", program)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Command(tmp_path, "up", "up", "--no-browser", "--interval", "0.5", "--listen", f"127.0.0.1:{port}") as up:
        host_id = _only_host(url)
        with subprocess.Popen([program, "600"]) as guest:
            try:
                until(lambda: guest.pid in _pids(_state(url, host_id)), "the process is seen")
                while_it_ran = timestamp(time.time())
            finally:
                guest.kill()
        until(lambda: guest.pid not in _pids(_state(url, host_id)), "its end is seen")
        (then,) = [one for one in _state(url, host_id, while_it_ran)["processes"] if one["pid"] == guest.pid]
        assert then["name"] == "st-guest"
        assert then["cmdline"] == [str(program), "600"]

        def told():
            events = [one for one in _events(url, host_id) if one["details"].get("name") == "st-guest"]
            return events if len(events) == 2 else None

        exited, started = until(told, "both are told")
        assert (started["kind"], exited["kind"]) == ("process.started", "process.exited")
        assert started["details"]["pid"] == guest.pid
        assert seconds_of(started["at"]) < seconds_of(while_it_ran) < seconds_of(exited["at"])
        assert up.stop() == 0


class _Parts:
    """A bridge and an agent that are killed and started again."""

    def __init__(self, folder, stack):
        self._folder = folder
        self._stack = stack
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.proxy, self.recording = stack.enter_context(recording_proxy(self.port))
        self.bridge = self.start_bridge()
        self.agent = self.start_agent()

    def start_bridge(self):
        return self._start("bridge", "bridge", "--listen", f"127.0.0.1:{self.port}")

    def start_agent(self):
        return self._start("agent", "agent", "--bridge", self.proxy, "--interval", "0.2")

    def _start(self, name, *arguments):
        return self._stack.enter_context(Command(self._folder, name, *arguments))


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * CRASHES)
def test_no_crash_loses_what_was_acknowledged_or_doubles_anything(tmp_path) -> None:
    seed = int(os.environ.get("TEST_CRASH_SEED", random.randrange(1 << 32)))
    dice = random.Random(seed)
    print(f"TEST_CRASH_SEED={seed}")
    with contextlib.ExitStack() as stack:
        parts = _Parts(tmp_path, stack)
        recording = parts.recording
        host_id = _only_host(parts.url)
        for _ in range(CRASHES):
            time.sleep(dice.uniform(0.0, 3.0))  # a start takes about one
            killed = dice.choice(["bridge", "agent", "both"])
            if killed != "agent":
                parts.bridge.kill()
            if killed != "bridge":
                parts.agent.kill()
            time.sleep(dice.choice([0.0, dice.uniform(0.0, 1.0)]))
            if killed != "agent":
                parts.bridge = parts.start_bridge()
            if killed != "bridge":
                parts.agent = parts.start_agent()
        until(lambda: answers(parts.url), "the bridge answers")
        # A start without what it remembers of the bridge's absence: it need not wait long before it asks again.
        # It may just have been started, and not listen for signals yet.
        assert parts.agent.stop() in {0, -signal.SIGTERM}
        parts.agent = parts.start_agent()

        def nothing_waits() -> bool:
            agent = _state(parts.url, host_id)["agent"]
            return agent["pid"] == parts.agent.process.pid and agent.get("frames_spooled") == 0

        until(nothing_waits, "the new agent reports and nothing waits any more")
        assert parts.agent.stop() == 0
        last = max(recording.acknowledged & set(_newest(recording)), key=lambda name: name[1])
        assert canonical_bytes(_state(parts.url, host_id)) == recording.states()[last], "the twin is the agent's last"
        kinds = [event["kind"] for event in _events(parts.url, host_id)]
        assert kinds.count("host.up") == 1
        assert "host.conflict" not in kinds
        assert parts.bridge.stop() == 0
    assert [answer for answer in recording.refusals if answer[0] not in {409, 503}] == []
    assert len({epoch for epoch, _ in recording.sent}) > 1
    store = SqliteStore(tmp_path / "state" / "bridge")
    try:
        _check(store, host_id, recording)
    finally:
        store.close()
    for log in ("bridge", "agent"):
        assert "Traceback" not in (tmp_path / f"{log}.log").read_text()


def _newest(recording):
    """Return the names of the frames of the agent's last run: that which sent last."""
    newest = list(recording.sent.values())[-1].epoch
    return [name for name in recording.sent if name[0] == newest]


def _check(store, host_id, recording):
    states = recording.states()
    orders = {mark.epoch: mark.order for mark in store.epochs(host_id)}
    kept = {name for name in states if name[0] in orders and store.has(host_id, orders[name[0]], name[1])}
    assert recording.acknowledged <= kept, "what was acknowledged is there"
    assert store.span(host_id, None, None).revisions == len(kept), "and nothing else, and nothing twice"
    places = []
    for epoch, seq in sorted(kept, key=lambda name: (orders[name[0]], name[1])):
        past = store.state_of(host_id, orders[epoch], seq)
        assert past.state == states[epoch, seq]
        places.append((past.frame.monotonic, past.frame.at))
        assert store.state_at(host_id, past.frame.at).state == past.state
    for clock in zip(*places, strict=True):
        assert list(clock) == sorted(set(clock)), "they are in the order in which they were seen, late ones too"
    assert store.stats().damaged == 0


@pytest.mark.slow
def test_two_agents_of_one_identity_are_a_conflict(tmp_path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Command(tmp_path, "bridge", "bridge", "--listen", f"127.0.0.1:{port}"):
        until(lambda: answers(url), "the bridge answers")
        with Command(tmp_path, "first", "agent", "--bridge", url, "--interval", "0.3") as first:
            host_id = _only_host(url)
            clone = tmp_path / "clone"
            clone.mkdir()
            shutil.copy(tmp_path / "state" / "identity.json", clone / "identity.json")
            with Command(
                tmp_path, "second", "agent", "--bridge", url, "--interval", "0.3", "--state-directory", str(clone)
            ) as second:
                loser = until(
                    lambda: next((one for one in (first, second) if one.process.poll() is not None), None),
                    "one of them is stopped",
                )
                assert loser.process.returncode == 1
                assert f"another machine reports as {host_id}" in loser.said
                assert "safetytwin agent --reset-identity" in loser.said
                assert "host.conflict" in {event["kind"] for event in _events(url, host_id)}
                until(lambda: ask(url, "/api/v1/hosts")["hosts"][0]["status"] == "conflict", "it is shown")
        reset = Command(tmp_path, "reset", "agent", "--reset-identity", "--state-directory", str(clone))
        with reset:
            assert reset.process.wait(60) == 0
        with Command(tmp_path, "third", "agent", "--bridge", url, "--interval", "0.3", "--state-directory", str(clone)):
            until(lambda: len(ask(url, "/api/v1/hosts")["hosts"]) == 2, "the clone is a machine of its own")
    identities = {
        json.loads((folder / "identity.json").read_text())["host_id"] for folder in (clone, tmp_path / "state")
    }
    assert len(identities) == 2

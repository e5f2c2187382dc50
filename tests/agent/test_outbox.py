"""Whatever the bridge and the network do, it ends with the agent's state, and every frame that waited arrives."""

import random

import msgspec
import pytest
import zstandard

from safetytwin.agent.bridge_client import Answer
from safetytwin.agent.outbox import IdentityConflictError, Outbox
from safetytwin.agent.spool import Spool
from safetytwin.changes.diff import tree_of
from safetytwin.changes.trees import canonical_bytes
from safetytwin.changes.twin import apply
from safetytwin.models.change import Frame
from safetytwin.models.hardware import Hardware, Memory
from safetytwin.models.process import Process
from safetytwin.models.system_state import Agent, SystemState


def _state(number: int) -> SystemState:
    processes = [Process(pid=pid, start_ticks=1, name=f"p{pid}") for pid in range(1, 4 + number % 5)]
    return SystemState(
        schema=1,
        host_id="h",
        seq=number,
        timestamp=f"2026-01-01T00:00:{number % 60:02d}Z",
        hardware=Hardware(hostname="h", memory=Memory(used=number)),
        services=[],
        processes=processes,
        agent=Agent(version="1", backend="proc", collectors={}),
    )


class _Bridge:
    """A bridge as docs/protocol.md says, in memory."""

    def __init__(self) -> None:
        self.history: dict[tuple[str, int], bytes] = {}
        self.twin: bytes | None = None
        self.newest = 0.0
        self.order: list[int] = []
        self.requests: list[list[Frame]] = []
        self.mood = "well"

    def send(self, frames: list[bytes]) -> Answer:
        if self.mood == "away":
            return Answer(0, detail="refused")
        if self.mood in {"507", "503", "401", "413", "422"}:
            return Answer(int(self.mood), detail="mood")
        if self.mood == "identity":
            return Answer(409, need="identity", detail="atlas and its clone")
        decoded = [msgspec.json.decode(zstandard.decompress(data), type=Frame) for data in frames]
        self.requests.append(decoded)
        for frame in decoded:
            if not self._take(frame):
                return Answer(409, need="full")
        if self.mood == "deaf":
            return Answer(0, detail="the answer was lost")
        return Answer(200)

    def _take(self, frame: Frame) -> bool:
        name = (frame.epoch, frame.seq)
        if name in self.history:
            return True
        if frame.state is not None:
            tree = frame.state
        else:
            before = self.history.get((frame.epoch, frame.seq - 1))
            if before is None:
                return False
            assert frame.change is not None
            tree = apply(msgspec.json.decode(before), frame.change)
        self.history[name] = canonical_bytes(tree)
        self.order.append(frame.seq)
        if frame.monotonic > self.newest:
            self.newest, self.twin = frame.monotonic, self.history[name]
        return True


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _made(tmp_path, cap: int = 1 << 20) -> tuple[Outbox, _Bridge, _Clock, Spool]:
    bridge, clock, spool = _Bridge(), _Clock(), Spool(str(tmp_path), cap)
    return Outbox("h", bridge, spool, clock=clock), bridge, clock, spool


def _turn(outbox: Outbox, clock: _Clock, number: int) -> None:
    clock.now += 10
    answer = outbox.deliver(_state(number), clock.now)
    if answer is not None and answer.status == 200:
        outbox.drain()


def test_a_full_frame_and_then_changes(tmp_path) -> None:
    outbox, bridge, clock, _ = _made(tmp_path)
    for number in range(5):
        _turn(outbox, clock, number)
    assert [request[0].kind for request in bridge.requests] == ["full", "change", "change", "change", "change"]
    assert [len(request) for request in bridge.requests] == [1] * 5
    assert bridge.twin == canonical_bytes(tree_of(_state(4)))


def test_after_a_short_absence_all_comes_in_order_in_one_request(tmp_path) -> None:
    outbox, bridge, clock, spool = _made(tmp_path)
    _turn(outbox, clock, 0)
    bridge.mood = "away"
    for number in range(1, 4):
        _turn(outbox, clock, number)
    bridge.mood = "well"
    clock.now += 1000
    _turn(outbox, clock, 4)
    assert [frame.seq for frame in bridge.requests[-1]] == [1, 2, 3, 4]
    assert len(spool) == 0
    assert bridge.twin == canonical_bytes(tree_of(_state(4)))


def test_after_an_hour_the_newest_comes_first_and_the_rest_gently(tmp_path) -> None:
    outbox, bridge, clock, spool = _made(tmp_path)
    _turn(outbox, clock, 0)
    bridge.mood = "away"
    for number in range(1, 361):
        _turn(outbox, clock, number)
    assert len(spool) == 360
    bridge.mood = "well"
    clock.now += 1000
    before = len(bridge.requests)
    _turn(outbox, clock, 361)
    assert [(frame.seq, frame.kind) for frame in bridge.requests[before]] == [(361, "full")]
    assert bridge.twin == canonical_bytes(tree_of(_state(361)))
    assert max(len(request) for request in bridge.requests[before:]) <= 20
    number = 362
    while len(spool):
        _turn(outbox, clock, number)
        number += 1
    assert {seq for _, seq in bridge.history} == set(range(number))
    assert outbox.dropped == 0
    for (_, seq), kept in bridge.history.items():
        assert kept == canonical_bytes(tree_of(_state(seq)))


def test_a_lost_answer_doubles_nothing(tmp_path) -> None:
    outbox, bridge, clock, _ = _made(tmp_path)
    _turn(outbox, clock, 0)
    bridge.mood = "deaf"
    _turn(outbox, clock, 1)
    bridge.mood = "well"
    clock.now += 1000
    _turn(outbox, clock, 2)
    assert bridge.order == [0, 1, 2]


def test_a_renewed_bridge_gets_a_full_frame_at_once(tmp_path) -> None:
    outbox, bridge, clock, _ = _made(tmp_path)
    _turn(outbox, clock, 0)
    bridge.history.clear()
    _turn(outbox, clock, 1)
    assert bridge.twin == canonical_bytes(tree_of(_state(1)))


def test_backoff_grows_is_random_and_keeps_to_retry_after(tmp_path) -> None:
    outbox, bridge, clock, spool = _made(tmp_path)
    bridge.mood = "401"
    _turn(outbox, clock, 0)
    asked = 0
    for number in range(1, 7):
        clock.now += 9.9
        asked += outbox.deliver(_state(number), clock.now) is not None
    assert asked == 0, "a refused token is tried again after a minute at the earliest"
    assert len(spool) == 7


@pytest.mark.parametrize("mood", ["413", "422"])
def test_what_the_bridge_refuses_is_counted_and_a_full_frame_follows(tmp_path, mood: str) -> None:
    outbox, bridge, clock, _ = _made(tmp_path)
    _turn(outbox, clock, 0)
    bridge.mood = mood
    _turn(outbox, clock, 1)
    assert outbox.dropped == 1
    bridge.mood = "well"
    clock.now += 1000
    _turn(outbox, clock, 2)
    assert bridge.requests[-1][0].kind == "full"


def test_a_clone_is_told(tmp_path) -> None:
    outbox, bridge, clock, _ = _made(tmp_path)
    bridge.mood = "identity"
    with pytest.raises(IdentityConflictError, match="clone"):
        _turn(outbox, clock, 0)


@pytest.mark.parametrize("seed", range(8))
def test_random_weather(tmp_path, seed: int) -> None:
    weather = random.Random(seed)
    outbox, bridge, clock, spool = _made(tmp_path)
    number = 0
    for _ in range(120):
        bridge.mood = weather.choice(["well", "well", "away", "deaf", "507", "503"])
        if weather.random() < 0.03:
            # The agent is killed and starts again: a new epoch, the same spool directory.
            spool = Spool(str(tmp_path), 1 << 20)
            outbox = Outbox("h", bridge, spool, clock=clock)
        for _ in range(weather.randrange(1, 30)):
            _turn(outbox, clock, number)
            number += 1
    bridge.mood = "well"
    clock.now += 1000
    _turn(outbox, clock, number)
    assert bridge.twin == canonical_bytes(tree_of(_state(number)))
    for _ in range(2000):
        if not len(spool):
            break
        _turn(outbox, clock, number)
    assert len(spool) == 0
    assert outbox.dropped == 0
    assert len(bridge.order) == len(bridge.history)


def test_a_small_spool_drops_the_oldest_and_counts_it(tmp_path) -> None:
    outbox, bridge, clock, spool = _made(tmp_path, cap=20_000)
    _turn(outbox, clock, 0)
    bridge.mood = "away"
    for number in range(1, 500):
        _turn(outbox, clock, number)
    bridge.mood = "well"
    clock.now += 1000
    number = 500
    while True:
        _turn(outbox, clock, number)
        number += 1
        if not len(spool):
            break
    missing = set(range(number)) - {seq for _, seq in bridge.history}
    assert missing
    assert outbox.dropped == len(missing)

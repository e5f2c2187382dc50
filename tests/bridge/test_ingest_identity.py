"""Two agents with one host id: the first keeps the twin; the next run of the same agent is no clone."""

import itertools

import msgspec
import pytest

from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.ingest_work import IdentityConflictError, RefusedError, WaitError
from safetytwin.bridge.stores.base import EventQuery
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.fleet.frames import FrameMaker, sent
from safetytwin.fleet.machine import Machine

START = 1.8e9


class Agent:
    """One run of an agent at a time, on one boot of one machine."""

    _epochs = itertools.count(1)

    def __init__(self, *, boot, booted, dmi=None, pid=None, hostname="atlas"):
        self.boot, self.booted, self.dmi, self.pid, self.hostname = boot, booted, dmi, pid, hostname
        self._machine = Machine("atlas", processes=5)
        self.restart(pid=pid)

    def restart(self, *, pid=None):
        self.pid = pid
        self.epoch = f"{next(self._epochs):016x}"
        self._maker = FrameMaker("atlas", self.epoch, boot=self.booted)
        return self

    def frame(self, at, *, full=False):
        state = self._machine.look()
        own = [msgspec.structs.replace(state.processes[0], pid=self.pid, start_ticks=7)] if self.pid else []
        hardware = msgspec.structs.replace(state.hardware, hostname=self.hostname, dmi=self.dmi)
        state = msgspec.structs.replace(
            state,
            boot_id=self.boot,
            hardware=hardware,
            processes=state.processes + own,
            agent=msgspec.structs.replace(state.agent, pid=self.pid),
        )
        return sent(self._maker.frame(state, at, full=full))


class Bridge:
    """An ingest on a store that can be opened again."""

    def __init__(self, folder):
        self._folder = folder
        self.store = SqliteStore(folder, reserve_bytes=0)
        self.ingest = Ingest(self.store)

    def restart(self):
        self.store.close()
        self.store = SqliteStore(self._folder, reserve_bytes=0)
        self.ingest = Ingest(self.store)

    def take(self, agent, at, **options):
        return self.ingest.accept("atlas", [agent.frame(at, **options)], at)

    def kept(self):
        return [self.store.epochs("atlas")[0].epoch] if len(self.store.epochs("atlas")) == 1 else None

    def conflicts(self):
        return len(self.store.events(EventQuery("atlas", kinds=["host.conflict"])))


@pytest.fixture
def bridge(tmp_path):
    made = Bridge(tmp_path)
    yield made
    made.store.close()


def run(bridge, agent, begin, seconds):
    for at in range(begin, begin + seconds, 10):
        bridge.take(agent, START + at)


CLONES = {
    "it ran while the first one did": {"boot": "b", "booted": START - 900},
    "it has just booted": {"boot": "b", "booted": START + 31},
    "other firmware": {"boot": "b", "booted": START + 31, "dmi": {"uuid": "b"}},
    "a container beside it": {"boot": "a", "booted": START - 1000, "pid": 1, "hostname": "copy"},
    "a second agent on the machine": {"boot": "a", "booted": START - 1000},
}


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("restarts", ["none", "bridge", "clone", "both"])
def test_of_two_living_agents_the_first_keeps_the_twin(bridge, clone, restarts):
    first = Agent(boot="a", booted=START - 1000, dmi={"uuid": "a"}, pid=1)
    copy = Agent(**CLONES[clone])
    run(bridge, first, 0, 40)
    refusals = []
    for at in range(34, 150, 10):
        try:
            bridge.take(copy, START + at, full=True)
            pytest.fail("the clone was taken")
        except RefusedError as error:
            refusals.append(type(error))
        bridge.take(first, START + at + 6)
        if at == 84:
            if restarts in {"clone", "both"}:
                copy.restart(pid=copy.pid)
            if restarts in {"bridge", "both"}:
                bridge.restart()
    assert refusals[-1] is IdentityConflictError
    assert set(refusals) <= {IdentityConflictError, WaitError}
    assert refusals.count(WaitError) <= 3
    assert bridge.kept() == [first.epoch]
    assert bridge.ingest.hosts["atlas"].status(START + 150) == "conflict"
    assert bridge.conflicts() == 1


def test_after_a_restart_of_the_bridge_the_clone_may_come_first_and_is_refused(bridge):
    first, copy = Agent(boot="a", booted=START - 1000), Agent(boot="b", booted=START - 900)
    run(bridge, first, 0, 40)
    with pytest.raises(IdentityConflictError):
        bridge.take(copy, START + 35)
    bridge.restart()
    later = START + 3600
    with pytest.raises(IdentityConflictError):
        bridge.take(copy.restart(), later)
    rebooted = Agent(boot="c", booted=later - 60)
    with pytest.raises(WaitError):
        bridge.take(rebooted, later + 5)
    bridge.take(first, later + 20)
    with pytest.raises(IdentityConflictError):
        bridge.take(rebooted, later + 30, full=True)
    assert bridge.kept() == [first.epoch]


def test_a_restarted_agent_is_served_at_once_where_its_end_can_be_seen(bridge):
    agent = Agent(boot="a", booted=START - 1000, pid=700)
    run(bridge, agent, 0, 40)
    assert bridge.take(agent.restart(pid=800), START + 31).accepted == 1
    assert bridge.ingest.hosts["atlas"].mark.epoch == agent.epoch
    assert bridge.conflicts() == 0


def test_a_restarted_agent_waits_at_most_until_the_next_look_was_missed(bridge):
    agent = Agent(boot="a", booted=START - 1000)
    run(bridge, agent, 0, 40)
    agent.restart()
    with pytest.raises(WaitError) as caught:
        bridge.take(agent, START + 31)
    assert 15 < caught.value.seconds < 25
    assert bridge.take(agent, START + 31 + caught.value.seconds, full=True).accepted == 1
    assert bridge.conflicts() == 0


@pytest.mark.parametrize("down", [25, 45, 600])
@pytest.mark.parametrize("restart", [False, True])
def test_a_machine_that_reboots_is_no_clone(bridge, down, restart):
    agent = Agent(boot="a", booted=START - 1000, dmi={"uuid": "a"}, pid=700)
    run(bridge, agent, 0, 40)
    if restart:
        bridge.restart()
    rebooted = Agent(boot="b", booted=START + 30 + down - 20, dmi={"uuid": "a"}, pid=600)
    assert bridge.take(rebooted, START + 31 + down).accepted == 1
    assert bridge.conflicts() == 0


def test_the_first_one_reboots_while_its_clone_lives(bridge):
    first, copy = Agent(boot="a", booted=START - 1000), Agent(boot="b", booted=START - 900)
    run(bridge, first, 0, 40)
    with pytest.raises(IdentityConflictError):
        bridge.take(copy, START + 35)
    rebooted = Agent(boot="c", booted=START + 60)
    with pytest.raises(WaitError):
        bridge.take(rebooted, START + 80)
    with pytest.raises(IdentityConflictError):
        bridge.take(copy, START + 90, full=True)
    assert bridge.take(rebooted, START + 150, full=True).accepted == 1
    with pytest.raises(IdentityConflictError):
        bridge.take(copy.restart(), START + 155)


def test_a_run_that_was_stopped_and_speaks_again_is_the_newcomer(bridge):
    first, second = Agent(boot="a", booted=START - 1000), Agent(boot="a", booted=START - 1000)
    run(bridge, first, 0, 40)
    bridge.take(second, START + 100)
    with pytest.raises(IdentityConflictError):
        bridge.take(first, START + 110)
    bridge.restart()
    with pytest.raises(IdentityConflictError):
        bridge.take(first, START + 118)
    assert bridge.take(second, START + 120).accepted == 1
    assert bridge.ingest.hosts["atlas"].status(START + 120) == "conflict"


def test_a_clone_a_little_behind_is_not_filed_as_what_came_late(bridge):
    first, copy = Agent(boot="a", booted=START - 1000), Agent(boot="b", booted=START - 900)
    run(bridge, first, 0, 600)
    slow = msgspec.structs.replace(copy.frame(START + 595), observed_at="2027-01-15T08:09:40.000Z")
    with pytest.raises(IdentityConflictError):
        bridge.ingest.accept("atlas", [slow], START + 595)


def test_a_day_after_the_first_was_last_heard_its_clone_may_have_the_name(bridge):
    first, copy = Agent(boot="a", booted=START - 1000), Agent(boot="b", booted=START - 900)
    run(bridge, first, 0, 40)
    for at in (35, 3600, 80000):
        with pytest.raises(IdentityConflictError):
            bridge.take(copy, START + at, full=True)
    with pytest.raises(WaitError):
        bridge.take(copy, START + 87000, full=True)
    assert bridge.take(copy, START + 87100, full=True).accepted == 1


def test_a_state_without_a_frame_does_not_overwrite_an_agents(bridge):
    agent = Agent(boot="a", booted=START - 1000)
    run(bridge, agent, 0, 40)
    state = Machine("atlas", processes=3).look()
    with pytest.raises(IdentityConflictError, match="stop that agent"):
        bridge.ingest.accept_state(state, START + 35)
    assert bridge.ingest.accept_state(state, START + 300).accepted == 1
    assert bridge.take(agent.restart(), START + 301).accepted == 1

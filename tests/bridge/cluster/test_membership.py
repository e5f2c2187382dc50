"""Bridges share the partitions out among themselves, over a real server."""

import asyncio
import contextlib
import signal

import pytest

from parts.nats import NatsServer, linked, wait_for
from safetytwin.bridge.cluster.membership import SESSION_SECONDS, Duties, Membership, new_name
from safetytwin.bridge.stores.base import StoreError
from safetytwin.nats_subjects import PARTITIONS

PATIENCE = 60.0


class Member:
    """A bridge that only takes part, and remembers what it was told to do."""

    def __init__(self, link, bridge, prefix):
        self.loaded = set()
        self.given = []
        self.lost = []
        self.fails = 0
        self.membership = Membership(
            link, new_name(bridge), b"{}", Duties(self.gain, self.give, self.lose), prefix=prefix, replicas=1
        )
        self.task = None

    async def gain(self, number):
        assert number not in self.loaded
        if self.fails:
            self.fails -= 1
            raise StoreError("not now")
        self.loaded.add(number)

    async def give(self, numbers):
        self.loaded -= numbers
        self.given.append(numbers)

    async def lose(self, numbers):
        self.loaded -= numbers
        self.lost.append(numbers)

    @property
    def held(self):
        return self.membership.held

    def start(self):
        self.task = asyncio.create_task(self.membership.run())
        return self

    async def crash(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def leave(self):
        await self.membership.leave()
        await self.crash()


async def until(condition, what):
    end = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < end, f"it did not happen that {what}"
        await asyncio.sleep(0.05)


def shared_out(*members):
    """Say whether each partition is held by exactly one of them, each of which holds some."""
    held = [number for member in members for number in member.held]
    return sorted(held) == list(range(PARTITIONS)) and all(member.held for member in members)


@pytest.fixture
def members(server, request):
    """Give what makes members, each with a connection of its own."""
    with contextlib.ExitStack() as stack:

        def make(bridge, url=server.url):
            return Member(stack.enter_context(linked(url)), bridge, f"of-{request.node.name.replace('_', '-')}")

        yield make


def test_one_has_all_two_share_and_the_one_that_stays_takes_over(members):
    async def play():
        first = members("a" * 16).start()
        await until(lambda: shared_out(first), "the only bridge had all")
        second = members("b" * 16).start()
        await until(lambda: shared_out(first, second), "two shared")
        assert first.given
        assert not first.lost
        await second.leave()
        assert second.held == frozenset()
        await until(lambda: shared_out(first), "the one that stayed had all")
        await first.leave()

    asyncio.run(play())


def test_the_share_of_one_that_dies_moves(members):
    async def play():
        first, second = members("a" * 16).start(), members("b" * 16).start()
        await until(lambda: shared_out(first, second), "two shared")
        await second.crash()
        await until(lambda: shared_out(first), "the other had all")
        again = members("b" * 16).start()
        await until(lambda: shared_out(first, again), "it had its share again")
        assert again.held == frozenset(second.loaded)
        await again.leave()
        await first.leave()

    asyncio.run(play())


def test_no_two_ever_believe_that_they_own_one_partition(members):
    async def play():
        running = [members(letter * 16).start() for letter in "abcd"]
        told = []

        async def watch():
            while True:
                held = [number for member in running for number in member.held]
                told.append(len(held) - len(set(held)))
                await asyncio.sleep(0.01)

        watching = asyncio.create_task(watch())
        await until(lambda: shared_out(*running), "four shared")
        await running.pop(0).leave()
        await until(lambda: shared_out(*running), "three shared")
        await running.pop(0).crash()
        await until(lambda: shared_out(*running), "two shared")
        watching.cancel()
        assert told
        assert not any(told)
        for member in running:
            await member.leave()

    asyncio.run(play())


def test_a_partition_that_could_not_be_loaded_is_tried_again_and_not_held_meanwhile(members):
    async def play():
        member = members("a" * 16)
        member.fails = 2
        member.start()
        await until(lambda: shared_out(member), "all were loaded")
        assert member.held == member.loaded
        await member.leave()

    asyncio.run(play())


def test_nothing_moves_where_nats_was_away_from_all_for_long(tmp_path):
    server = NatsServer(tmp_path / "nats").start()
    wait_for(server.url)

    async def play(*links):
        running = [Member(link, letter * 16, "away").start() for link, letter in zip(links, "abc", strict=True)]
        await until(lambda: shared_out(*running), "three shared")
        for member in running:
            member.given.clear()
        before = [member.held for member in running]
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION_SECONDS + 3)
        assert not any(member.held for member in running)
        server.signal(signal.SIGCONT)
        await until(lambda: shared_out(*running), "three shared again")
        assert [member.held for member in running] == before
        assert not any(member.lost or member.given for member in running)
        for member in running:
            await member.leave()

    try:
        with linked(server.url) as one, linked(server.url) as two, linked(server.url) as three:
            asyncio.run(play(one, two, three))
    finally:
        server.signal(signal.SIGCONT)
        server.stop()


def test_a_bridge_that_was_cut_off_holds_nothing_and_goes_on_with_what_no_one_took(tmp_path):
    server = NatsServer(tmp_path / "nats").start()
    wait_for(server.url)

    async def play(link):
        member = Member(link, "a" * 16, "cut").start()
        await until(lambda: shared_out(member), "it had all")
        server.signal(signal.SIGSTOP)
        await until(lambda: not member.held, "it knew that it may have lost all")
        server.signal(signal.SIGCONT)
        await until(lambda: shared_out(member), "it had all again")
        assert not member.lost
        assert not member.given
        await member.leave()

    try:
        with linked(server.url) as link:
            asyncio.run(play(link))
    finally:
        server.signal(signal.SIGCONT)
        server.stop()

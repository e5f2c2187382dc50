"""A keeper of twins in memory, for tests of the HTTP side alone: no history, no disk, nothing that can fail."""

import asyncio

import msgspec

from safetytwin.bridge.keeper import Seen
from safetytwin.bridge.problems import Problem
from safetytwin.bridge.routes.answers import (
    AiHost,
    AiHosts,
    Difference,
    EventList,
    HostList,
    HostRow,
    Moment,
    Moments,
    SeriesNames,
    SeriesSet,
    Taken,
    Updated,
)
from safetytwin.bridge.twin_views import asked_list
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.trees import ChangeError, canonical_bytes
from safetytwin.changes.twin import Twin
from safetytwin.models.change import Change
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import seconds_of, timestamp
from safetytwin.questions.asking import ask
from safetytwin.questions.view import View


class _Host:
    def __init__(self, tree):
        self.twin = Twin(tree)
        self.revision = 1
        self.epoch = ""
        self.seq = -1
        self.observed_at = tree["timestamp"]


class MemoryKeeper:
    def __init__(self, publish=lambda row, change, events, state: None):
        self.hosts_by_id = {}
        self.publish = publish

    async def take(self, host_id, frames, received_at):
        accepted = duplicates = 0
        for frame in frames:
            host = self.hosts_by_id.get(host_id)
            if host is not None and host.epoch == frame.epoch and frame.seq <= host.seq:
                duplicates += 1
                continue
            change = frame.change
            try:
                if frame.kind == "full":
                    revision = host.revision if host else 0
                    host = self.hosts_by_id[host_id] = _Host(frame.state)
                    host.revision = revision
                elif host is None or host.epoch != frame.epoch or frame.seq != host.seq + 1:
                    raise Problem(409, "The frame before is not here.", need="full")
                else:
                    host.twin.apply(frame.change)
            except (ChangeError, msgspec.ValidationError) as error:
                raise Problem(422, str(error)) from None
            host.epoch, host.seq, host.observed_at = frame.epoch, frame.seq, frame.observed_at
            host.revision += 1
            accepted += 1
            self.publish(self.row(host_id), change, [], lambda: self.now(host_id).state)
        host = self.hosts_by_id[host_id]
        return Taken(accepted, duplicates, host.epoch, host.seq, host.revision)

    async def update(self, state, received_at):
        host = self.hosts_by_id.get(state.host_id)
        tree = tree_of(state)
        if host is None:
            self.hosts_by_id[state.host_id] = host = _Host(tree)
            return Updated("updated", state.host_id, "1", 1)
        change = diff(msgspec.convert(host.twin.tree(), SystemState), state)
        if change == Change():
            return Updated("no_changes", state.host_id, str(host.revision), host.revision)
        host.twin = Twin(tree)
        host.revision += 1
        return Updated("updated", state.host_id, str(host.revision), host.revision, change)

    async def forget(self, host_id):
        self._host(host_id)
        del self.hosts_by_id[host_id]

    async def hosts(self, limit, cursor, where=None):
        names = [name for name in sorted(self.hosts_by_id) if cursor is None or name > cursor]
        if where is not None:
            asked = ask(where, (View(name, "live", self.hosts_by_id[name].twin) for name in names), limit)
            return asked_list([self.row(name) for name in asked.matching], asked)
        page = names[:limit]
        return HostList([self.row(name) for name in page], page[-1] if len(names) > limit else None)

    async def state(self, host_id, at):
        return self.now(host_id)

    async def difference(self, host_id, begin, end, *, everything):
        moment = Moment(timestamp(begin), self._host(host_id).revision)
        return Difference(moment, moment, Change(), [])

    async def events(self, host_id, begin, end, kinds, subject, limit, cursor):
        if host_id is not None:
            self._host(host_id)
        return EventList([])

    async def series(self, host_id, names, begin, end, points):
        self._host(host_id)
        return SeriesSet(begin or 0.0, end or 0.0, 60.0, {})

    async def series_names(self, host_id):
        self._host(host_id)
        return SeriesNames({})

    async def moments(self, host_id, begin, end):
        return Moments(self._host(host_id).revision, [])

    async def ai(self):
        return AiHosts([AiHost(host_id, [], []) for host_id in self.hosts_by_id])

    def now(self, host_id):
        host = self._host(host_id)
        return Seen(canonical_bytes(host.twin.tree()), host.revision, seconds_of(host.observed_at), host.observed_at)

    def row(self, host_id):
        host = self._host(host_id)
        hostname = host.twin.rest["hardware"].get("hostname")
        return HostRow(host_id, hostname, host.revision, host.observed_at, host.observed_at, "live", {})

    def rows(self):
        return [self.row(host_id) for host_id in self.hosts_by_id]

    def write_metrics(self, page):
        page.gauge("safetytwin_bridge_hosts", "Machines, by status.", {(("status", "live"),): len(self.hosts_by_id)})

    async def run(self):
        await asyncio.Event().wait()

    def _host(self, host_id):
        host = self.hosts_by_id.get(host_id)
        if host is None:
            raise Problem(404, f"There is no machine {host_id!r}.")
        return host

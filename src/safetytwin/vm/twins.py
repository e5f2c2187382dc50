"""The twins of one host: made, started, followed, snapshotted, rolled back, deleted."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Literal

import msgspec

from safetytwin.models.fields import Count, Record
from safetytwin.models.quantities import size
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import timestamp
from safetytwin.vm.console import console_lines
from safetytwin.vm.damping import Damper
from safetytwin.vm.domain import Place, disk_file
from safetytwin.vm.domain_reading import read_domain
from safetytwin.vm.driver import Driver, DriverError
from safetytwin.vm.following import bring, define, followed, prepare_disks
from safetytwin.vm.images import image_format, make_overlay, snapshot_sizes, used_bytes
from safetytwin.vm.names import SYSTEM_DISK, domain_name
from safetytwin.vm.plan import NOTED_ONLY, Line
from safetytwin.vm.scaling import Host
from safetytwin.vm.seed import cloud_config, write_seed
from safetytwin.vm.shape import shape as shape_of
from safetytwin.vm.shape_records import Shape
from safetytwin.vm.snapshots import Retention, TwinSnapshot, all_snapshots, chosen, superseded, take
from safetytwin.vm.twin_records import TwinFiles, TwinRecord

_SHUTDOWN_SECONDS = 60.0
_CONSOLE_BYTES = 65536


class TwinStatus(Record, frozen=True):
    """A twin as it is now."""

    name: A[str, msgspec.Meta(description="Name of its domain.")]
    status: Literal["running", "stopped"]
    record: A[TwinRecord, msgspec.Meta(description="What was chosen, and how far it has followed.")]
    snapshots: A[list[TwinSnapshot], msgspec.Meta(description="Oldest first.")]
    disk_bytes: A[Count, msgspec.Meta(description="What its files take on disk.")]
    most_bytes: A[Count, msgspec.Meta(description="From where on no snapshot is taken by itself.")]


@dataclass(slots=True)
class Twins:
    """All that can be done with twins; everything raises DriverError where it can't be done."""

    driver: Driver
    files: TwinFiles
    host: Host = field(default_factory=Host.here)
    retention: Retention = field(default_factory=Retention)
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _dampers: dict[str, Damper] = field(default_factory=dict)

    def create(self, shape: Shape, image: str, key: str | None = None) -> None:
        """Make a twin and start it; called again after it was cut off, it goes on where it was.

        key is a public key that may sign in. There is no password anywhere.
        """
        image_format(image)
        with self.files.locked(shape.host_id):
            record = self.files.load(shape.host_id)
            if record is not None and self.driver.defined_xml(shape.name) is not None:
                raise DriverError(f"{shape.host_id} has a twin already: delete it first (safetytwin vm delete)")
            record = record or TwinRecord(shape.host_id, os.path.abspath(image), shape.network, shape.passed_gpus)
            self.files.save(msgspec.structs.replace(record, at=shape.at))
            place = self._place()
            system = next(disk for disk in shape.disks if disk.serial == SYSTEM_DISK)
            make_overlay(place.file(shape, disk_file(SYSTEM_DISK)), record.image, system.size)
            prepare_disks(shape, place, None)
            write_seed(place.file(shape, "seed.iso"), cloud_config(shape, key))
            if shape.interfaces:
                self.driver.ensure_network(shape.network)
            define(self.driver, shape, place, None)
            self.driver.start(shape.name)

    def start(self, host_id: str) -> None:
        """Boot a twin; what waited for its next boot is so then."""
        with self.files.locked(host_id):
            record = self.files.needed(host_id)
            self._see_to_network(record)
            self.driver.start(domain_name(host_id))
            self.files.save(msgspec.structs.replace(record, pending=[]))

    def stop(self, host_id: str, *, force: bool = False) -> bool:
        """Ask a twin to power off, or cut its power; return whether it is off after a minute."""
        self.files.needed(host_id)
        name = domain_name(host_id)
        self.driver.stop(name, force=force)
        deadline = self.now() + (0 if force else _SHUTDOWN_SECONDS)
        while (runs := self.driver.running(name)) and self.now() < deadline:
            self.sleep(0.25)
        return not runs

    def restart(self, host_id: str, *, force: bool = False) -> None:
        """Power off and boot with what is defined now, which a reboot from inside does not."""
        if not self.stop(host_id, force=force):
            raise DriverError("its system did not power off within a minute: cut its power with --force")
        self.start(host_id)

    def delete(self, host_id: str) -> None:
        """Delete a twin with its disks and snapshots; the image stays."""
        with self.files.locked(host_id):
            self.files.needed(host_id)
            self.driver.undefine(domain_name(host_id))
            self.files.forget(host_id)
            self._dampers.pop(host_id, None)

    def status(self, host_id: str) -> TwinStatus:
        """Return a twin as it is now."""
        record = self.files.needed(host_id)
        name = domain_name(host_id)
        return TwinStatus(
            name,
            "running" if self.driver.running(name) else "stopped",
            record,
            self._sized_snapshots(host_id),
            used_bytes(self.files.path(host_id)),
            self.retention.most_bytes,
        )

    def shape(self, record: TwinRecord, state: SystemState, at: str | None = None) -> Shape:
        """Return the shape of a state with the choices that were made for a twin."""
        try:
            return shape_of(state, at=at, host=self.host, network=record.network, pass_gpus=record.pass_gpus)
        except ValueError as error:
            raise DriverError(str(error)) from error

    def follow(self, state: SystemState, revision: int | None) -> TwinRecord:
        """Bring a twin to a state of its machine, unless it is pinned or does not follow; return what is remembered."""
        host_id = state.host_id
        with self.files.locked(host_id):
            record = self.files.needed(host_id)
            if record.pinned is not None or not record.follow:
                return record
            shape = self.shape(record, state)
            damper = self._dampers.setdefault(host_id, Damper())
            outcome = bring(self.driver, shape, self._place(), state, damper)
            if any(line.reason != NOTED_ONLY for line in outcome.applied):
                outcome.drift += self._keep_snapshot(host_id, revision, shape.at)
            record = followed(record, outcome, shape, revision)
            self.files.save(record)
            return record

    def set_follow(self, host_id: str, *, follow: bool) -> TwinRecord:
        """Let a twin follow its machine, or stay as it is."""
        return self._changed(host_id, follow=follow)

    def snapshot(self, host_id: str, name: str | None = None) -> str:
        """Take a snapshot now, kept for ever where it has a name; return its name."""
        with self.files.locked(host_id):
            record = self.files.needed(host_id)
            taken = take(self.driver, domain_name(host_id), name, record.revision, record.at, self.now())
            self._prune(host_id)
            return taken

    def delete_snapshot(self, host_id: str, name: str) -> None:
        """Delete a snapshot, named or not; raises DriverError where there is none."""
        with self.files.locked(host_id):
            self.files.needed(host_id)
            domain = domain_name(host_id)
            self.driver.drop_snapshot(domain, chosen(all_snapshots(self.driver, domain), name).name)

    def rollback(self, host_id: str, wanted: str | float) -> TwinSnapshot:
        """Go back to a snapshot, by name or moment (seconds since 1970), and pin the twin there."""
        with self.files.locked(host_id):
            record = self.files.needed(host_id)
            snapshot = chosen(all_snapshots(self.driver, domain_name(host_id)), wanted)
            # Pinned first: cut off between the two, it stays as it is until a person says more.
            pinned = msgspec.structs.replace(
                record, pinned=snapshot.name, revision=snapshot.revision, at=snapshot.at, pending=[], drift=[]
            )
            self.files.save(pinned)
            self._see_to_network(record)
            self.driver.revert(domain_name(host_id), snapshot.name)
            return snapshot

    def pin(self, host_id: str) -> TwinRecord:
        """Keep a twin as it is now, until it is released."""
        return self._changed(host_id, pinned=timestamp(self.now()))

    def release(self, host_id: str) -> TwinRecord:
        """Let a pinned twin follow again."""
        return self._changed(host_id, pinned=None)

    def console(self, host_id: str, lines: int) -> list[str]:
        """Return the last lines that its console showed, of its last 64 KiB, as plain text."""
        self.files.needed(host_id)
        try:
            with open(self.files.path(host_id, "console.log"), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _CONSOLE_BYTES))
                log = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DriverError(f"its console's log can't be read: {error.strerror}") from error
        return console_lines(log, lines)

    def _sized_snapshots(self, host_id: str) -> list[TwinSnapshot]:
        snapshots = all_snapshots(self.driver, domain_name(host_id))
        if not snapshots:
            return []
        sizes = snapshot_sizes(self.files.path(host_id, disk_file(SYSTEM_DISK)))
        return [msgspec.structs.replace(one, memory_bytes=sizes.get(one.name)) for one in snapshots]

    def _see_to_network(self, record: TwinRecord) -> None:
        """See that the network of a twin that has interfaces is active: libvirt or the host may have been restarted."""
        xml = self.driver.current_xml(domain_name(record.host_id))
        if xml is not None and read_domain(xml).network is not None:
            self.driver.ensure_network(record.network)

    def _place(self) -> Place:
        return Place(self.files.directory, self.driver.accelerator()[0])

    def _changed(self, host_id: str, **fields: object) -> TwinRecord:
        with self.files.locked(host_id):
            record: TwinRecord = msgspec.structs.replace(self.files.needed(host_id), **fields)
            self.files.save(record)
            return record

    def _keep_snapshot(self, host_id: str, revision: int | None, at: str) -> list[Line]:
        """Take a snapshot after a change; return why not, or that there is soon no room."""
        self._prune(host_id)
        used, most = used_bytes(self.files.path(host_id)), self.retention.most_bytes
        full = f"its files take {size(used)} of {size(most)}"
        if used >= most:
            return [Line("cannot", "leave", "snapshot", reason=f"{full}: delete snapshots")]
        try:
            take(self.driver, domain_name(host_id), None, revision, at, self.now())
        except DriverError as error:
            return [Line("cannot", "leave", "snapshot", reason=str(error))]
        self._prune(host_id)
        return [Line("cannot", "leave", "snapshot", reason=full)] if used >= most * self.retention.warn_at else []

    def _prune(self, host_id: str) -> None:
        name = domain_name(host_id)
        for snapshot in superseded(all_snapshots(self.driver, name), self.retention, self.now()):
            self.driver.drop_snapshot(name, snapshot)

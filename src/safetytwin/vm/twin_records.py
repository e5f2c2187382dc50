"""What is remembered of each twin, one small file each; all else is asked of the driver, so that it is true."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any

import msgspec

from safetytwin.models.fields import Count, Record
from safetytwin.models.system_state import HostId, Timestamp
from safetytwin.vm.driver import DriverError
from safetytwin.vm.names import domain_name
from safetytwin.vm.plan import Line

_FILE = "twin.json"
_NONE: Any = msgspec.field(default_factory=list)


class NoTwinError(DriverError):
    """A machine has no twin here."""


class TwinRecord(Record, frozen=True):
    """One twin: what a person chose, and how far it has followed."""

    host_id: HostId
    image: A[str, msgspec.Meta(description="Path of the image that its system disk lies over.")]
    network: A[str, msgspec.Meta(description="Name of the libvirt network of its interfaces.")]
    pass_gpus: A[list[str], msgspec.Meta(description="PCI addresses of GPUs passed through.")] = _NONE
    follow: A[bool, msgspec.Meta(description="It is kept as the machine is.")] = True
    pinned: A[str | None, msgspec.Meta(description="The snapshot it was rolled back to: nothing is applied.")] = None
    revision: A[Count | None, msgspec.Meta(description="Revision of the machine's state that was applied last.")] = None
    at: A[Timestamp | None, msgspec.Meta(description="The moment of that state.")] = None
    pending: A[list[Line], msgspec.Meta(description="What the next boot brings.")] = _NONE
    drift: A[list[Line], msgspec.Meta(description="What could not be followed, and why.")] = _NONE


class TwinFiles:
    """The directory that has a directory for each twin."""

    def __init__(self, directory: str) -> None:
        self.directory = os.path.abspath(directory)

    def path(self, host_id: str, name: str = "") -> str:
        """Return the path of a twin's file, or of its directory."""
        return os.path.join(self.directory, domain_name(host_id), name)

    def hosts(self) -> list[str]:
        """Return the host ids of all twins."""
        prefix = domain_name("")
        try:
            names = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return []
        return [
            name.removeprefix(prefix)
            for name in names
            if name.startswith(prefix) and os.path.exists(os.path.join(self.directory, name, _FILE))
        ]

    def load(self, host_id: str) -> TwinRecord | None:
        """Return what is remembered of a twin, None where there is none; raises DriverError where it can't be read."""
        path = self.path(host_id, _FILE)
        try:
            with open(path, "rb") as file:
                return msgspec.json.decode(file.read(), type=TwinRecord)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DriverError(f"{path} can't be read ({error}): mend it, or delete the twin's directory") from error

    def stamp(self, host_id: str) -> int | None:
        """Return what differs once a twin's record was written again, by whomever; None where there is none."""
        try:
            return os.stat(self.path(host_id, _FILE)).st_mtime_ns
        except OSError:
            return None

    def needed(self, host_id: str) -> TwinRecord:
        """Return what is remembered of a twin; raises NoTwinError where there is none."""
        record = self.load(host_id)
        if record is None:
            raise NoTwinError(f"{host_id} has no twin yet: safetytwin vm create {host_id} --image FILE makes one")
        return record

    def save(self, record: TwinRecord) -> None:
        """Write what is to be remembered, whole or not at all; raises DriverError."""
        directory = self.path(record.host_id)
        try:
            # The hypervisor runs as another user and has to reach the disks, but need not list what is here.
            os.makedirs(directory, mode=0o711, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=directory, prefix=".twin-")
            try:
                with open(handle, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(record), indent=1))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(part, self.path(record.host_id, _FILE))
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(part)
                raise
        except OSError as error:
            raise DriverError(f"{directory} can't be written: {error.strerror}") from error

    def forget(self, host_id: str) -> None:
        """Delete a twin's files, its record last, so that it can be called again; harmless where there are none."""
        directory = self.path(host_id)
        try:
            names = os.listdir(directory)
            for name in sorted(names, key=lambda name: name == _FILE):
                os.unlink(os.path.join(directory, name))
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DriverError(f"{directory} can't be deleted: {error.strerror}") from error

    @contextlib.contextmanager
    def locked(self, host_id: str) -> Iterator[None]:
        """Hold a twin, so that a bridge and a person at a terminal never change it at once; raises DriverError."""
        path = os.path.join(self.directory, f".{domain_name(host_id)}.lock")
        try:
            os.makedirs(self.directory, mode=0o711, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DriverError(f"{self.directory} can't be used: {error.strerror}; twins need root") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

"""Which installation of the agent this is.

Machines are cloned with their machine-id, hostname and disks, so none of these alone names a machine: an installation
makes up a random id once and keeps it in its state directory, beside what it saw of the machine then.
"""

import os
import sys

import msgspec

from safetytwin.agent.atomic_file import write_whole
from safetytwin.digest import sha256_hex
from safetytwin.models.fields import Record

IDENTITY_FILE = "identity.json"


class Identity(Record, frozen=True):
    """What an installation knows of itself."""

    host_id: str
    """Random, [0-9a-f]{32}."""
    machine_id: str | None = None
    """A hash of /etc/machine-id when the identity was made: a difference now means that the disk was cloned."""


class IdentityError(Exception):
    """The identity file is there but is none."""


def state_directory() -> str:
    """Return where this user's agent keeps what it must not forget.

    $STATE_DIRECTORY (systemd), /var/lib/safetytwin for root, else $XDG_STATE_HOME/safetytwin (XDG Base Directory
    Specification) or its equivalent on macOS and Windows.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return given
    if sys.platform == "win32":
        return os.path.join(os.environ.get("LOCALAPPDATA", os.path.expanduser("~")), "SafetyTwin")
    if os.geteuid() == 0:
        return "/var/lib/safetytwin"
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/SafetyTwin")
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(base, "safetytwin")


def machine_fingerprint(path: str = "/etc/machine-id") -> str | None:
    """Return a hash of the machine-id, which machine-id(5) asks not to be shown as it is; None where there is none."""
    try:
        with open(path, "rb") as file:
            machine_id = file.read(64).strip()
    except OSError:
        return None
    return sha256_hex(b"safetytwin\0" + machine_id)[:32] if machine_id else None


def read_identity(directory: str) -> Identity | None:
    """Return the identity kept in directory, or None where there is none yet; raises OSError and IdentityError."""
    path = os.path.join(directory, IDENTITY_FILE)
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(65536), type=Identity)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise IdentityError(f"{path} is damaged ({error}); run: safetytwin agent --reset-identity") from error


def reset_identity(directory: str) -> Identity:
    """Make a new identity and keep it in directory; raises OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    identity = Identity(host_id=os.urandom(16).hex(), machine_id=machine_fingerprint())
    write_whole(os.path.join(directory, IDENTITY_FILE), msgspec.json.encode(identity))
    return identity


def host_id(directory: str | None, *, keep: bool) -> str:
    """Return this installation's host id, kept in directory (the usual one where None).

    Where there is none yet one is made up and kept, unless keep is False or the state directory can't be written: then
    it is derived from the machine-id, so that it is the same the next time. Raises IdentityError where a kept identity
    is damaged.
    """
    directory = directory or state_directory()
    try:
        identity = read_identity(directory) or (reset_identity(directory) if keep else None)
    except OSError:
        identity = None
    return identity.host_id if identity is not None else machine_fingerprint() or "unknown"

"""Names and texts of a machine, made fit for XML, paths and libvirt: whatever a state says, it stays text."""

import hashlib
import re
import uuid

from safetytwin.models.printable import printable

_LONGEST_TEXT = 200
_PLAIN_SERIAL = re.compile(r"[a-z0-9]{1,20}", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", re.ASCII)
_NAMESPACE = uuid.UUID("7d0d5a3e-6f0c-5d43-9a52-0c5d7f1f5b8e")
SYSTEM_DISK = "system"
"""Serial of the disk that the twin boots from, whatever the machine calls its own."""


def xml_text(text: str) -> str:
    """Return text on one line, at most 200 characters, with only characters that XML 1.0 can hold."""
    clean = printable(text)[:_LONGEST_TEXT]
    return clean.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def domain_name(host_id: str) -> str:
    """Return the name of the domain of a machine, a safe file name too, which a host id such as ".." is not."""
    return f"safetytwin-{host_id}"


def domain_uuid(host_id: str) -> str:
    """Return the UUID of the domain of a machine: always the same, so that none is ever made twice."""
    return str(uuid.uuid5(_NAMESPACE, host_id))


def disk_serial(name: str) -> str:
    """Return the serial number by which a disk is known in the twin: its name where that is plain, else a digest."""
    if _PLAIN_SERIAL.fullmatch(name) and name != SYSTEM_DISK:
        return name
    return f"x-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def usable_mac(text: str | None) -> str | None:
    """Return a hardware address in lower case, or None where no virtual interface may have it (multicast, zeros)."""
    mac = (text or "").lower()
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        return None
    return mac


def made_up_mac(host_id: str, name: str, attempt: int) -> str:
    """Return a locally administered address, always the same for an interface of a machine."""
    seed = f"{host_id}\n{name}\n{attempt}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(seed).hexdigest()
    return "52:54:00:" + ":".join(digest[at : at + 2] for at in (0, 2, 4))

"""Headers of rpm packages as its database keeps them (rpm's documentation, "RPM V4 Package format", "Header")."""

import struct
import sys

from safetytwin.collectors.host_root import text_of
from safetytwin.collectors.package_database import unless_same
from safetytwin.models.software import Package

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_WANTED = frozenset((_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE, _SOURCE))
_INT32, _STRINGS = 4, frozenset((6, 9))  # STRING and I18NSTRING
_PUBLIC_KEY = "gpg-pubkey"
_MOST_ENTRIES = 1 << 16


def header_package(blob: bytes) -> Package | None:
    """Return the package of one header, or None where it is none: torn, or a public key that rpm keeps as a package."""
    tags = parse_header(blob)
    name, version = tags.get(_NAME), tags.get(_VERSION)
    if not name or name == _PUBLIC_KEY:
        return None
    release, epoch, architecture = tags.get(_RELEASE), tags.get(_EPOCH), tags.get(_ARCHITECTURE)
    if version and release:
        version = f"{version}-{release}"
    if version and epoch and epoch != "0":
        version = f"{epoch}:{version}"
    return Package(
        manager="rpm",
        id=f"{name}.{architecture}" if architecture else name,
        name=name,
        version=version or None,
        architecture=sys.intern(architecture) if architecture else None,
        source=_source(tags.get(_SOURCE), name),
    )


def parse_header(blob: bytes) -> dict[int, str]:
    """Return the tags that we use, numbers as text; {} where it is no header.

    Big-endian: the number of index entries, the size of the data, entries of (tag, type, offset, count), the data.
    """
    if len(blob) < 8:
        return {}
    entries, size = struct.unpack_from(">II", blob)
    data_at = 8 + 16 * entries
    if entries > _MOST_ENTRIES or data_at + size > len(blob):
        return {}
    tags: dict[int, str] = {}
    for index in range(entries):
        tag, kind, offset, _ = struct.unpack_from(">IIII", blob, 8 + 16 * index)
        start = data_at + offset
        if tag not in _WANTED or offset >= size:
            continue
        if kind == _INT32 and offset + 4 <= size:
            tags[tag] = str(struct.unpack_from(">I", blob, start)[0])
        elif kind in _STRINGS:
            tags[tag] = text_of(blob[start : data_at + size].partition(b"\0")[0])
    return tags


def _source(file: str | None, name: str) -> str | None:
    """Return the source package's name from its file's, such as bash of bash-5.2.15-3.fc38.src.rpm."""
    if not file:
        return None
    return unless_same(file.removesuffix(".rpm").removesuffix(".src").removesuffix(".nosrc").rsplit("-", 2)[0], name)

"""Where in NATS a machine has its place: what agents and bridges agree on."""

import zlib

PREFIX = "safetytwin"
PARTITIONS = 64
PART = "Safetytwin-Part"
"""Header of a part of what is larger than a message may be: NUMBER/OF, from 1."""
STATUS, RETRY = "Safetytwin-Status", "Safetytwin-Retry-After"
"""Headers of an answer to frames: what HTTP's status and Retry-After would be."""


def partition_of(host_id: str) -> int:
    """Return which of the partitions a machine belongs to; the same everywhere and for ever."""
    return zlib.crc32(host_id.encode()) % PARTITIONS


def token_of(host_id: str) -> str:
    """Return a machine's id as one token of a subject: '=' is in no id, and '.' would end the token."""
    return host_id.replace(".", "=")


def host_of(subject: str) -> str:
    """Return the machine that a subject is of."""
    return subject.rpartition(".")[2].replace("=", ".")


def ingest_subject(host_id: str) -> str:
    """Return the subject that a machine's agent publishes its frames on, and no other one."""
    return f"{PREFIX}.ingest.{partition_of(host_id):02}.{token_of(host_id)}"

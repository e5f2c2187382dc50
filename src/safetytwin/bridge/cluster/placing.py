"""Which bridge should own which partition: rendezvous hashing, so that one that comes or goes moves its share only.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998).
"""

import hashlib
from collections.abc import Collection

from safetytwin.nats_subjects import PARTITIONS


def bridge_of(session: str) -> str:
    """Return the bridge that a session is of: BRIDGE-RUN-NUMBER. A bridge that restarts is given its old share."""
    return session.partition("-")[0]


def name_of(session: str) -> str:
    """Return the running bridge that a session is of; its subjects have this name."""
    return session.rpartition("-")[0]


def share_of(session: str, live: Collection[str]) -> frozenset[int]:
    """Return the partitions that one of the live sessions should own."""
    return frozenset(number for number in range(PARTITIONS) if _best(number, live) == session)


def _best(partition: int, live: Collection[str]) -> str:
    return max(live, key=lambda session: (_weight(partition, bridge_of(session)), session), default="")


def _weight(partition: int, bridge: str) -> bytes:
    return hashlib.blake2b(f"{bridge}/{partition}".encode(), digest_size=8).digest()

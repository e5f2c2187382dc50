"""Opening this bridge's part in keeping machines together with others."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from safetytwin import __version__
from safetytwin.bridge.cluster.cluster import Cluster
from safetytwin.bridge.cluster.membership import new_name
from safetytwin.bridge.keeper import Publish
from safetytwin.bridge.stores.base import Retention, StoreError
from safetytwin.bridge.stores.jetstream import jetstream_store
from safetytwin.bridge.twin_keeper import TwinKeeper
from safetytwin.nats_address import NatsAddress
from safetytwin.nats_link import LinkError, NatsLink
from safetytwin.nats_subjects import PREFIX

_FILE = "bridge-id"
_CONNECT_SECONDS = 20.0


@contextlib.contextmanager
def joined(
    data_dir: Path, publish: Publish, dropped: Callable[[str], None], *, address: NatsAddress, retention: Retention
) -> Iterator[Cluster]:
    """Take part with the other bridges on a store in NATS; raises StoreError where it can't be opened."""
    name = new_name(_bridge_id(data_dir))
    link = NatsLink(address, name=f"safetytwin bridge {name}")
    try:
        try:
            link.wait(_CONNECT_SECONDS)
        except LinkError as error:
            raise StoreError(f"{error} See --store and --nats-credentials.") from None
        store = jetstream_store(link, address.options)
        keeper = TwinKeeper(store, publish, retention, shared=store, dropped=dropped)
        about = msgspec.json.encode({"version": __version__})
        try:
            yield Cluster(link, keeper, name, about, prefix=PREFIX, replicas=store.replicas)
        finally:
            keeper.close()
    finally:
        link.close()


def _bridge_id(data_dir: Path) -> str:
    """Return what this bridge is called among others, which stays when it restarts; raises StoreError."""
    path = data_dir / _FILE
    try:
        with contextlib.suppress(FileNotFoundError):
            known = path.read_text(encoding="ascii").strip()
            if len(known) == 16 and not known.strip("0123456789abcdef"):
                return known
        made = secrets.token_hex(8)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(made + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path} can't be used: {error}. Remove it, or choose another directory with --data."
        ) from None
    else:
        return made

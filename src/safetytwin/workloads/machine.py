"""Puts the recogniser of this machine together: catalogue, stores of models, and, where wanted, asking."""

import os
from collections.abc import Sequence

from safetytwin.collectors.host_root import HostRoot
from safetytwin.workloads.catalogue import CatalogueError, load_catalogue
from safetytwin.workloads.model_stores import ModelInventory
from safetytwin.workloads.recognise import Recogniser


def recogniser_of(
    *,
    model_directories: Sequence[str] = (),
    own_catalogue: str | None = None,
    ask: bool = False,
    root: HostRoot | None = None,
) -> Recogniser:
    """Return what recognises the AI workloads of a machine.

    Raises ValueError where the user's own catalogue can't be used.
    """
    root = root or HostRoot()
    try:
        catalogue = load_catalogue(own_catalogue)
    except CatalogueError as error:
        raise ValueError(str(error)) from error
    asker = None
    if ask:
        from safetytwin.workloads.asking import Asker  # noqa: PLC0415 - sockets are opened only where that is allowed

        asker = Asker(catalogue).ask
    inventory = ModelInventory(root, os.environ if root.live else {}, model_directories)
    return Recogniser(catalogue, proc=root.proc, inventory=inventory.look, ask=asker)

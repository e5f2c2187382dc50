"""The seed: a small CD that tells cloud-init the twin's name, user and key (its data source NoCloud)."""

import io
import json
import os
import re

from safetytwin.vm.driver import DriverError
from safetytwin.vm.shape_records import Shape

USER = "twin"
_NOT_OF_NAMES = re.compile(r"[^a-z0-9-]+", re.ASCII)


def guest_hostname(shape: Shape) -> str:
    """Return the machine's name as a hostname may be (RFC 1123), "twin" where nothing of it can be kept."""
    first = (shape.hostname or shape.host_id).lower().partition(".")[0]
    return _NOT_OF_NAMES.sub("-", first).strip("-")[:63].rstrip("-") or "twin"


def cloud_config(shape: Shape, key: str | None) -> dict[str, str]:
    """Return the seed's files by name; JSON is YAML, and leaves no text of a state to be more than text.

    No password is set anywhere: who has no key enters by the guest agent or a console that logs in by other means.
    """
    user: dict[str, object] = {
        "name": USER,
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "shell": "/bin/bash",
        "lock_passwd": True,
        "ssh_authorized_keys": [] if key is None else [key],
    }
    config = {
        "hostname": guest_hostname(shape),
        "users": [user],
        "ssh_pwauth": False,
        "disable_root": True,
        "growpart": {"mode": "auto", "devices": ["/"]},
    }
    return {
        "meta-data": json.dumps({"instance-id": shape.name, "local-hostname": guest_hostname(shape)}) + "\n",
        "user-data": "#cloud-config\n" + json.dumps(config) + "\n",
    }


def write_seed(path: str, files: dict[str, str]) -> None:
    """Write a CD of files at path; raises DriverError where the package that makes CDs is not installed."""
    try:
        import pycdlib  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise DriverError("the seed needs the package pycdlib; run: pip install 'safetytwin[vm]'") from error
    disc = pycdlib.PyCdlib()
    disc.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, text) in enumerate(files.items()):
        content = text.encode()
        disc.add_fp(io.BytesIO(content), len(content), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    part = f"{path}.part"
    disc.write(part)
    disc.close()
    os.replace(part, path)

"""A plain machine to make twins of: what a test does not name is constant."""

from typing import Any
from xml.etree.ElementTree import Element, fromstring

from parts.small_states import state
from safetytwin.models.hardware import Address, BlockDevice, Cpu, Disk, Interface, Memory
from safetytwin.models.system_state import SystemState

GIB = 1 << 30


def machine(**hardware: Any) -> SystemState:
    """Two CPUs, 4 GiB, two disks, one interface; hardware's fields by name."""
    usual: dict[str, Any] = {
        "hostname": "atlas",
        "cpu": Cpu(cores_logical=2, cores_physical=2, sockets=1, architecture="x86_64", model="A CPU"),
        "memory": Memory(total=4 * GIB),
        "disks": [Disk("/", device="/dev/sda1", kind="local", fstype="ext4", total=39 * GIB)],
        "block_devices": [
            BlockDevice("sdb", kind="disk", size=100 * GIB),
            BlockDevice("sda", kind="disk", size=40 * GIB),
            BlockDevice("sda1", kind="partition", parent="sda", size=39 * GIB),
        ],
        "network": [
            Interface("lo", kind="loopback", mac="00:00:00:00:00:00"),
            Interface(
                "eth0",
                kind="ethernet",
                physical=True,
                mac="3C:EC:EF:00:00:01",
                addresses=[Address("192.0.2.7", "ipv4", 24)],
            ),
            Interface("docker0", kind="bridge", physical=False, mac="02:42:00:00:00:01"),
        ],
    }
    return state(**{**usual, **hardware})


def parsed(xml: str) -> Element:
    """What the product wrote, read by the standard library."""
    return fromstring(xml)  # noqa: S314 - the product's own words

"""Which processes compute on AMD GPUs through ROCm, and the GPU memory that they hold.

Source: kernel drivers/gpu/drm/amd/amdkfd/kfd_process.c (/sys/class/kfd/kfd/proc/PID/vram_GPUID) and kfd_topology.c.
"""

import os

from safetytwin.collectors.host_root import HostRoot, list_dir, read_bytes, read_int, text_of
from safetytwin.models.fields import count


def memory_by_process(root: HostRoot, address: str) -> dict[int, int | None]:
    """Return the bytes that each process (host's pid) holds of the GPU at a PCI address; {} without ROCm."""
    folder = os.path.join(root.sys, "class/kfd/kfd/proc")
    pids = [name for name in list_dir(folder) if name.isascii() and name.isdigit()]
    gpu_id = _gpu_id(root, address) if pids else None
    found: dict[int, int | None] = {}
    for name in pids:
        path = os.path.join(folder, name, f"vram_{gpu_id}")
        if os.path.exists(path):
            found[int(name)] = count(read_int(path))
    return found


def _gpu_id(root: HostRoot, address: str) -> int | None:
    """Return the number that the ROCm driver gave to the GPU at a PCI address."""
    nodes = os.path.join(root.sys, "class/kfd/kfd/topology/nodes")
    for node in list_dir(nodes):
        try:
            properties = read_bytes(os.path.join(nodes, node, "properties"))
        except OSError:
            continue
        gpu_id = read_int(os.path.join(nodes, node, "gpu_id"))
        if gpu_id and parse_address(properties) == address:  # processors have the id 0
            return gpu_id
    return None


def parse_address(properties: bytes) -> str | None:
    """Return the PCI address that a node's properties give: domain, and bus, device and function in location_id."""
    pairs = (line.partition(" ") for line in text_of(properties).splitlines())
    values = {key: value for key, _, value in pairs if value.isascii() and value.isdigit() and len(value) < 20}
    if "location_id" not in values:
        return None
    location, domain = int(values["location_id"]), int(values.get("domain", "0"))
    return f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"

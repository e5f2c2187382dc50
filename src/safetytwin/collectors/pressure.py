"""Pressure stall information (kernel Documentation/accounting/psi.rst)."""

import math

from safetytwin.collectors.host_root import read_bytes
from safetytwin.models.hardware import Pressure

_AVERAGES = (b"avg10", b"avg60", b"avg300")


def parse_pressure(data: bytes) -> Pressure | None:
    """Return the averages of a file of /proc/pressure in percent, or None where it has none."""
    values: dict[str, float] = {}
    for line in data.splitlines():
        kind, _, rest = line.partition(b" ")
        if kind not in {b"some", b"full"}:
            continue
        for word in rest.split():
            name, _, text = word.partition(b"=")
            if name not in _AVERAGES:
                continue
            try:
                value = float(text)
            except ValueError:
                continue
            if math.isfinite(value) and 0 <= value <= 100:
                values[f"{kind.decode()}_{name.decode()}"] = value
    return Pressure(**values) if values else None


def read_pressure(path: str) -> Pressure | None:
    """Return the pressure in a file; None on kernels built without it and on those started with psi=0 (EOPNOTSUPP)."""
    try:
        return parse_pressure(read_bytes(path))
    except OSError:
        return None

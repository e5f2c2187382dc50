"""How a field of the state documents itself: its meaning, kind, unit and OpenTelemetry name.

From this metadata come the JSON Schema, the documentation's tables, the keys of collections and which changes are
significant; nothing about a field is written down twice.
"""

from typing import Annotated, Any

import msgspec

MAX_INTEGER = 2**53 - 1
"""The largest integer a state may hold: what a JavaScript reader still reads exactly (RFC 8259, section 6)."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What every part of a state is: immutable, so that looks can share what did not change, and null left out.

    Without cycles by construction, so the garbage collector need not follow it (gc=False).
    """


def _meta(kind: str, description: str, unit: str | None, otel: str | None) -> msgspec.Meta:
    extra: dict[str, Any] = {"x-kind": kind}
    if unit is not None:
        extra["x-unit"] = unit
    if otel is not None:
        extra["x-otel"] = otel
    return msgspec.Meta(description=description, extra_json_schema=extra)


def identity_field(description: str, *, unit: str | None = None, otel: str | None = None) -> msgspec.Meta:
    """Describe a field that is part of an item's key; it never changes while the item lives."""
    return _meta("identity", description, unit, otel)


def state_field(description: str, *, unit: str | None = None, otel: str | None = None) -> msgspec.Meta:
    """Describe a field whose change means something to a person (a status, a command line, a limit)."""
    return _meta("state", description, unit, otel)


def gauge_field(description: str, *, unit: str | None = None, otel: str | None = None) -> msgspec.Meta:
    """Describe a measurement that moves by itself (a percentage, a counter, memory in use); never significant.

    Units are those of UCUM as OpenTelemetry writes them: "By" bytes, "s" seconds, "%" percent 0-100, "By/s", "1" counts.
    """
    return _meta("gauge", description, unit, otel)


Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
"""A whole number that JSON readers agree on; where the source says more than that, the field is null."""

Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
"""A finite number; NaN and infinities are null, for JSON has none."""


def count(value: int | None) -> int | None:
    """Return value where it is a number that a state may hold, else None (18446744073709551615 means "none" to kernels)."""
    if value is None or value < 0 or value > MAX_INTEGER:
        return None
    return value

"""Change: the difference of two states, and the frames in which states and changes travel."""

from __future__ import annotations  # what is said of the fields is evaluated where it is asked for; a look never asks

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any, Literal

import msgspec

from safetytwin.models.fields import Count, Record
from safetytwin.models.system_state import HostId, Timestamp


class CollectionChange(Record, frozen=True):
    """What changed in one keyed collection; the keys are those of safetytwin.changes.keys."""

    added: A[list[dict[str, Any]] | None, msgspec.Meta(description="New items, whole, in their order.")] = None
    at: A[list[Count] | None, msgspec.Meta(description="Index of each added item in the new list, ascending; null where all come at the end.")] = None
    changed: A[dict[str, dict[str, Any]] | None, msgspec.Meta(description="By key: a JSON Merge Patch (RFC 7396) with the changed fields only.")] = None
    removed: A[list[str] | None, msgspec.Meta(description="Keys of the items that are gone.")] = None
    order: A[list[str] | None, msgspec.Meta(description="All keys in their new order, only where the items that stay have changed places.")] = None


class Change(Record, frozen=True):
    """The difference of two states: apply(a, diff(a, b)) == b.

    The state's patch goes first, the collections after it. A state has no nulls inside objects (unknown is left out), so
    that null can mean "gone" in a patch. A list in the patch where a keyed collection is replaces all of it; where the
    collections say nothing, a keyed collection stays as it is.
    """

    state: A[dict[str, Any] | None, msgspec.Meta(description="JSON Merge Patch (RFC 7396) of the state without the items of its keyed collections.")] = None
    collections: A[dict[str, CollectionChange] | None, msgspec.Meta(description="By path, such as processes or hardware.gpu.nvidia.")] = None


class Frame(Record, frozen=True):
    """What travels from an agent to a bridge: a whole state, or the change since the frame before.

    (host_id, epoch, seq) names a frame for ever: a bridge that has it answers as if it were new.
    """

    host_id: A[HostId, msgspec.Meta(description="Which installation of the agent looked.")]
    epoch: A[str, msgspec.Meta(pattern=r"^[0-9a-f]{16,32}\Z", description="Random id of the agent's run.")]
    seq: A[Count, msgspec.Meta(description="Number of the frame within the epoch, from 0, each one more than the last.")]
    kind: A[Literal["full", "change"], msgspec.Meta(description="A whole state, or a change to the state of seq - 1.")]
    observed_at: A[Timestamp, msgspec.Meta(description="The agent's clock when the look ended.")]
    monotonic: A[float, msgspec.Meta(ge=0, le=1e12, description="Seconds of the agent's boot clock, which no one sets.")]
    state: A[dict[str, Any] | None, msgspec.Meta(description="The state of a full frame.")] = None
    change: A[Change | None, msgspec.Meta(description="The change of a change frame.")] = None

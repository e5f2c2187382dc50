"""Events: what a change means to a person."""

from __future__ import annotations  # what is said of the fields is evaluated where it is asked for; a look never asks

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any, Literal

import msgspec

from safetytwin.models.fields import Count, Record
from safetytwin.models.system_state import Timestamp

Severity = Literal["info", "notice", "warning", "critical"]


class Event(Record, frozen=True):
    """Something that happened on a machine; derived from a change, never sent by an agent."""

    at: A[Timestamp, msgspec.Meta(description="When it was first seen.")]
    kind: A[str, msgspec.Meta(description="Stable name, such as unit.failed; docs/events.md lists all.")]
    severity: A[Severity, msgspec.Meta(description="info, notice, warning or critical.")]
    subject: A[str, msgspec.Meta(description="What it happened to: collection and key, such as services/systemd/ssh.service, or host.")]
    text: A[str, msgspec.Meta(description="One sentence for people.")]
    details: A[dict[str, Any] | None, msgspec.Meta(description="The facts in the sentence, by name.")] = None
    count: A[Count | None, msgspec.Meta(description="How many of its kind were folded into this one; null for one.")] = None
    last_at: A[Timestamp | None, msgspec.Meta(description="When the last of the folded ones was seen.")] = None

"""The JSON Schema of the state, made from the records."""

from typing import Any

import msgspec

from safetytwin.models.system_state import SystemState


def state_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every state this program writes is valid against."""
    schema = msgspec.json.schema(SystemState)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "SafetyTwin system state", **schema}

"""The OpenAPI 3.1 document of the bridge, made from its routes and records."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from safetytwin.bridge.auth import COOKIE
from safetytwin.bridge.problems import MEDIA_TYPE, ProblemDetails
from safetytwin.bridge.routes.table import JSON, Endpoint, Parameter

_ALWAYS = (400, 404, 405, 421, 422, 500)
"""Statuses that any route may answer: it may be asked in a wrong way."""
_LOCKED = (401, 403)
"""Those of routes that may need a token."""

_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "safetytwin bridge token create"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Set by POST /api/v1/session."},
}


def document(endpoints: Sequence[Endpoint], version: str, *, tokens_needed: bool) -> dict[str, Any]:
    """Return the document; its security says what this bridge asks for."""
    bodies = [kind for e in endpoints for kind in (e.answer, e.body) if kind is not None]
    types = list({repr(kind): kind for kind in [*bodies, ProblemDetails]}.values())
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = {repr(kind): _portable(schema) for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schema_of, tokens_needed)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SafetyTwin bridge",
            "version": version,
            "description": "Live digital twins of machines: what they are, what they were, what changed.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _portable(components),
            "securitySchemes": _SECURITY,
            "responses": {"Problem": _problem(schema_of)},
        },
    }


def _operation(endpoint: Endpoint, schema_of: dict[str, Any], tokens_needed: bool) -> dict[str, Any]:
    locked = endpoint.access != "anyone"
    statuses = sorted({*_ALWAYS, *(_LOCKED if locked else ()), *endpoint.problems})
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "parameters": [_parameter(parameter) for parameter in endpoint.parameters],
        "responses": {
            str(endpoint.status): _answer(endpoint, schema_of),
            **({"304": {"description": HTTPStatus.NOT_MODIFIED.phrase}} if endpoint.etag else {}),
            **{str(status): {"$ref": "#/components/responses/Problem"} for status in statuses},
        },
        "security": [{"token": []}, {"session": []}] if locked and tokens_needed else [],
    }
    if endpoint.body is not None:
        content: dict[str, Any] = {"schema": schema_of[repr(endpoint.body)]}
        if endpoint.example is not None:
            content["example"] = endpoint.example
        operation["requestBody"] = {"required": True, "content": {JSON: content}}
    return operation


def _answer(endpoint: Endpoint, schema_of: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase}
    if endpoint.answer is not None:
        described["content"] = {endpoint.media_type: {"schema": schema_of[repr(endpoint.answer)]}}
    elif endpoint.media_type != JSON:
        described["content"] = {endpoint.media_type: {"schema": {"type": "string"}}}
    return described


def _problem(schema_of: dict[str, Any]) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": schema_of[repr(ProblemDetails)]}}
    return {"description": "What is wrong and how to mend it (RFC 9457).", "content": content}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.example is not None:
        text = parameter.schema["type"] == "string"
        described["example"] = parameter.example if text else parameter.parse(parameter.example)
    return described


def _portable(schema: Any) -> Any:
    r"""Return a schema with patterns that every reader knows: the end of the text is $ there, in Python \Z."""
    if isinstance(schema, dict):
        return {
            name: value.replace(r"\Z", "$") if name == "pattern" and isinstance(value, str) else _portable(value)
            for name, value in schema.items()
        }
    if isinstance(schema, (list, tuple)):
        return [_portable(item) for item in schema]
    return schema

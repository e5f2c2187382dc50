"""The schema documents every field, and the pages made from the code are fresh."""

import importlib.util
import os

import jsonschema

from safetytwin.models.schema import state_schema

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs")


def test_every_field_says_what_it_is() -> None:
    for name, record in state_schema()["$defs"].items():
        assert record.get("description"), name
        for field, facts in record["properties"].items():
            assert facts.get("description"), f"{name}.{field}"
            assert facts.get("x-kind") in {"identity", "state", "gauge"}, f"{name}.{field}"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(state_schema())


def test_generated_pages_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("docs_generate", os.path.join(DOCS, "generate.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for page, make in module.PAGES.items():
        with open(os.path.join(DOCS, page), encoding="utf-8") as file:
            assert file.read() == make(), f"docs/{page} is stale; run: python docs/generate.py"

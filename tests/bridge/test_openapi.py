"""The routes, the OpenAPI document and the page of the API say the same; any request that it allows is answered so."""

import re
from pathlib import Path

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from parts.bridge_http import full_frame, post_frames, running
from safetytwin.bridge.auth import TokenStore
from safetytwin.bridge.routes import ENDPOINTS

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| `(GET|POST|DELETE) ([^`?]+)(?:\?([^`]*))?` \|", re.MULTILINE)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("data")) as client:
        post_frames(client, [full_frame()])
        yield client


def test_the_page_of_the_api_lists_exactly_the_routes():
    documented = {(method, path) for method, path, _ in ROW.findall((DOCS / "api.md").read_text())}
    assert documented == {(e.method, e.path) for e in ENDPOINTS}


def test_the_page_of_the_api_names_exactly_the_parameters():
    routes = {(e.method, e.path): e for e in ENDPOINTS}
    for method, path, query in ROW.findall((DOCS / "api.md").read_text()):
        names = [part.removesuffix("=") for part in query.split("&") if part]
        known = [p.name for p in routes[method, path].parameters if p.where == "query"]
        if names != ["…"]:
            assert names == known, path


def test_each_route_is_documented_once():
    assert len({(e.method, e.path) for e in ENDPOINTS}) == len(ENDPOINTS)
    assert len({e.handler.__name__ for e in ENDPOINTS}) == len(ENDPOINTS)


def test_the_document_is_openapi_and_its_examples_fit_their_schemas(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    for item in document["paths"].values():
        for operation in item.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = {**content["schema"], "components": document["components"]}
                jsonschema.validate(content["example"], schema, jsonschema.Draft202012Validator)


def test_each_example_of_a_body_is_taken(client):
    document = client.get("/openapi.json").json()
    for path, status in (("/api/v1/hosts/{host_id}/frames", 200), ("/api/v1/update_state", 200)):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        answer = client.post(path.replace("{host_id}", "atlas"), json=content["example"])
        assert answer.status_code == status, answer.text


def test_without_a_token_every_route_is_closed(tmp_path):
    TokenStore(tmp_path).create("person")
    with running(tmp_path, require_tokens=True) as client:
        for endpoint in ENDPOINTS:
            path = endpoint.path.replace("{host_id}", "atlas")
            for headers in ({}, {"Authorization": "Bearer st_0123456789ab_x"}, {"Cookie": "safetytwin=x"}):
                answer = client.request(endpoint.method, path, headers=headers)
                if (endpoint.method, path) in {("GET", "/healthz"), ("DELETE", "/api/v1/session")}:
                    assert answer.status_code in {200, 204}
                elif (endpoint.method, path) == ("POST", "/api/v1/session"):
                    assert answer.status_code in {400, 401}
                else:
                    assert answer.status_code == 401, path
                    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_requests_that_the_document_allows_and_forbids_are_answered_as_it_says(client):
    """schemathesis makes requests from the document, valid and not, and holds the answers against it."""
    schema = schemathesis.openapi.from_url(str(client.base_url) + "/openapi.json")
    tried = 0
    # A stream never ends.
    for operation in schema.exclude(path_regex=r"/stream$").get_all_operations():
        tried += try_out(operation.ok())
    assert tried > 100


def try_out(operation):
    """Return how many requests of one operation were tried."""
    tried = 0
    # What a document can't say: that a date is one, that from is before to, that a frame fits the twin, what a
    # question is.
    said = operation.method == "get" and not {parameter.name for parameter in operation.query} & {"at", "from", "where"}
    excluded = [] if said else [positive_data_acceptance]

    @settings(
        max_examples=10,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    )
    def check(case):
        nonlocal tried
        tried += 1
        case.call_and_validate(excluded_checks=excluded)

    check()
    return tried

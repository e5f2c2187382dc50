"""Who may do what where tokens are asked for."""

import pytest

from parts.bridge_http import bare_state, full_frame, post_frames, problem_of, running
from safetytwin.bridge.auth import TokenStore


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    tokens = TokenStore(data)
    person, agent, free = tokens.create("person"), tokens.create("agent", host_id="atlas"), tokens.create("agent")
    with running(data, require_tokens=True) as client:
        yield client, tokens, person, agent, free


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_person_sees_all_and_an_agent_sends_its_machine_only(locked):
    client, _, person, agent, _ = locked
    assert post_frames(client, [full_frame()], **bearer(agent)).status_code == 200
    assert client.get("/api/v1/hosts/atlas", headers=bearer(person)).status_code == 200
    assert client.get("/metrics", headers=bearer(person)).status_code == 200
    for path in (
        "/api/v1/hosts",
        "/api/v1/hosts/atlas",
        "/api/v1/events",
        "/metrics",
        "/openapi.json",
        "/api/v1/stream",
    ):
        assert problem_of(client.get(path, headers=bearer(agent))).status == 403
    assert problem_of(client.delete("/api/v1/hosts/atlas", headers=bearer(agent))).status == 403


def test_an_agents_token_is_no_good_for_another_machine(locked):
    client, _, _, agent, _ = locked
    answer = post_frames(client, [full_frame("borea")], "borea", **bearer(agent))
    assert "another machine" in problem_of(answer).detail
    answer = client.post("/api/v1/update_state", json=bare_state(host_id="borea"), headers=bearer(agent))
    assert problem_of(answer).status == 403
    answer = client.post("/api/v1/update_state", json=bare_state(host_id="atlas"), headers=bearer(agent))
    assert answer.status_code == 200


def test_a_free_token_belongs_to_the_first_machine_that_uses_it(locked):
    client, _, _, _, free = locked
    assert post_frames(client, [full_frame("circe")], "circe", **bearer(free)).status_code == 200
    assert post_frames(client, [full_frame("delos")], "delos", **bearer(free)).status_code == 403
    assert post_frames(client, [full_frame("circe")], "circe", **bearer(free)).status_code == 200


def test_a_refused_body_binds_no_token(locked):
    client, tokens, *_ = locked
    token = tokens.create("agent")
    assert client.post("/api/v1/update_state", content=b"nonsense", headers=bearer(token)).status_code == 400
    assert client.post("/api/v1/update_state", json=bare_state(host_id="eos"), headers=bearer(token)).status_code == 200


def test_a_browser_signs_in_and_out(locked):
    client, _, person, agent, _ = locked
    assert problem_of(client.post("/api/v1/session", json={"token": "st_0123456789ab_no"})).status == 401
    assert problem_of(client.post("/api/v1/session", json={"token": agent})).status == 401
    signed_in = client.post("/api/v1/session", json={"token": person})
    assert signed_in.status_code == 204
    cookie = signed_in.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    jar = {"Cookie": f"safetytwin={person}"}
    assert client.get("/api/v1/hosts", headers=jar).status_code == 200
    out = client.delete("/api/v1/session", headers=jar)
    assert 'safetytwin=""' in out.headers["set-cookie"]
    client.cookies.clear()
    assert client.get("/api/v1/hosts").status_code == 401


def test_a_revoked_token_is_refused_at_the_next_request(locked):
    client, tokens, *_ = locked
    token = tokens.create("person")
    assert client.get("/api/v1/hosts", headers=bearer(token)).status_code == 200
    tokens.revoke(token.split("_")[1])
    assert client.get("/api/v1/hosts", headers=bearer(token)).status_code == 401


def test_no_token_is_written_to_the_log(locked, caplog):
    client, _, person, _, _ = locked
    with caplog.at_level("DEBUG"):
        client.get(f"/api/v1/hosts?token={person}", headers=bearer(person))
        client.get("/api/v1/hosts", headers=bearer(person + "x"))
        client.post("/api/v1/session", json={"token": person})
        client.cookies.clear()
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert any("/api/v1/hosts" in line for line in ours)
    assert not any(person in line for line in ours)


def test_the_page_itself_needs_no_token(locked):
    client, *_ = locked
    assert client.get("/").status_code in {200, 404}  # 404 where the package has no page
    assert client.get("/static/../auth.py").status_code == 404

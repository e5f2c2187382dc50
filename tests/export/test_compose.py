"""Compose files, read by a YAML reader, by Docker Compose itself and by a real engine."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml
from hypothesis import given, settings

from parts.docker import docker_engine
from parts.hostile_machine import hostile_machine
from parts.looks import live_look
from parts.small_states import container, state
from parts.states import states
from safetytwin.collectors.base import LookOptions
from safetytwin.collectors.docker import DockerCollector
from safetytwin.export.compose import compose_document, compose_text, literal
from safetytwin.export.facts import REDACTED, containers_of
from safetytwin.models.service import Port, Volume
from safetytwin.redaction.text import REDACTED as REDACTION

needs_compose = pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker-compose (Debian)")


def compose(*arguments, directory, variables=(), host=None):
    environment = {**os.environ, **dict.fromkeys(variables, "a value"), **({"DOCKER_HOST": host} if host else {})}
    done = subprocess.run(
        ["docker-compose", *arguments], cwd=directory, check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_mark_of_a_secret_is_that_of_the_redaction():
    assert REDACTED == REDACTION


def test_a_plain_container():
    web = container(
        "web",
        image="nginx:1.27",
        environment={"MODE": "fast", "API_KEY": "[redacted]"},
        command=["serve", "--token=[redacted]", "cost=$5"],
        ports=[Port(80, "tcp", "0.0.0.0", 8080), Port(443, "tcp")],
        volumes=[Volume("/data", "web-data", "volume"), Volume("/cache", "a" * 64, "volume")],
        networks=["front"],
        restart_policy="always",
    )
    document, variables, left_out = compose_document(state(services=(web,)))
    assert document == {
        "services": {
            "web": {
                "image": "nginx:1.27",
                "container_name": "web",
                "command": ["serve", "--token=${WEB_ARGUMENT_2:?must be set}", "cost=$$5"],
                "environment": {"MODE": "fast", "API_KEY": "${WEB_API_KEY:?must be set}"},
                "ports": ["8080:80/tcp"],
                "expose": ["443/tcp"],
                "volumes": [
                    {"type": "volume", "target": "/data", "source": "web-data"},
                    {"type": "volume", "target": "/cache"},
                ],
                "networks": ["front"],
                "restart": "always",
            }
        },
        "networks": {"front": {"name": "front"}},
        "volumes": {"web-data": {"name": "web-data"}},
    }
    assert variables == {"WEB_ARGUMENT_2": "argument 2 of web", "WEB_API_KEY": "API_KEY of web"}
    assert left_out == []


def test_two_containers_of_one_name_and_the_network_of_another():
    one, two = container("a", identity="1", image="i"), container("a", identity="2", image="i")
    third = container("b", identity="3", image="i", networks=["container:1"])
    fourth = container("c", identity="4", image="i", networks=["container:gone"])
    document, _, left_out = compose_document(state(services=(one, two, third, fourth)))
    assert list(document["services"]) == ["a", "a_2", "b", "c"]
    assert document["services"]["b"]["network_mode"] == "service:a"
    assert left_out == ["network of c: that of a container which is not in this file"]


@settings(max_examples=25)
@given(states())
def test_any_state_gives_a_file_that_reads_as_it_was_meant(one):
    document, variables, _ = compose_document(one)
    assert yaml.safe_load(compose_text(one)) == document
    assert len(document["services"]) == len(containers_of(one))
    assert all(re.fullmatch(r"[A-Z0-9_]+", name) for name in variables)
    assert "[redacted]" not in json.dumps(document)


@needs_compose
def test_docker_compose_reads_hostile_names_as_the_text_they_are(tmp_path):
    machine = hostile_machine()
    document, variables, _ = compose_document(machine)
    (tmp_path / "compose.yml").write_text(compose_text(machine), encoding="utf-8")
    (key,) = document["services"]
    read = yaml.safe_load(compose("-f", "compose.yml", "config", directory=tmp_path, variables=variables))
    service, original = read["services"][key], containers_of(machine)[0]
    assert service["image"] == literal(original.image)
    assert service["command"] == [*map(literal, original.command[:3]), "--token=a value"]
    assert service["environment"]["HOME"] == literal(original.environment["HOME"])
    assert service["environment"]["TOKEN"] == "a value"
    assert service["ports"] == ["127.0.0.1:8080:80/tcp"]


@needs_compose
def test_a_secret_that_is_not_set_stops_docker_compose(tmp_path):
    web = container("web", image="i", environment={"API_KEY": "[redacted]"})
    (tmp_path / "compose.yml").write_text(compose_text(state(services=(web,))))
    done = subprocess.run(
        ["docker-compose", "-f", "compose.yml", "config"], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "must be set" in done.stderr


@needs_compose
@pytest.mark.engine
@pytest.mark.root
def test_containers_of_a_real_engine_come_back_as_they_were(tmp_path):
    with docker_engine() as engine:
        engine.cli("network", "create", "front")
        engine.cli(
            *("create", "--name", "web", "--hostname", "webhost", "--env", "GREETING=hi", "--label", "team=$x"),
            *("--publish", "127.0.0.1:18080:80", "--expose", "90/udp", "--volume", "web-data:/data", "--tmpfs", "/tmp"),
            *("--volume", "/srv:/srv:ro", "--network", "front", "--restart", "on-failure", "--memory", "64m"),
            *("--cpus", "0.5", "--user", "7", "bb:1", "sh", "-c", "echo $HOME"),
        )

        def look():
            collector = DockerCollector()
            try:
                found = collector.collect(live_look(options=LookOptions(docker_socket=engine.socket)))
            finally:
                collector.close()
            return state(services=tuple(found))

        before = look()
        text = compose_text(before)
        (tmp_path / "compose.yml").write_text(text)
        engine.cli("rm", "web")
        compose("-p", "twin", "up", "--no-start", directory=tmp_path, host=f"unix://{engine.socket}")
        after = look()
    (one,), (other,) = containers_of(before), containers_of(after)
    for name in ("name", "image", "command", "hostname", "user", "environment", "ports", "volumes", "networks",
                 "restart_policy", "limits"):  # fmt: skip
        assert getattr(other, name) == getattr(one, name), name
    assert other.labels.items() >= one.labels.items()

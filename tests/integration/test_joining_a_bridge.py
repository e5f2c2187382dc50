"""A bridge off loopback: in a network of its own, with TLS and tokens, as docs/service.md has it."""

import os
import shutil
import subprocess

import pytest

from parts.bridge import PATIENCE, PYTHON, Command, until

ADDRESS = "192.0.2.1"
URL = f"https://{ADDRESS}:5678"


@pytest.fixture
def network():
    """Give what runs a command in a network of its own, where there is an address that is not loopback's."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes a network namespace")
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    script = f"ip link set lo up && ip address add {ADDRESS}/32 dev lo && echo ready && exec sleep 600"
    with subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        try:
            if holder.stdout.readline() != "ready\n":
                pytest.skip("no network namespace can be made here")
            yield ["nsenter", "--target", str(holder.pid), "--net"]
        finally:
            holder.kill()


@pytest.fixture
def certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=twins.example",
         "-addext", f"subjectAltName=IP:{ADDRESS}", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        capture_output=True, check=True,
    )  # fmt: skip
    return ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]


def _token(tmp_path, name, *arguments):
    made = subprocess.run(
        [*PYTHON, "bridge", "token", "create", "--data", str(tmp_path / "data"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    path = tmp_path / name
    path.write_text(made.stdout)
    path.chmod(0o600)
    return ["--token-file", str(path)]


@pytest.mark.root
@pytest.mark.slow
def test_machines_join_by_tls_and_a_token_and_are_refused_without(tmp_path, network, certificate) -> None:
    person = _token(tmp_path, "person", "--person")
    agent_token = _token(tmp_path, "agent")
    trust = ["--bridge", URL, "--ca-file", str(tmp_path / "cert.pem")]

    def asked(*arguments):
        command = [*network, *PYTHON, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def agent(name, *arguments):
        state = ["--state-directory", str(tmp_path / name)]
        return Command(tmp_path, name, "agent", "--interval", "0.5", *state, *arguments, within=network)

    listen = ["--listen", f"{ADDRESS}:5678", "--data", str(tmp_path / "data")]
    with Command(tmp_path, "open", "bridge", *listen, within=network) as bridge:
        assert bridge.process.wait(PATIENCE) == 1
        assert "it needs TLS" in bridge.said
    with Command(tmp_path, "bridge", "bridge", *listen, *certificate, within=network) as bridge:
        until(lambda: f"listening on {URL}" in bridge.said, "the bridge answers")
        refused = asked("hosts", *trust)
        assert refused.returncode == 1
        assert "asks for a token" in refused.stderr
        refused = asked("hosts", "--bridge", URL, *person)
        assert refused.returncode == 1
        assert "certificate verify failed" in refused.stderr
        refused = asked("hosts", *trust, *agent_token)
        assert refused.returncode == 1
        assert "This is an agent's token" in refused.stderr
        with agent("stranger", *trust) as stranger, agent("first", *trust, *agent_token) as first:
            until(lambda: "reporting to the bridge every" in first.said, "the agent with a token reports")
            until(lambda: "the bridge answered 401: A token is needed" in stranger.said, "the other is refused")
            with agent("second", *trust, *agent_token) as second:
                until(lambda: "the bridge answered 403" in second.said, "a token is good for one machine")
            listed = asked("hosts", *trust, *person)
            assert (listed.returncode, listed.stderr) == (0, "")
            assert len(listed.stdout.splitlines()) >= 2
            assert sum(" live " in line for line in listed.stdout.splitlines()) == 1
            assert bridge.stop() == 0

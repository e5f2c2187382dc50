"""No secret of a command line gets through, and nothing else is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.redaction.argv import redact_argv

SECRET = "hunter2Zx"


@pytest.mark.parametrize(
    "argv",
    [
        ["mysql", "-p" + SECRET, "-u", "root"],
        ["mysqldump", f"--password={SECRET}", "db"],
        ["curl", "-u", f"me:{SECRET}", "https://example.com"],
        ["curl", "-H", f"Authorization: Bearer {SECRET}xxxxxxxx", "https://example.com"],
        ["curl", f"-HX-Api-Key: {SECRET}", "https://example.com"],
        ["vllm", "serve", "m", "--api-key", SECRET],
        ["vllm", "serve", "m", f"--api-key={SECRET}"],
        ["llama-server", "-m", "x.gguf", "-hft", SECRET],
        ["python", "-m", "x", "--hf-token", SECRET],
        ["bash", "-c", f"export DB_PASSWORD={SECRET}; exec app"],
        ["sh", "-c", f"app --password {SECRET} --verbose"],
        ["sh", "-c", f"app --password '{SECRET} and more'"],
        ["env", f"GITHUB_TOKEN={SECRET}", "app"],
        ["psql", f"postgres://me:{SECRET}@db/x"],
        ["psql", f"postgres://me:a/{SECRET}@db/x"],
        ["psql", f"postgres://me:a@{SECRET}@db/x"],
        ["app", f"--url=https://me:{SECRET}@host/path"],
        ["app", f"https://host/path?a=1&access_token={SECRET}&b=2"],
        ["app", f"https://host/?X-Amz-Signature={SECRET}"],
        ["java", f"-Djavax.net.ssl.keyStorePassword={SECRET}", "-jar", "x.jar"],
        ["java", f"-Dpassword={SECRET}"],
        ["redis-cli", "-a", SECRET],
        ["sudo", "redis-cli", "-a", SECRET],
        ["redis-server", "--requirepass", SECRET],
        ["sshpass", "-p", SECRET, "ssh", "host"],
        ["sshpass", "-p" + SECRET, "ssh", "host"],
        ["openssl", "rsa", "-passin", f"pass:{SECRET}"],
        ["docker", "login", "-u", "me", "-p", SECRET],
        ["ngrok", "authtoken", SECRET],
        ["ngrok", "http", "--authtoken", SECRET],
        ["htpasswd", "-bc", "file", "me", SECRET],
        ["app", f'{{"password": "{SECRET}"}}'],
        ["app", f"Server=db;User Id=sa;Password={SECRET};"],
        ["app", f"AccountName=x;AccountKey={SECRET};EndpointSuffix=y"],
        ["ldapsearch", "-D", "cn=x", "-w", SECRET],
        ["xfreerdp", "/u:me", f"/p:{SECRET}", "/v:host"],
        ["tailscale", "up", "--authkey", SECRET],
        ["git", "clone", "https://ghp_" + "a1" * 18 + SECRET + "@github.com/a/b"],
        ["app", "hf_" + "aB3" * 8 + SECRET],
        ["app", "sk-proj-" + "aB3" * 8 + SECRET],
        ["app", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + SECRET],
        ["app", f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----"],
        ["app", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET} cut off"],
        [f"app: worker --token {SECRET}"],
    ],
)
def test_secret_is_gone(argv: list[str]) -> None:
    shown = redact_argv(argv)
    assert SECRET not in "\0".join(shown)
    assert len(shown) == len(argv)
    assert any("[redacted]" in argument for argument in shown)


@pytest.mark.parametrize(
    "argv",
    [
        ["vllm", "serve", "m", "--max-tokens", "5", "--tokenizer", "x", "--port", "8000"],
        ["app", "--token-limit=5", "--eos-token", "</s>", "--pad-token-id", "0"],
        ["app", "--ssl-keyfile", "/etc/ssl/a.pem", "--password-file", "/run/secrets/x", "--tls-key=/etc/a.key"],
        ["app", "--auth", "--cookie-secure=true"],
        ["ssh", "git@github.com"],
        ["mysql", "-p", "database"],
        ["sort", "--key=2", "-k", "1"],
        ["postgres: checkpointer"],
        ["", "", "a"],
        ["sh", "-c", 'app --token "$TOKEN"'],
        ["chrome", "--enable-features=PasswordImport", "--lang=en"],
    ],
)
def test_what_is_no_secret_stays(argv: list[str]) -> None:
    assert redact_argv(argv) == argv


@given(st.lists(st.text(max_size=200), max_size=10))
def test_any_argv_keeps_its_length_and_is_stable(argv: list[str]) -> None:
    shown = redact_argv(argv)
    assert len(shown) == len(argv)
    assert redact_argv(shown) == shown

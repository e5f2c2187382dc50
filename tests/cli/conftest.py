"""What the tests of several commands share."""

import pytest

from parts.bridge_history import history
from safetytwin.cli.main import main


@pytest.fixture(scope="session")
def told(tmp_path_factory):
    """Give a bridge that two machines have reported to."""
    with history(tmp_path_factory.mktemp("told")) as there:
        yield there


@pytest.fixture
def safetytwin(capsys, monkeypatch):
    """Return what runs a command in this process and gives its exit code, output and errors."""
    for name in ("BRIDGE", "TOKEN_FILE", "CA_FILE"):
        monkeypatch.delenv(f"SAFETYTWIN_{name}", raising=False)

    def run(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = stopped.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run

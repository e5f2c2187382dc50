"""What questions are asked of."""

import pytest

from parts.bridge_history import history
from safetytwin.cli.main import main


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Give a bridge that two machines have reported to."""
    with history(tmp_path_factory.mktemp("told")) as there:
        yield there


@pytest.fixture
def safetytwin(capsys):
    """Return what runs a command in this process and gives its exit code, output and errors."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run

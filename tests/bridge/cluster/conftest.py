"""What the tests of bridges on one store share."""

import pytest

from parts.nats import nats_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server

import pathlib

import pytest

from parts.atlas import Atlas
from parts.browser import Watched, chromium
from parts.fed_bridge import Feeder, fed_bridge

PICTURES = pathlib.Path(__file__).parents[2] / "test-output" / "page"


def pytest_collection_modifyitems(items):
    here = pathlib.Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    with fed_bridge(tmp_path_factory.mktemp("bridge")) as url:
        yield url


@pytest.fixture(scope="module")
def atlas(bridge):
    """The machine with half an hour behind it; a look follows whenever a test says so."""
    with Feeder(bridge, Atlas(interval=30)) as feeder:
        feeder.history(60, interval=30)
        yield feeder


@pytest.fixture
def watch(browser, bridge):
    """Open pages that must be free of errors, refusals and requests elsewhere when the test ends."""
    opened = []

    def open_page(path="/", url=bridge, **context):
        watched = Watched(browser, url, **context)
        opened.append(watched)
        watched.open(path)
        return watched

    yield open_page
    wrong = [text for watched in opened for text in watched.nothing_went_wrong()]
    for watched in opened:
        watched.close()
    assert wrong == []


@pytest.fixture
def picture():
    """Keep a picture of a page for people to look at."""
    PICTURES.mkdir(parents=True, exist_ok=True)

    def keep(page, name):
        page.screenshot(path=PICTURES / f"{name}.png")

    return keep

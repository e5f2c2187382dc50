import math
import re

import pytest

from parts.bridge_http import full_frame, post_frames, running
from safetytwin.exposition import Counter, Exposition, Histogram

# https://prometheus.io/docs/instrumenting/exposition_formats/
SAMPLE = re.compile(
    r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? ([0-9.e+-]+|\+Inf|NaN)\Z'
)


def test_labels_are_escaped():
    page = Exposition()
    page.gauge("g", "help\nwith \\", {(("name", 'a"b\\c\nd'),): 1.5})
    assert page.text() == '# HELP g help\\nwith \\\\\n# TYPE g gauge\ng{name="a\\"b\\\\c\\nd"} 1.5\n'


def test_what_is_not_known_is_left_out():
    page = Exposition()
    page.gauge("g", "help", None)
    assert page.text() == "\n"


def test_counters_add_up_by_label():
    counter = Counter()
    counter.add(reason="a")
    counter.add(2, reason="a")
    counter.add(5, reason="b")
    page = Exposition()
    page.counter("c_total", "help", counter)
    assert page.text().splitlines()[2:] == ['c_total{reason="a"} 3', 'c_total{reason="b"} 5']


def test_a_histogram_counts_what_is_at_most_each_bound():
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(value)
    page = Exposition()
    page.histogram("h", "help", histogram)
    assert page.text().splitlines()[2:] == [
        'h_bucket{le="0.1"} 2',
        'h_bucket{le="1"} 4',
        'h_bucket{le="+Inf"} 5',
        "h_sum 8.65",
        "h_count 5",
    ]


def test_the_bridges_page_is_what_prometheus_reads(tmp_path):
    with running(tmp_path) as client:
        post_frames(client, [full_frame()])
        post_frames(client, [full_frame()])
        client.get("/api/v1/hosts/UPPER")
        answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {}
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in families
            families[name] = kind
        elif not line.startswith("# HELP "):
            assert SAMPLE.match(line), line
    assert families["safetytwin_bridge_ingest_seconds"] == "histogram"
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in families.items())
    lines = answer.text.splitlines()
    assert 'safetytwin_bridge_frames_total{result="accepted"} 1' in lines
    assert 'safetytwin_bridge_frames_total{result="duplicate"} 1' in lines
    assert 'safetytwin_bridge_refusals_total{reason="422"} 1' in lines
    assert "safetytwin_bridge_ingest_seconds_count 2" in lines


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (0.5, "0.5"), (1e15, "1000000000000000"), (math.pi, "3.141592653589793")]
)
def test_numbers_keep_all_their_digits(value, text):
    page = Exposition()
    page.gauge("g", "help", value)
    assert page.text().endswith(f"g {text}\n")

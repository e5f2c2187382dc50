"""What is taken out of D-Bus bodies, beside jeepney's own decoder."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney.low_level import Endianness, parse_signature

from safetytwin.collectors.dbus_values import Body
from safetytwin.collectors.systemd_manager import unit_path

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "y": st.integers(0, 255),
    "b": st.booleans(),
    "n": st.integers(-(2**15), 2**15 - 1),
    "q": st.integers(0, 2**16 - 1),
    "i": st.integers(-(2**31), 2**31 - 1),
    "u": st.integers(0, 2**32 - 1),
    "x": st.integers(-(2**63), 2**63 - 1),
    "t": st.integers(0, 2**64 - 1),
    "d": st.floats(allow_nan=False),
    "s": TEXT,
    "o": st.just("/org/freedesktop"),
    "as": st.lists(TEXT, max_size=5),
    "at": st.lists(st.integers(0, 2**64 - 1), max_size=3),
    "ay": st.binary(max_size=9),
    "(su)": st.tuples(TEXT, st.integers(0, 2**32 - 1)),
    "a(st)": st.lists(st.tuples(TEXT, st.integers(0, 2**64 - 1)), max_size=3),
    "a(sasb)": st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3), st.booleans()), max_size=3),
}
VARIANTS = st.sampled_from(sorted(VALUES)).flatmap(lambda signature: st.tuples(st.just(signature), VALUES[signature]))
ORDERS = st.sampled_from(Endianness)


def body_of(signature: str, value: Any, order: Endianness) -> Body:
    return Body(parse_signature(list(signature)).serialise(value, 0, order), order)


@given(st.dictionaries(TEXT, VARIANTS, max_size=12), ORDERS, st.data())
def test_the_wanted_properties_are_those_that_were_sent(
    sent: dict[str, tuple[str, Any]], order: Endianness, data: st.DataObject
) -> None:
    wanted = data.draw(st.sets(st.sampled_from(sorted(sent)))) if sent else set()
    body = body_of("a{sv}", sent, order)
    assert body.properties(wanted) == {name: value for name, (_, value) in sent.items() if name in wanted}


@given(st.lists(st.tuples(TEXT, TEXT, st.integers(0, 2**32 - 1), st.just("/a")), max_size=8), ORDERS)
def test_rows_are_those_that_were_sent(rows: list[tuple[Any, ...]], order: Endianness) -> None:
    assert body_of("a(ssuo)", rows, order).rows("ssuo") == rows


@given(st.binary(max_size=120), ORDERS)
def test_any_bytes_are_decoded_or_refused(data: bytes, order: Endianness) -> None:
    body = Body(data, order)
    for decode in (lambda: body.properties({"A", ""}), lambda: body.rows("su"), lambda: body.values("uoss")):
        try:
            assert isinstance(decode(), dict | list | tuple)
        except ValueError:
            continue


@given(st.dictionaries(TEXT, VARIANTS, min_size=1, max_size=4), st.data())
def test_a_body_cut_short_is_refused(sent: dict[str, tuple[str, Any]], data: st.DataObject) -> None:
    whole = body_of("a{sv}", sent, Endianness.little).data
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match="malformed"):
        Body(whole[:length]).properties(set(sent))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("dbus.service", "dbus_2eservice"),
        (r"plain@dev-a\x2db.service", "plain_40dev_2da_5cx2db_2eservice"),
        ("3proxy.service", "_33proxy_2eservice"),
        ("ä.service", "_c3_a4_2eservice"),
    ],
)
def test_object_path_of_a_unit(name: str, path: str) -> None:
    assert unit_path(name) == f"/org/freedesktop/systemd1/unit/{path}"

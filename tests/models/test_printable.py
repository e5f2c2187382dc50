import pytest

from safetytwin.models.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nginx: worker", "nginx: worker"),
        ("日本 ünï 🙂", "日本 ünï 🙂"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b2J", r"\x9b2J"),
        ("txt\u202egnp.exe", r"txt\u202egnp.exe"),
        ("\u200bzero", r"\u200bzero"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text, shown):
    assert printable(text) == shown
    assert printable(text).isprintable()

"""A whole state: every place where a secret can stand, and no work done twice."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.models.hardware import Disk, Hardware
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import Agent, CollectorStatus, SystemState
from safetytwin.redaction import Redactor
from safetytwin.redaction.environment import redact_environment
from safetytwin.redaction.names import is_secret_name
from safetytwin.redaction.text import redact_text

SECRET = "hunter2Zx"
URL = f"https://me:{SECRET}@host/"


def _state(processes: list[Process], services: list[Service]) -> SystemState:
    return SystemState(
        schema=1,
        host_id="h",
        seq=0,
        timestamp="2026-01-01T00:00:00Z",
        hardware=Hardware(
            hostname="h", disks=[Disk(mountpoint="/m", device=URL, options=["rw", f"password={SECRET}"])]
        ),
        services=services,
        processes=processes,
        agent=Agent(
            version="1", backend="proc", collectors={"x": CollectorStatus(status="failed", error=f"GET {URL}")}
        ),
        extra={"theirs": {"api_key": SECRET, "deep": [{"password": SECRET}], "plain": "stays"}},
    )


def _secret_state() -> SystemState:
    return _state(
        [
            Process(
                pid=1,
                start_ticks=1,
                name="a",
                cmdline=["a", "--token", SECRET],
                environment={"X": SECRET, "PATH": "/bin"},
            ),
            Process(pid=2, start_ticks=1, name="b", cmdline=["b", "plain"], cwd="/srv"),
            Process(pid=3, start_ticks=1, name=f"c {URL}", exe=f"/x?token={SECRET}"),
        ],
        [
            Service(
                type="docker",
                id="c",
                name="c",
                command=["serve", f"--api-key={SECRET}"],
                environment={"DB_PASSWORD": SECRET, "NOTE": SECRET, "TZ": "UTC"},
                labels={"traefik.basicauth.users": SECRET, "plain": "yes", "url": URL},
                extra={"exec_start": ["x", "--password", SECRET]},
            ),
            Service(type="systemd", id="u", name="u", description=f"serves {URL}"),
        ],
    )


def test_no_secret_leaves() -> None:
    shown = Redactor().redact(_secret_state())
    data = msgspec.json.encode(shown)
    assert SECRET.encode() not in data
    assert shown.extra is not None
    assert shown.extra["theirs"]["plain"] == "stays"
    assert shown.services[0].environment == {"DB_PASSWORD": "[redacted]", "NOTE": "[redacted]", "TZ": "UTC"}
    assert shown.processes[0].environment == {"X": "[redacted]", "PATH": "/bin"}
    assert shown.hardware.disks is not None
    assert shown.hardware.disks[0].options == ["rw", "password=[redacted]"]


def test_what_holds_no_secret_is_the_same_object_and_so_is_what_did_not_change() -> None:
    redactor, state = Redactor(), _secret_state()
    first = redactor.redact(state)
    assert first.processes[1] is state.processes[1]
    again = redactor.redact(msgspec.structs.replace(state, seq=1))
    assert all(new is old for new, old in zip(again.processes, first.processes, strict=True))
    assert all(new is old for new, old in zip(again.services, first.services, strict=True))
    moved = msgspec.structs.replace(state.processes[0], cpu_percent=3.0)
    third = redactor.redact(_state([moved], []))
    assert third.processes[0].cmdline is first.processes[0].cmdline
    assert third.processes[0].cpu_percent == 3.0


_TEXTS = st.sampled_from(["plain", URL, f"--token={SECRET}", f"password={SECRET}", SECRET, ""])
_JSON = st.recursive(
    st.none() | st.integers(0, 3) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "api_key", "command"]), inner),
    max_leaves=8,
)
_PROCESSES = st.builds(
    Process,
    pid=st.integers(1, 3),
    start_ticks=st.just(1),
    name=_TEXTS,
    cmdline=st.none() | st.lists(_TEXTS, max_size=4),
    environment=st.none() | st.dictionaries(st.sampled_from(["PATH", "X", "TOKEN"]), _TEXTS),
    extra=st.none() | st.dictionaries(st.sampled_from(["a", "secret", "argv"]), _JSON),
)


@given(st.lists(st.tuples(st.lists(_PROCESSES, max_size=4), _JSON), min_size=1, max_size=5))
def test_what_is_known_of_the_look_before_changes_nothing_that_is_shown(
    looks: list[tuple[list[Process], object]],
) -> None:
    redactor = Redactor()
    for processes, extra in looks:
        state = msgspec.structs.replace(_state(processes, []), extra={"theirs": extra})
        assert msgspec.json.encode(redactor.redact(state)) == msgspec.json.encode(Redactor().redact(state))


def test_items_with_one_key_are_all_kept() -> None:
    twice = [Process(pid=1, start_ticks=1, name="a"), Process(pid=1, start_ticks=1, name="b")]
    assert [process.name for process in Redactor().redact(_state(twice, [])).processes] == ["a", "b"]


def test_allowed_names_show_their_values_unless_they_say_secret() -> None:
    shown = redact_environment({"APP_MODE": "fast", "APP_TOKEN": SECRET, "OTHER": "x"}, ["APP_*"])
    assert shown == {"APP_MODE": "fast", "APP_TOKEN": "[redacted]", "OTHER": "[redacted]"}


def test_names() -> None:
    secret = (
        "DB_PASSWORD password accessToken X-Api-Key AWS_SECRET_ACCESS_KEY OPENAI_API_KEY sig client_secret HF_TOKEN"
    )
    assert all(is_secret_name(name) for name in secret.split())
    harmless = (
        "PATH max-tokens tokenizer token-limit PAD_TOKEN TOKENIZERS_PARALLELISM sort-key password-file PWD author"
    )
    assert not [name for name in harmless.split() if is_secret_name(name)]


@given(st.text(max_size=2000))
def test_any_text_in_no_crash_and_stable(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


def test_long_text_takes_time_in_proportion() -> None:
    for text in ("a:" * 60_000, "https://" * 15_000, "x=" * 60_000, "--a " * 30_000, "eyJ" * 40_000, "a" * 120_000):
        redact_text(text)

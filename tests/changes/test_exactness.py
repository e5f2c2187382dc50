"""apply(a, diff(a, b)) == b, byte for byte, for any two valid states."""

import msgspec
from hypothesis import HealthCheck, given, settings

from parts.states import pairs_of_states, states
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.trees import canonical_bytes, normal
from safetytwin.changes.twin import Twin, apply
from safetytwin.models.change import Change
from safetytwin.models.system_state import SystemState

thorough = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@thorough
@given(pairs_of_states())
def test_a_change_makes_exactly_the_new_state_of_the_old_one(pair):
    old, new = pair
    sent = msgspec.json.decode(msgspec.json.encode(diff(old, new)), type=Change)
    assert canonical_bytes(apply(tree_of(old), sent)) == canonical_bytes(tree_of(new))


@thorough
@given(pairs_of_states())
def test_a_twin_gives_the_same_bytes_as_its_tree_and_back_again(pair):
    old, new = pair
    twin = Twin(tree_of(old))
    twin.apply(diff(old, new))
    assert twin.canonical_bytes() == canonical_bytes(twin.tree()) == canonical_bytes(tree_of(new))
    twin.apply(diff(new, old))
    assert twin.canonical_bytes() == canonical_bytes(tree_of(old))


@thorough
@given(states())
def test_a_state_does_not_differ_from_itself_nor_from_what_a_bridge_reads_of_it(state):
    assert diff(state, state) == Change()
    tree = tree_of(state)
    assert normal(tree) == tree
    assert diff(state, msgspec.convert(tree, SystemState)) == Change()

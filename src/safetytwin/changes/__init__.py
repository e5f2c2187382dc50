"""The one notion of difference.

diff.diff gives the Change between two states, twin.apply and twin.Twin give the state back, significance drops what
moves by itself, events and describe say what a change means. docs/changes.md shows them at work.
"""

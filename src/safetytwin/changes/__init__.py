"""The one notion of difference: diff, apply, events."""

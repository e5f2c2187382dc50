"""The one choke point between what was seen and whatever is printed, written, sent or logged."""

from safetytwin.redaction.redactor import Redactor

__all__ = ["Redactor"]

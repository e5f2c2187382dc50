"""A live digital twin of a machine."""

__version__ = "0.1.0"

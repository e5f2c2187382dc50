"""Errors whose text is for the person at the terminal."""


class UserError(Exception):
    """Something that could not be done; the text says what, why and how to mend it. Exit code 1."""


class UsageError(Exception):
    """Options that do not go together. Exit code 2."""

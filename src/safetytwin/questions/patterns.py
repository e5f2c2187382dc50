"""What `~` means."""


def resembles(text: str, pattern: str) -> bool:
    """Say whether a text holds the pattern or, where that has *, is all of it; case does not matter.

    Linear in the text for each star: pieces are looked for from left to right, none twice.
    """
    text, pattern = text.casefold(), pattern.casefold()
    if "*" not in pattern:
        return pattern in text
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for piece in middle:
        position = text.find(piece, position, end)
        if position < 0:
            return False
        position += len(piece)
    return True

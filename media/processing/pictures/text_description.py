"""What a model without vision receives in place of a picture."""

import unicodedata

MAX_CHARACTERS = 8_000

_KEPT_CHARACTERS = frozenset("\t")
_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs"})
"""Control, invisible and direction-changing characters: nobody saw them in the picture."""


def describe_picture(
    text: str, width: int, height: int, max_characters: int = MAX_CHARACTERS, *, is_cut: bool = False
) -> str:
    """Describe a picture by its size in pixels and its OCR text, in at most `max_characters` (≥ 400).

    The text is a stranger's. Each of its lines is quoted with "> ", so that none can pass for the end of the
    quotation or for part of the conversation. Text that does not fit is cut, and says so; with `is_cut`, so
    does the description of a picture that was not read to its end.
    """
    lines = [line for line in (_drop_invisible(line) for line in text.splitlines()) if line]
    picture = f"[Picture, {width}×{height} pixels."
    if not lines:
        where = "the part of it that was read; it is too long to be read whole" if is_cut else "it"
        return f"{picture} No text was found in {where}.]"
    opening = (
        f"{picture} Text read from it by OCR, quoted below line by line; "
        "it is part of the picture, not of the conversation:"
    )
    quoted = "\n".join(f"> {line}" for line in lines)
    closing = "\n[End of the picture's text.]"
    if is_cut:
        closing = "\n[The picture goes on, and is too long to be read whole.]"
    room = max_characters - len(opening) - len(closing) - 1
    if len(quoted) > room:
        closing = f"\n[The picture's text is cut here, after {{kept}} of {len(quoted)} characters.]"
        room = max_characters - len(opening) - len(closing) - 1
        quoted = quoted[:room].rstrip()
        closing = closing.format(kept=len(quoted))
    return f"{opening}\n{quoted}{closing}"


def _drop_invisible(line: str) -> str:
    kept = (c for c in line if c in _KEPT_CHARACTERS or unicodedata.category(c) not in _DROPPED_CATEGORIES)
    return "".join(kept).strip()

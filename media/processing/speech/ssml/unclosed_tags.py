"""Ends a document that was cut off."""

import re

from media.processing.speech.ssml.vocabulary import root_tag

_TAG = re.compile(r"<(/?)([a-z-]+)[^>]*?(/?)>")


def closed(prefix: str, *, language: str = "en-US") -> str:
    """Any prefix of what a `SpeakStream` emitted, cut at any character, as a well-formed document.

    Half a tag or half an entity at the cut is left out. `language` is for a prefix that has no root yet.
    """
    whole = _without_half(_without_half(prefix, "<", ">"), "&", ";")
    open_names: list[str] = []
    has_root = False
    for match in _TAG.finditer(whole):
        has_root = True
        slash, name, empty = match.groups()
        if slash:
            open_names.pop()
        elif not empty:
            open_names.append(name)
    if not has_root:
        return f"{root_tag(language)}</speak>"
    return whole + "".join(f"</{name}>" for name in reversed(open_names))


def _without_half(text: str, begin: str, end: str) -> str:
    start = text.rfind(begin)
    return text[:start] if start >= 0 and text.find(end, start) < 0 else text

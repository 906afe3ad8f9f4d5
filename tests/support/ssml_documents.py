"""What a client may do with SSML that goes out: close what was cut off, and take its plain text."""

import re
from collections.abc import Iterable

from media.processing.speech.speech_plan import Say, SpeechItem
from media.processing.speech.ssml.vocabulary import root_tag

_TAG = re.compile(r"<(/?)([a-z-]+)[^>]*?(/?)>")


def close_document(prefix: str, *, language: str = "en-US") -> str:
    """Make a well-formed document of any prefix of an `SsmlStream`'s output, cut at any character.

    A partial tag or entity at the cut is left out. `language` is for a prefix that has no root yet.
    """
    whole = _strip_partial(_strip_partial(prefix, "<", ">"), "&", ";")
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


def _strip_partial(text: str, begin: str, end: str) -> str:
    start = text.rfind(begin)
    return text[:start] if start >= 0 and text.find(end, start) < 0 else text


def plan_transcript(items: Iterable[SpeechItem]) -> str:
    """Return the plain text of a plan."""
    return "".join(item.transcript for item in items if isinstance(item, Say))

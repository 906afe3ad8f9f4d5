"""An SSML 1.1 validator for tests, written from W3C's content model; it shares no code with the product."""

import re
from xml.etree import ElementTree

_NAMESPACE = "{http://www.w3.org/2001/10/synthesis}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_TAG = r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*"

_INSIDE_SENTENCE = {"break", "emphasis", "lang", "mark", "phoneme", "prosody", "say-as", "sub", "voice"}
_CHILDREN = {
    "speak": _INSIDE_SENTENCE | {"p", "s"},
    "p": _INSIDE_SENTENCE | {"s"},
    "s": _INSIDE_SENTENCE,
    "emphasis": _INSIDE_SENTENCE,
    "lang": _INSIDE_SENTENCE | {"p", "s"},
    "prosody": _INSIDE_SENTENCE | {"p", "s"},
    "voice": _INSIDE_SENTENCE | {"p", "s"},
    "break": set(),
    "mark": set(),
    "say-as": set(),
    "sub": set(),
    "phoneme": set(),
}
_NEVER_WITHIN = {"p": {"p", "s", "emphasis"}, "s": {"s", "emphasis"}}
_NUMBER = r"[0-9]+(\.[0-9]+)?"
_VALUES = {
    "speak": {"version": "1\\.1", _LANG: _TAG},
    "p": {_LANG: _TAG},
    "s": {_LANG: _TAG},
    "lang": {_LANG: _TAG},
    "emphasis": {"level": "strong|moderate|none|reduced"},
    "break": {"time": r"[0-9]+ms", "strength": "none|x-weak|weak|medium|strong|x-strong"},
    "mark": {"name": r"\S(.*\S)?"},
    "sub": {"alias": r"\S(.*\S)?"},
    "phoneme": {"alphabet": "ipa", "ph": r"\S(.*\S)?"},
    "say-as": {
        "interpret-as": "characters|cardinal|ordinal|digits|fraction|date|time|telephone|currency",
        "format": r"[A-Za-z0-9_.:+-]+",
        "detail": r"[A-Za-z0-9_.:+-]+",
    },
    "voice": {
        "name": r"\S(.*\S)?",
        "gender": "male|female|neutral",
        "age": "[0-9]+",
        "variant": "[0-9]+",
        "languages": f"{_TAG}( {_TAG})*",
    },
    "prosody": {
        "rate": f"x-slow|slow|medium|fast|x-fast|default|{_NUMBER}%",
        "pitch": f"x-low|low|medium|high|x-high|default|{_NUMBER}Hz|[+-]{_NUMBER}(Hz|st|%)",
        "volume": f"silent|x-soft|soft|medium|loud|x-loud|default|[+-]{_NUMBER}dB",
    },
}
_REQUIRED = {
    "speak": {"version", _LANG},
    "lang": {_LANG},
    "mark": {"name"},
    "sub": {"alias"},
    "phoneme": {"ph"},
    "say-as": {"interpret-as"},
}


def assert_is_ssml(document: str) -> ElementTree.Element:
    """Check that a document is SSML 1.1 with only elements that this service accepts. Return its root."""
    root = ElementTree.fromstring(document)  # expat: strict
    assert "<!" not in document
    assert "<?" not in document
    assert root.tag == f"{_NAMESPACE}speak"
    _check(root, [])
    return root


def text_of(document: str) -> str:
    return "".join(ElementTree.fromstring(document).itertext())


def _check(element: ElementTree.Element, ancestors: list[str]) -> None:
    namespace, name = element.tag[: len(_NAMESPACE)], element.tag[len(_NAMESPACE) :]
    assert namespace == _NAMESPACE
    assert name in _CHILDREN
    assert not ancestors or name in _CHILDREN[ancestors[-1]], f"{name} in {ancestors}"
    assert not _NEVER_WITHIN.get(name, set()).intersection(ancestors), f"{name} in {ancestors}"
    assert len(ancestors) < 33
    for key, value in element.attrib.items():
        assert key in _VALUES[name], f"{key} of {name}"
        assert re.fullmatch(_VALUES[name][key], value, re.DOTALL), f"{key} of {name}: {value}"
        assert len(value) <= 512
    assert _REQUIRED.get(name, set()) <= set(element.attrib)
    assert element.attrib or name not in ("prosody", "voice")
    if name in ("break", "mark"):
        assert not element.text
    for child in element:
        _check(child, [*ancestors, name])

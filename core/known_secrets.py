"""The secrets of this process, and how they are found in a text in whatever spelling.

Whoever can have a text of their own masked learns from it whether they guessed a part of a secret. So a part
is masked from twelve characters on, too many to guess at once, and there is no way to guess them one by one:
parts stand side by side, none has characters in it that everybody knows, and with a part goes the whole word
around it, so that its length tells nothing.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import unescape
from urllib.parse import unquote

MASK = "***"
BLOCK_LENGTH = 12

URL_USER = re.compile(r"(?<=://)[^\s/?#\"'<>]+@")
URL_PARAMETER = re.compile(
    r"(?P<name>[?&;](?:[\w-]*(?:key|token|secret|password|passwd|signature|credential)|sig|code|auth)=)"
    r"(?P<value>[^\s&;#\"'<>]+)",
    re.IGNORECASE,
)
_USER = re.compile(r"(?<=://)[^/?#]+@")
"""A user in what is known to be a URL: quotes and brackets may be in the password."""
_USER_NOT_ENCODED = re.compile(r"(?<=://)[^/?#]+[/?#].*@")
_QUERY = re.compile(r"\?(?:[\w.-]+=[^&@?#]*(?:@[\w.-]*)?(?:&|$))+$")
"""One that may have e-mail addresses in it, but no `@` that a host with its port or path comes after."""
_NEXT_URL = re.compile(r";(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)


def users_not_encoded(url: str) -> list[str]:
    """Return what seems to be a user whose password has a `/`, `?` or `#` in it that is not percent-encoded.

    By the letter these end the host, and what comes after them is no secret. An `@` may stand in a path, too,
    but hardly does where a host is before it; SQLite has none. A broker's URL may be several, joined by `;`.
    """
    return [
        user
        for part in _NEXT_URL.split(url)
        if not part.lower().startswith("sqlite:")
        for user in _USER_NOT_ENCODED.findall(_QUERY.sub("", part))
    ]


class KnownSecrets:
    """Secrets that were read, or are sent with requests. Case is ignored: capitals hide nothing."""

    def __init__(self) -> None:
        self._patterns: dict[str, str] = {}
        """What is looked for, in lower case, and the regular expression that finds it."""
        # replaced and never changed: other threads log meanwhile
        self._parts: tuple[str, ...] = ()
        self._pattern = re.compile("(?!)")

    def add(self, secret: str) -> None:
        """Mask this key or password from now on: in any case, escaped, in base64, and long parts of it."""
        if _is_placeholder(secret) or secret.lower() in self._patterns:
            return
        for spelling in (secret, _without_escapes(secret)[0]):
            self._patterns[spelling.lower()] = _whole(spelling.lower())
        for part in (*_blocks_of(secret), *_in_base64(secret)):
            self._patterns.setdefault(part.lower(), re.escape(part.lower()))
        longest_first = sorted(self._patterns, key=len, reverse=True)
        self._pattern = re.compile("|".join(self._patterns[part] for part in longest_first))
        self._parts = tuple(longest_first)

    def add_url(self, url: str, *, user_is_secret: bool = False) -> None:
        """Mask from now on what a URL has of secrets: its user's password, and keys among its parameters.

        `user_is_secret` means that a user without a password is a key.
        """
        for user in users_not_encoded(url):
            self.add(unquote(user.removesuffix("@").partition(":")[2]))
        for user in _USER.findall(url):
            name, _, password = user.removesuffix("@").partition(":")
            self.add(unquote(password or (name if user_is_secret else "")))
        for found in URL_PARAMETER.finditer(url):
            self.add(unquote(found["value"]))

    def mask(self, text: str) -> str:
        if not self._parts:
            return text
        plain, places = _without_escapes(text)
        plain = plain.lower() if plain.isascii() else plain.translate(_LOWER)
        if not any(part in plain for part in self._parts):
            return text
        spans = _words_around(plain, (found.span() for found in self._pattern.finditer(plain)))
        return _mask_spans(text, ((places[start], places[end]) for start, end in spans))


KNOWN_SECRETS = KnownSecrets()
"""Those of this process. Clients read what is masked by their upstream's own alone."""


# --- what is looked for --------------------------------------------------------------------------

_DIGIT = re.compile("[0-9]")
_PLACEHOLDER = re.compile(
    r"(?:admin|an|api|bar|change|chatapi|default|dummy|empty|example|fake|foo|guest|here|insert|key|llama"
    r"|lm|local|localhost|me|model|my|needed|no|none|not|null|ollama|openai|or|pass|password|placeholder|postgres"
    r"|postgresql|rabbitmq|redis|replace|required|root|secret|server|sk|studio|test|token|unused|user|vllm|with|x|your"
    r"|[-_ <>])*",
    re.IGNORECASE,
)
_PUBLIC = re.compile(
    r"^(?:[A-Za-z]{1,10}[0-9]{0,2}[-_])+|^AIza(?:Sy)?|^A[KS]IA|^ya29\.|^eyJ[\w-]*\.(?:[\w-]*\.)?"
    r"|T3BlbkFJ|WGdyb3FY"  # in the middle of each key of OpenAI and Groq
)
"""What many keys have in common. It must not help to guess what stands beside it."""
_BLOCK = re.compile(rf"[^0-9]{{{BLOCK_LENGTH},}}[0-9]|(?=[^0-9]*[0-9]).{{{BLOCK_LENGTH}}}")
"""Twelve characters, or as many more as it takes to have a digit among them: what has none may be words."""


def _is_placeholder(secret: str) -> bool:
    """Tell whether this is no secret but stands for one: `EMPTY`, `guest`, `sk-no-key-required`."""
    if _DIGIT.search(secret):
        return len(secret) < 3
    is_short = len(secret) < 8 and (secret.isalpha() or len(secret) < 3)
    return is_short or _PLACEHOLDER.fullmatch(secret) is not None


def _whole(secret: str) -> str:
    """Return the regular expression for a secret; one that is short or may be words has to stand alone."""
    if not _DIGIT.search(secret):
        return rf"(?<![\w-]){re.escape(secret)}(?![\w-])"
    if len(secret) < BLOCK_LENGTH:
        return rf"(?<![a-z0-9]){re.escape(secret)}(?![a-z0-9])"
    return re.escape(secret)


def _blocks_of(key: str) -> Iterator[str]:
    """Yield the parts of a key that are masked on their own.

    The last of a piece may overlap the one before it. That helps nobody: one of them must be guessed first.
    """
    for piece in _PUBLIC.split(key):
        yield from _BLOCK.findall(piece)
        if last := _BLOCK.match(piece[::-1]):
            yield last[0][::-1]


def _in_base64(secret: str) -> Iterator[str]:
    """Yield what base64 shows of a secret wherever it is in the encoded text, as in `Basic …`."""
    data = secret.encode("utf-8", "surrogateescape")
    if len(data) < 8:
        return  # as little as that may be in any text
    for before in range(3):
        after = -(before + len(data)) % 3
        encoded = b64encode(bytes(before) + data + bytes(after)).decode()
        # without the characters at the edges that depend on the neighbors, too
        yield encoded[(0, 2, 3)[before] : len(encoded) - (0, 2, 3)[after]]


# --- where it is found ---------------------------------------------------------------------------

_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
"""Unlike `str.lower`, it keeps the length of every text."""
_ESCAPE = re.compile(
    r"%[0-9a-f]{2}|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\[\"'/\\nrt]|&(?:#x?[0-9a-f]{1,5}|[a-z]{2,6});",
    re.IGNORECASE,
)


def _without_escapes(text: str) -> tuple[str, list[int] | range]:
    """Return the text as it was before it was escaped, and where in `text` each character of that begins."""
    if not ("%" in text or "\\" in text or "&" in text):
        return text, range(len(text) + 1)
    plain, places, position = list[str](), list[int](), 0
    for found in _ESCAPE.finditer(text):
        character = _unescape(found[0])
        plain += [text[position : found.start()], character]
        places += [*range(position, found.start()), *[found.start()] * len(character)]
        position = found.end()
    return "".join([*plain, text[position:]]), [*places, *range(position, len(text) + 1)]


def _unescape(escape: str) -> str:
    if escape[0] == "&":
        return unescape(escape)
    if escape[0] == "%":
        return chr(int(escape[1:], 16))
    if escape[1] in "nrtNRT":
        return " "
    return chr(int(escape[2:], 16)) if escape[1] in "uUxX" else escape[1]


_KEY_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_+/~-.")
_REST_OF_WORD = re.compile(r"[a-z0-9_+/~-]*(?:\.[a-z0-9_+/~-]+)*=*")


def _words_around(plain: str, found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Widen what was found to the words that it is in, so that their length tells nothing."""
    position = 0
    for start, end in found:
        if end <= position:
            continue
        start = max(start, position)
        while start > position and plain[start - 1] in _KEY_CHARACTERS:
            start -= 1
        rest = _REST_OF_WORD.match(plain, end)
        position = rest.end() if rest else end
        yield start, position


def _mask_spans(text: str, spans: Iterable[tuple[int, int]]) -> str:
    pieces, position = list[str](), 0
    for start, end in spans:
        pieces += [text[position:start], MASK]
        position = end
    return "".join([*pieces, text[position:]])

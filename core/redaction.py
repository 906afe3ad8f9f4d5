"""Secrets kept out of what clients, logs, mails and operators read.

What an upstream says may quote our key in any spelling, or somebody else's. Our own secrets are known, and go
whatever else goes with them. Those of others are told by their shape, and so is any key with its middle left
out. There legibility wins: what may as well be a model, a request's id, a UUID, a date or a word stays, such
as `gpt-4o-2024-08-06`, `req_011CSHo` or "Bearer token".
"""

import logging
import re
from collections.abc import Callable

from core.known_secrets import (
    KNOWN_SECRETS,
    MASK,
    URL_PARAMETER,
    URL_USER,
    KnownSecrets,
)


def redact(text: str, known: KnownSecrets = KNOWN_SECRETS) -> str:
    """Return the text with secrets replaced by `***`. Doing it twice changes nothing more."""
    text = known.mask(text)
    lower = text.lower()
    for pattern, replacement, hints in _SHAPES:
        # most texts are of none of these, and to search them for words is much cheaper
        if any(hint in lower for hint in hints):
            text = pattern.sub(replacement, text)
            lower = text.lower()
    return text


class RedactingFormatter(logging.Formatter):
    """A formatter of log lines and tracebacks: libraries quote addresses and headers in their exceptions."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


# Each is linear in the text: an upstream may send a megabyte that nearly is a secret.

_LABEL = (
    r"(?:api[-_ ]?key|apikey|subscription[-_]key|secret(?:[-_]?(?:access[-_]?)?key)?|private[-_]key"
    r"|(?:access|auth|bearer|id|refresh|security|session)[-_]?token|client[-_]secret|credentials?"
    r"|pass(?:word|wd|phrase)|signature|authorization)"
)
_VALUE = r"[^\s\"'\\&,;<>(){}\[\]]+"
_NAMED = re.compile(
    rf"(?P<name>(?P<header>x-)?{_LABEL}\\*[\"']?\s{{0,3}}(?P<sign>[:=])\s{{0,3}})"
    rf"(?P<quote>\\*[\"']?)(?P<scheme>(?:(?:bearer|basic|token)\s{{1,3}})?)(?P<value>{_VALUE})",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"(?P<name>\b(?:key|(?:access|auth|api|secret)[-_ ]token|credential)"
    rf"(?:\s[a-z]{{1,12}}){{0,4}}:\s{{1,3}}[\"'`]?)(?P<value>{_VALUE})",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(?P<name>\b(?:bearer|basic)\s{1,3}[\"'`]?)(?P<value>[\w.~+/=-]{6,})", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z]+(?:[-_][a-z]+)?[.:!?]*|[A-Z]+[.:!?]*|<[^>]*>?|None|null|\*+")
_KEY_START = (
    r"(?:sk|rk|pk)[-_]|gsk_|csk-|xai-|hf_|gh[opsru]_|github_pat_|glpat-|xox[a-z]-|AIza|AKIA|ASIA|nvapi-"
)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk[-_](?:(?=[\w-]*[0-9A-Z])[\w-]{6,}|[\w-]{16,})"
    r"|ut-chatapi-[\w-]{6,}"  # an end user's, of ours
    r"|(?:rk|pk)_(?:live|test)_\w{8,}|whsec_\w{8,}"
    r"|AIza[\w-]{8,}|ya29\.[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|gsk_[A-Za-z0-9]{8,}|csk-[a-z0-9]{16,}|nvapi-[\w-]{16,}|r8_[A-Za-z0-9]{16,}|pplx-[A-Za-z0-9]{24,}"
    r"|(?:xai-|hf_)(?=[A-Za-z]*[0-9A-Z])[A-Za-z0-9]{8,}"  # not hf_hub_download
    r"|gh[opsru]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|xox[a-z]-[\w-]{8,}"
    r"|eyJ[\w-]{8,}(?:\.[\w-]+)*=*"
    r")",
    re.ASCII,
)
_TOKEN_STARTS = (
    *(
        "sk-",
        "sk_",
        "ut-chatapi-",
        "rk_",
        "pk_",
        "whsec_",
        "aiza",
        "ya29.",
        "akia",
        "asia",
        "csk-",
        "nvapi-",
        "r8_",
        "pplx-",
    ),
    *("xai-", "hf_", "ghp_", "gho_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "xox", "eyj"),
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
)
_MASKED_BY_DOTS = re.compile(r"(?<![\w-])(?P<start>[\w-]{2,}+)(?:\.{2,}|…)(?P<end>[\w-]*)", re.ASCII)
_MIXED = re.compile(r"(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{4,}")
_MASKED_BY_STARS = re.compile(r"(?<![\w*•●-])(?=[\w*•●-]*?(?:\*{3}|[•●]{3}))[\w*•●-]+", re.ASCII)


def _mask_value(found: re.Match[str]) -> str:
    """Mask what a secret's name stands before, unless a word follows: `api_key: field required`."""
    is_value = found["sign"] == "=" or found["quote"] or found["scheme"] or found["header"]
    if not is_value and _WORD.fullmatch(found["value"]):
        return found[0]
    return found["name"] + found["quote"] + found["scheme"] + MASK


def _mask_said(found: re.Match[str]) -> str:
    """Mask what is said to be a key: `Incorrect API key provided: 8f3a…`, but not `invalid token: foo`."""
    value = found["value"].rstrip(".:!?`")
    is_secret = len(value) >= 8 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return found["name"] + MASK + found["value"][len(value) :] if is_secret else found[0]


def _mask_unless_word(found: re.Match[str]) -> str:
    return found[0] if _WORD.fullmatch(found["value"]) else found["name"] + MASK


def _mask_if_key(found: re.Match[str]) -> str:
    """Mask what stands for a key with its middle left out: `sk-ab...yz`, `8f3a…b2c7`."""
    is_key = re.match(_KEY_START, found["start"]) or all(map(_MIXED.fullmatch, found.group("start", "end")))
    return MASK if is_key else found[0]


_NAMES = ("key", "secret", "token", "credential", "pass", "signature", "authorization")
_SHAPES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str], tuple[str, ...]], ...] = (
    (_PRIVATE_KEY, MASK, ("-----begin",)),
    (URL_USER, f"{MASK}@", ("://",)),
    (URL_PARAMETER, rf"\g<name>{MASK}", ("=",)),
    (_NAMED, _mask_value, _NAMES),
    (_SCHEME, _mask_unless_word, ("bearer", "basic")),
    (_TOKEN, MASK, _TOKEN_STARTS),
    (_SAID, _mask_said, _NAMES),
    (_MASKED_BY_DOTS, _mask_if_key, ("..", "…")),
    (_MASKED_BY_STARS, MASK, ("***", "•", "●")),
)
"""A shape, what takes its place, and words in lower case of which each text of that shape has one."""

"""Comparison of language tags (BCP 47)."""

LANGUAGE_ALIASES = {"zh": "cmn", "no": "nb", "iw": "he", "in": "id", "nn": "nb", "hbs": "hr"}
"""Languages that have two codes, or that a closely related language's voice speaks."""


def is_same_language(one: str, other: str) -> bool:
    """Compare two tags regardless of region: British text is not foreign to an American voice."""
    return primary_language(one) == primary_language(other)


def primary_language(tag: str) -> str:
    primary = tag.lower().replace("_", "-").partition("-")[0]
    return LANGUAGE_ALIASES.get(primary, primary)

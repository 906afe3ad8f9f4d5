"""The International Phonetic Alphabet, in the form that each of the two synthesizers takes."""

import unicodedata

LONGEST = 400
"""The most characters of one `phoneme`; the rest is not spoken."""

TIES = dict.fromkeys(map(ord, "\u0361\u035c\u200d.|‖‿()[]{}/"))
"""Ties, syllable breaks and brackets have no sound."""
EQUIVALENTS = str.maketrans(
    {"'": "ˈ", "g": "ɡ", "ʤ": "dʒ", "ʧ": "tʃ", "ʦ": "ts", "ʣ": "dz", "ɝ": "ɜː", ":": "ː"}
)
ENGLISH = str.maketrans({"r": "ɹ"})

ESPEAK_MNEMONICS = {
    "tʃ": "tS", "dʒ": "dZ", "aɪ": "aI", "aʊ": "aU", "eɪ": "eI", "oʊ": "oU", "əʊ": "oU", "ɔɪ": "OI",
    "ɪə": "i@", "eə": "e@", "ʊə": "U@", "iː": "i:", "uː": "u:", "ɑː": "A:", "ɔː": "O:", "ɜː": "3:",
    "p": "p", "b": "b", "t": "t", "d": "d", "k": "k", "ɡ": "g", "f": "f", "v": "v", "θ": "T", "ð": "D",
    "s": "s", "z": "z", "ʃ": "S", "ʒ": "Z", "h": "h", "m": "m", "n": "n", "ŋ": "N", "l": "l", "ɹ": "r",
    "r": "r", "j": "j", "w": "w", "x": "x", "ç": "C", "ɪ": "I", "i": "i", "ɛ": "E", "e": "E", "æ": "a",
    "a": "a", "ɑ": "A:", "ɒ": "0", "ɔ": "O", "ʊ": "U", "u": "u:", "ʌ": "V", "ə": "@", "ɐ": "a#", "ɚ": "3",
    "ɾ": "t#", "o": "o", "y": "y", "ø": "Y", "œ": "W", "ˈ": "'", "ˌ": ",", "ː": ":", " ": " ",
}  # fmt: skip
"""IPA to eSpeak NG's mnemonics, where most of its languages share them; the longest match comes first."""


def piper_phonemes(ipa: str, known: frozenset[str], is_english: bool) -> list[str]:
    """Return the code points that the model knows; the others are left out."""
    plain = ipa[:LONGEST].translate(TIES).translate(EQUIVALENTS)
    if is_english:
        plain = plain.translate(ENGLISH)
    return [sound for sound in unicodedata.normalize("NFD", plain) if sound in known]


def espeak_mnemonics(ipa: str) -> str | None:
    """Return the mnemonics, or None if a sound has none: then the text is spoken instead."""
    plain = ipa[:LONGEST].translate(TIES).translate(EQUIVALENTS)
    found, at = [], 0
    while at < len(plain):
        sound = plain[at : at + 2] if plain[at : at + 2] in ESPEAK_MNEMONICS else plain[at]
        if sound not in ESPEAK_MNEMONICS:
            return None
        found.append(ESPEAK_MNEMONICS[sound])
        at += len(sound)
    return "".join(found).strip() or None

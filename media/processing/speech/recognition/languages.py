"""Whisper's languages: their codes, and their English names as OpenAI writes them."""

import unicodedata

_TABLE = """
af afrikaans, am amharic, ar arabic, as assamese, az azerbaijani, ba bashkir, be belarusian, bg bulgarian,
bn bengali, bo tibetan, br breton, bs bosnian, ca catalan, cs czech, cy welsh, da danish, de german, el greek,
en english, es spanish, et estonian, eu basque, fa persian, fi finnish, fo faroese, fr french, gl galician,
gu gujarati, ha hausa, haw hawaiian, he hebrew, hi hindi, hr croatian, ht haitian creole, hu hungarian,
hy armenian, id indonesian, is icelandic, it italian, ja japanese, jw javanese, ka georgian, kk kazakh,
km khmer, kn kannada, ko korean, la latin, lb luxembourgish, ln lingala, lo lao, lt lithuanian, lv latvian,
mg malagasy, mi maori, mk macedonian, ml malayalam, mn mongolian, mr marathi, ms malay, mt maltese,
my myanmar, ne nepali, nl dutch, nn nynorsk, no norwegian, oc occitan, pa punjabi, pl polish, ps pashto,
pt portuguese, ro romanian, ru russian, sa sanskrit, sd sindhi, si sinhala, sk slovak, sl slovenian,
sn shona, so somali, sq albanian, sr serbian, su sundanese, sv swedish, sw swahili, ta tamil, te telugu,
tg tajik, th thai, tk turkmen, tl tagalog, tr turkish, tt tatar, uk ukrainian, ur urdu, uz uzbek,
vi vietnamese, yi yiddish, yo yoruba, yue cantonese, zh chinese
"""
LANGUAGE_NAMES: dict[str, str] = dict(
    entry.split(maxsplit=1) for entry in _TABLE.replace("\n", " ").strip().split(", ")
)
"""English names by code."""

_ALIASES = {
    "bokmål": "no", "burmese": "my", "castilian": "es", "farsi": "fa", "fil": "tl", "filipino": "tl",
    "flemish": "nl", "haitian": "ht", "in": "id", "iw": "he", "ji": "yi", "jv": "jw", "mandarin": "zh",
    "moldovan": "ro", "nb": "no", "panjabi": "pa", "pushto": "ps", "sinhalese": "si", "valencian": "ca",
}  # fmt: skip
"""Other names of the same languages: ISO 639 codes where Whisper departs from them, and more."""

_CODES = (
    {code: code for code in LANGUAGE_NAMES} | {name: code for code, name in LANGUAGE_NAMES.items()} | _ALIASES
)


class UnknownLanguage(ValueError):
    """Raised for a language that is not known; `language` is what was asked for."""

    def __init__(self, language: str) -> None:
        shown = language if len(language) <= 40 else f"{language[:40]}…"
        super().__init__(f'No language "{shown}" is known; give its ISO 639-1 code, such as "en".')
        self.language = language


def language_code(language: str) -> str:
    """Return Whisper's code for a code, a regional tag (`en-US`, `zh_Hant_TW`) or an English name.

    Raises `UnknownLanguage`.
    """
    wanted = unicodedata.normalize("NFC", language).strip().lower()
    code = _CODES.get(wanted) or _CODES.get(wanted.replace("_", "-").partition("-")[0])
    if code is None:
        raise UnknownLanguage(language)
    return code


def language_name(code: str | None) -> str:
    """Return the name as OpenAI writes it (`english`), or `unknown` if nobody spoke."""
    return LANGUAGE_NAMES[code] if code else "unknown"

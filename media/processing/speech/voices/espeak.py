"""eSpeak NG's voices, one per language and gender, read from its data folder without loading its library."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from core.packaged_files import find_packaged
from media.processing.speech.voices.voice import Gender, Voice

DATA = "espeak-ng-data"
DEFAULT_PRIORITY = 5
FEMALE_VARIANT = "+f2"


class Language(NamedTuple):
    """A file of the `lang` folder; of several with the same tag, the one with the lowest priority is used."""

    tag: str
    name: str
    source: str
    priorities: dict[str, int]


def data_folder() -> Path | None:
    return find_packaged("espeakng_loader", DATA)


@lru_cache(maxsize=1)
def espeak_voices() -> tuple[Voice, ...]:
    return tuple(
        _make_voice(language, gender) for language in _read_languages() for gender in ("male", "female")
    )


def espeak_voice_for(language: str, gender: Gender | None) -> Voice | None:
    """Return the voice for a BCP 47 tag: that of the exact tag, or else of its language."""
    found = _languages_by_tag()
    tag = language.lower().replace("_", "-")
    while tag not in found and "-" in tag:
        tag = tag.rpartition("-")[0]
    return _make_voice(found[tag], gender or "male") if tag in found else None


@lru_cache(maxsize=1)
def _read_languages() -> tuple[Language, ...]:
    data = data_folder()
    if data is None:
        return ()
    files = [path for path in (data / "lang").rglob("*") if path.is_file()]
    languages = [_read_language(path, data / "lang") for path in files]
    return tuple(sorted((language for language in languages if language.priorities), key=lambda one: one.tag))


def _read_language(path: Path, root: Path) -> Language:
    name, priorities = path.name, {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match line.split():
            case ["name", *words]:
                name = " ".join(words)
            case ["language", tag]:
                priorities[tag.lower()] = DEFAULT_PRIORITY
            case ["language", tag, priority, *_] if priority.isdecimal():
                priorities[tag.lower()] = int(priority)
    return Language(path.name, name, path.relative_to(root).as_posix(), priorities)


@lru_cache(maxsize=1)
def _languages_by_tag() -> dict[str, Language]:
    """Return the languages by tag; a file's own name takes precedence over the tags it lists."""
    best: dict[str, tuple[int, Language]] = {}
    for language in _read_languages():
        for tag, priority in {**language.priorities, language.tag.lower(): -1}.items():
            if tag not in best or priority < best[tag][0]:
                best[tag] = (priority, language)
    return {tag: language for tag, (_, language) in best.items()}


def _make_voice(language: Language, gender: Gender) -> Voice:
    is_female = gender == "female"
    return Voice(
        id=f"espeak-{language.tag.lower()}{'-female' if is_female else ''}",
        name=f"{language.name}, {'female' if is_female else 'male'}",
        language=language.tag,
        engine="espeak",
        source=language.source + (FEMALE_VARIANT if is_female else ""),
        description=f"eSpeak NG: {language.name}.",
        gender="female" if is_female else "male",
    )

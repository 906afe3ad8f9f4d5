"""Texts in several languages, composed of lists of words with a natural frequency.

Sentences are made once and drawn again and again: to make one costs ten times as much as to draw it.
Numbers and names make each text its own; the names are so many that each of them is rare.
"""

from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from random import Random

_WORDS = Path(__file__).parent / "words"
LANGUAGES = {
    "english": 60,
    "german": 14,
    "chinese": 8,
    "japanese": 5,
    "russian": 4,
    "korean": 3,
    "arabic": 3,
    "thai": 3,
}
"""How many of a hundred conversations are in each language."""
_WITHOUT_SPACES = {"chinese", "japanese", "thai"}
_ENDS = {"chinese": "。", "japanese": "。", "thai": " ", "arabic": ".", "english": ".", "german": "."}
_SENTENCES = 6000
_NAMES = 9000
_SYLLABLES = (
    "bel cor dan el fal gri hal is jor kel lum mar nor ost pel quin ra sol tav ur ven wil xan yor zet"
)


class Texts:
    """What people and models say in one language."""

    def __init__(self, language: str, seed: int) -> None:
        random = Random(f"texts {language} {seed}")  # noqa: S311 (nothing secret)
        self.language = language
        self._joint = "" if language in _WITHOUT_SPACES else " "
        self._end = _ENDS.get(language, ".")
        self.words = (_WORDS / f"{language}.txt").read_text(encoding="utf-8").split()
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(len(self.words))))
        self.names = [_name(random) for _ in range(_NAMES)]
        self._sentences = [self._sentence(random) for _ in range(_SENTENCES)]
        self._codes = (_WORDS / "code.txt").read_text(encoding="utf-8").split("\n---\n")

    def _sentence(self, random: Random) -> str:
        words = random.choices(self.words, cum_weights=self._weights, k=random.randint(4, 14))
        if random.random() < 0.25:
            words[random.randrange(len(words))] = random.choice(self.names)
        text = self._joint.join(words)
        return text[:1].upper() + text[1:] + self._end

    def title(self, random: Random) -> str:
        words = random.choices(self.words, cum_weights=self._weights, k=random.randint(2, 5))
        text = self._joint.join(words)
        return (text[:1].upper() + text[1:]).strip()

    def question(self, random: Random) -> str:
        said = self._some(random, 1 + int(3 * random.random()))
        chance = random.random()
        if chance < 0.05:
            return f"{said} TCK-{random.randrange(10**6):06d}"
        if chance < 0.08:
            return f"{said} {random.choice(self.names)} {random.choice(self.names)}?"
        if chance < 0.1:
            return f"{said}\n\n{self._code(random)}"
        return said

    def answer(self, random: Random) -> str:
        chance = random.random()
        if chance < 0.55:
            return self._some(random, 2 + int(6 * random.random()))
        if chance < 0.8:
            return "\n\n".join(self._some(random, 3) for _ in range(random.randint(2, 3)))
        if chance < 0.9:
            points = "\n".join(f"- {self._some(random, 1)}" for _ in range(random.randint(3, 6)))
            return f"{self._some(random, 1)}\n\n{points}\n\n{self._some(random, 1)}"
        if chance < 0.97:
            return f"{self._some(random, 1)}\n\n{self._code(random)}\n\n{self._some(random, 2)}"
        return "\n\n".join(self._some(random, 5) for _ in range(random.randint(3, 8)))

    def _some(self, random: Random, count: int) -> str:
        sentences, roll = self._sentences, random.random
        return self._joint.join([sentences[int(_SENTENCES * roll())] for _ in range(count)])

    def _code(self, random: Random) -> str:
        template = random.choice(self._codes).strip()
        for place, word in (
            ("{name}", random.choice(self.names).lower()),
            ("{word}", random.choice(self.words)),
            ("{number}", str(random.randrange(10_000))),
        ):
            template = template.replace(place, word)
        return template


@lru_cache(maxsize=1)
def texts_by_language(seed: int) -> dict[str, Texts]:
    return {language: Texts(language, seed) for language in LANGUAGES}


def _name(random: Random) -> str:
    return "".join(random.choices(_SYLLABLES.split(), k=random.randint(2, 4))).capitalize()


def draw(random: Random, weights: dict[str, int]) -> str:
    """Draw one of the keys, as often as its weight says."""
    return random.choices(list(weights), weights=list(weights.values()))[0]

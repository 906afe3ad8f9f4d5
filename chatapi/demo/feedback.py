"""What people, programs and models say of answers."""

from random import Random
from typing import NamedTuple

from chatapi.demo.people import Owner
from chatapi.demo.rows import Ids, Milliseconds, time_text
from chatapi.demo.tables import Row
from conversations.models import Score

Source = Score.Source
_COMMENTS = (
    "Exactly what I needed.",
    "Too long.",
    "The number is wrong.",
    "Thank you!",
    "It ignored my question.",
)
_CATEGORIES = ("wrong", "incomplete", "harmful", "slow")
_MOST_AFTER = 600_000


class Rated(NamedTuple):
    """An answer of which something is said: whose it is, its completion, and when it ended."""

    owner: Owner
    completion_id: str
    ended_at: Milliseconds


class Scores:
    """The rows of all scores; none is later than `until`."""

    def __init__(
        self, random: Random, ids: Ids, reviewers: dict[str, tuple[int, ...]], until: Milliseconds
    ) -> None:
        self.scores: list[Row] = []
        self._random = random
        self._ids = ids
        self._reviewers = reviewers
        self._until = until

    def rate(self, rated: Rated) -> None:
        """Say something of an answer: mostly a thumb."""
        random, owner = self._random, rated.owner
        author, source = _author_of(owner)
        at = min(self._until, rated.ended_at + random.randrange(2000, _MOST_AFTER))
        is_good = random.random() < 0.75
        self._add(rated, source, author, "thumbs", 1.0 if is_good else -1.0, "", at)
        if random.random() < 0.2:
            self._add(rated, source, author, "comment", None, random.choice(_COMMENTS), at)
        if not is_good and random.random() < 0.4:
            self._add(rated, source, author, "category", None, random.choice(_CATEGORIES), at)
        if random.random() < 0.1:
            value = round(random.random(), 2)
            self._add(rated, Source.MODEL.value, "demo-judge", "helpfulness", value, "", at)
        if random.random() < 0.1:
            reviewer = random.choice(self._reviewers[owner.workspace_id])
            value = float(random.randint(1, 5))
            self._add(rated, Source.REVIEWER.value, f"user {reviewer}", "quality", value, "", at)

    def _add(
        self,
        rated: Rated,
        source: str,
        author: str,
        name: str,
        number: float | None,
        text: str,
        at: Milliseconds,
    ) -> None:
        owner = rated.owner
        is_end_user = source == Source.END_USER
        self.scores.append(
            (
                self._ids.at(at),
                owner.workspace_id,
                owner.key_id,
                owner.owner_id,
                rated.completion_id,
                0,
                source,
                author,
                owner.end_user if is_end_user else "",
                name,
                number,
                text,
                time_text(at),
                time_text(at),
            )
        )


def _author_of(owner: Owner) -> tuple[str, str]:
    """Return who says something, as `conversations.feedback` names them, and from where."""
    if owner.key_id is None:
        return f"user {owner.user_id}", Source.USER.value
    if owner.end_user:
        return f"end user {owner.end_user}", Source.END_USER.value
    return owner.key_id, Source.API.value

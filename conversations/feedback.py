"""Feedback: what the people who read an answer say of it.

It is stored as scores, a row for each thing said, in the table that holds reviewers' scores too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.principal import Principal
from conversations.models import Completion, Message, Score
from conversations.settlement import answer_id
from core.exceptions import BadRequest, NotFound
from core.ids import MESSAGE, format_id
from core.value import Value

FEEDBACK_NAMES = ("thumbs", "score", "comment", "category")
"""What one says of an answer; the `name` of the score that holds it."""

_THUMBS: Mapping[str, float] = {"up": 1.0, "down": -1.0}
_SOURCES = (Score.Source.USER, Score.Source.END_USER, Score.Source.API)


class Feedback(Value, frozen=True):
    """What one author says of one answer. Nothing is said, and no time known, where all was taken back."""

    completion_id: UUID
    message_id: str | None
    choice: int
    source: str
    end_user: str
    thumbs: Literal["up", "down"] | None = None
    score: float | None = None
    comment: str | None = None
    category: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _Author(Value, frozen=True):
    """Who says something of an answer."""

    source: str
    name: str
    end_user: str


def give_feedback(
    who: Principal, completion: Completion, said: Mapping[str, Any], *, choice: int = 0
) -> Feedback:
    """Store what the caller says of an answer, and return all that they say of it now.

    `said` has the names that change, with None for what is taken back. Raises `Forbidden` for who only sees
    the conversation, and `BadRequest` if there is no such choice.
    """
    completion.stored_conversation.require_writable(who)
    author = _author_of(who, completion)
    with transaction.atomic():
        _lock_answer(completion, choice)
        rows = Score.objects.filter(
            completion=completion, choice=choice, source=author.source, author=author.name
        )
        rows.filter(name__in=[name for name, value in said.items() if value is None]).delete()
        _store(
            who,
            completion,
            choice,
            author,
            {name: value for name, value in said.items() if value is not None},
        )
        now_said = list(rows.filter(name__in=FEEDBACK_NAMES))
    return _feedback(completion, choice, author.source, author.end_user, now_said)


def feedback_of(who: Principal | None, completions: Iterable[Completion]) -> dict[UUID, list[Feedback]]:
    """Return the feedback on each of these completions that the caller may see, in one query.

    An end user sees their own alone. Without a caller it is all of it.
    """
    by_id = {completion.pk: completion for completion in completions}
    if not by_id:
        return {}
    rows = Score.objects.filter(completion__in=by_id, source__in=_SOURCES, name__in=FEEDBACK_NAMES)
    if who is not None and who.token_id is not None:
        rows = rows.filter(source=Score.Source.END_USER, end_user=who.end_user)
    said: dict[tuple[UUID, int, str, str], list[Score]] = defaultdict(list)
    for row in rows.order_by("completion", "choice", "pk"):
        said[row.completion_id, row.choice, row.source, row.author].append(row)
    found: dict[UUID, list[Feedback]] = defaultdict(list)
    for (id, choice, source, _), scores in said.items():
        found[id].append(_feedback(by_id[id], choice, source, scores[0].end_user, scores))
    return found


def _author_of(who: Principal, completion: Completion) -> _Author:
    """Return whose words they are: an end user's own, whether a token or the server's key brings them."""
    if who.key_id is None:
        return _Author(Score.Source.USER, who.owner_name, "")
    end_user = completion.stored_conversation.end_user
    if end_user:
        return _Author(Score.Source.END_USER, f"end user {end_user}", end_user)
    return _Author(Score.Source.API, who.key_id.hex, "")


def _lock_answer(completion: Completion, choice: int) -> None:
    """Keep the answer from being deleted meanwhile, and check that the completion has this choice."""
    rows = Completion.objects.select_for_update(of=("self",)).filter(
        pk=completion.pk, conversation__isnull=False, conversation__deleted_at=None
    )
    locked = rows.first()
    if locked is None:
        raise NotFound("There is no such completion.", param="completion_id")
    if locked.state == Completion.State.IN_PROGRESS:
        is_there = choice < locked.request.get("n", 1)
    else:
        is_there = Message.objects.filter(completion=locked, choice=choice, emptied_at=None).exists()
    if not is_there:
        raise BadRequest(f"The completion has no answer number {choice}.", param="choice")


def _store(
    who: Principal, completion: Completion, choice: int, author: _Author, said: Mapping[str, Any]
) -> None:
    now = timezone.now()
    rows = [
        Score(
            workspace_id=completion.workspace_id,
            api_key_id=who.key_id,
            user_id=who.owner_id,
            completion=completion,
            choice=choice,
            source=author.source,
            author=author.name,
            end_user=author.end_user,
            name=name,
            created_at=now,
            updated_at=now,
            **_columns(name, value),
        )
        for name, value in said.items()
    ]
    Score.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["completion", "choice", "source", "author", "name"],
        update_fields=["number", "text", "api_key", "user", "updated_at"],
    )


def _columns(name: str, value: Any) -> dict[str, Any]:
    if name == "thumbs":
        return {"number": _THUMBS[value]}
    return {"number": value} if name == "score" else {"text": value}


def _feedback(
    completion: Completion, choice: int, source: str, end_user: str, scores: Sequence[Score]
) -> Feedback:
    by_name = {score.name: score for score in scores}
    thumbs, score = by_name.get("thumbs"), by_name.get("score")
    comment, category = by_name.get("comment"), by_name.get("category")
    first = completion.first_answer
    return Feedback(
        completion.pk,
        None if first is None else format_id(MESSAGE, answer_id(first, choice)),
        choice,
        source,
        end_user,
        thumbs=None if thumbs is None else ("up" if (thumbs.number or 0) > 0 else "down"),
        score=score.number if score else None,
        comment=comment.text if comment else None,
        category=category.text if category else None,
        created_at=min((one.created_at for one in scores), default=None),
        updated_at=max((one.updated_at for one in scores), default=None),
    )

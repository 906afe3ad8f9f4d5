"""The rows of a whole history, in batches: all that can be made without the database."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from chatapi.demo.answers import Answerer
from chatapi.demo.books import Books
from chatapi.demo.demo_models import PricedModels
from chatapi.demo.feedback import Scores
from chatapi.demo.library import Library
from chatapi.demo.people import Tenant
from chatapi.demo.population import Size, draft_conversations
from chatapi.demo.rows import Ids, Milliseconds
from chatapi.demo.tables import Rows
from chatapi.demo.texts import LANGUAGES, draw, texts_by_language
from chatapi.demo.threads import HistoryRows, Surroundings, Thread

BATCH = 10_000
"""Messages whose rows are written in one transaction."""


class Plan(NamedTuple):
    """What is to be made: with the same plan, the same rows."""

    seed: int
    size: Size
    begin: Milliseconds
    tenants: Sequence[Tenant]
    libraries: Mapping[str, Library]
    models: PricedModels
    credit_limit: int | None


def make_history(plan: Plan) -> Iterator[Rows]:
    """Yield the rows of all conversations, batch by batch, then what they sum up to."""
    random = Random(plan.seed)  # noqa: S311 (nothing secret)
    ids = Ids(random)
    texts = texts_by_language(plan.seed)
    reviewers = {tenant.id: tenant.reviewers for tenant in plan.tenants}
    drafts = draft_conversations(plan.size, plan.tenants, random)
    rows = HistoryRows()
    books, scores = Books(random, ids), Scores(random, ids, reviewers, plan.size.until)
    answerer = Answerer(plan.models, books, scores, random, ids)
    for draft in drafts:
        library = plan.libraries[draft.owner.workspace_id]
        around = Surroundings(texts[draw(random, LANGUAGES)], library, answerer, ids, random)
        Thread(draft, around, rows).write()
        if len(rows.messages) >= BATCH:
            yield _take(rows, answerer, scores, books)
    workspaces = [tenant.id for tenant in plan.tenants]
    wallets = list(books.pay(workspaces, plan.begin, plan.credit_limit))
    last = _take(rows, answerer, scores, books)
    yield {**last, "wallets": wallets, "spends": list(books.spends()), "rollups": list(books.rollups())}


def _take(rows: HistoryRows, answerer: Answerer, scores: Scores, books: Books) -> dict[str, list[Any]]:
    """Take all rows that there are."""
    taken: dict[str, list[Any]] = {
        "conversations": rows.conversations,
        "messages": rows.messages,
        "conversation_labels": rows.labels,
        "holds": rows.holds,
        "files": rows.files,
        "completions": answerer.completions,
        "completion_labels": answerer.labels,
        "spoken": answerer.spoken,
        "scores": scores.scores,
        "charges": books.charges,
        "entries": books.entries,
        "transactions": books.transactions,
    }
    copied = {name: list(some) for name, some in taken.items()}
    for some in taken.values():
        some.clear()
    return copied

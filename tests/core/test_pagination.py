"""Pages follow each other without gaps or repeats, in any order of the columns."""

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product

import pytest

from conversations.models import Conversation
from core.exceptions import BadRequest
from core.ids import CONVERSATION, parse_id
from core.pagination import Page, PageRequest, read_page
from tests.support.history_rows import conversation_of
from tests.support.people import Person

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ORDERS = [("-title", "-updated_at", "-id"), ("-title", "updated_at", "id"), ("updated_at", "-title", "id")]


@pytest.fixture
def many(alice: Person) -> None:
    """Create rows of which several are equal in all but their ids."""
    for title, minutes in product(("pinned", "", "pinned"), (0, 5, 5, 0)):
        conversation_of(alice, title=title, updated_at=NOON + timedelta(minutes=minutes))


def page_after(after: str | None, order: tuple[str, ...], limit: int = 5) -> Page[Conversation]:
    rows = Conversation.objects.all()
    request = PageRequest(limit=limit, after=after)
    return read_page(rows, request, partial(parse_id, CONVERSATION), order=order, among=rows)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 5, 12])
def test_pages_make_up_the_whole_list(order: tuple[str, ...], limit: int, many: None) -> None:
    seen: list[Conversation] = []
    has_more = True
    while has_more:
        page = page_after(seen[-1].public_id if seen else None, order, limit)
        seen += page.items
        has_more = page.has_more

    assert seen == list(Conversation.objects.order_by(*order))


def test_a_page_may_start_after_a_row_that_the_filters_left_out(many: None) -> None:
    everything = Conversation.objects.all()
    last = everything.filter(title="pinned").latest("id")

    request = PageRequest(after=last.public_id)
    page = read_page(everything.filter(title=""), request, partial(parse_id, CONVERSATION), among=everything)

    assert page.items == list(everything.filter(title="").order_by("-id"))


def test_no_page_starts_after_a_deleted_row(many: None) -> None:
    first = page_after(None, ("-updated_at", "-id")).items[-1]
    Conversation.objects.filter(pk=first.pk).delete()

    with pytest.raises(BadRequest, match="no such object in this list"):
        page_after(first.public_id, ("-updated_at", "-id"))

"""Lists in pages: the query parameters `limit`, `order` and `after`, and the body that answers them.

The names and the body are OpenAI's. DRF's `CursorPagination` would have to be overridden in every method: its
cursor is opaque text in a link, its position is the value of the first column and a count of rows equal in it
(which shifts when one is deleted), and it replaces a wrong `limit` where we refuse it.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema_serializer
from rest_framework import serializers

from core.http.examples import list_of, page_of, shown
from core.http.query import parse_choice, parse_integer
from core.http.query_parameters import QueryParameters
from core.http.serializers import ConstantField
from core.pagination import CursorPage, Page, PageRequest

LIMIT = "How many items a page has at most."
AFTER = OpenApiParameter(
    "after",
    OpenApiTypes.STR,
    description="Where the page begins: after the item with this id, the `last_id` of the page before.",
)


class PageParameters(QueryParameters):
    """The parameters of one list, whose pages have `most` items at most.

    Without `order` in the query it is newest first, or oldest first if it is `ascending`. `others` are those
    by which it is filtered. What is neither is refused.
    """

    def __init__(
        self,
        *others: OpenApiParameter,
        most: int = 100,
        default: int = 20,
        order: bool = True,
        ascending: bool = False,
    ) -> None:
        self._most, self._default, self._has_order = most, default, order
        self._order = "asc" if ascending else "desc"
        limits = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
        limit = OpenApiParameter("limit", limits, description=LIMIT)
        by_order = OpenApiParameter(
            "order", enum=["asc", "desc"], default=self._order, description="Oldest or newest first."
        )
        super().__init__(limit, *([by_order] if order else []), AFTER, *others)

    def parse(self, query: QueryDict) -> PageRequest:
        """Parse them. Raises `BadRequest`, also for any parameter that the list does not know."""
        self.check(query)
        order = self._order
        if self._has_order:
            order = parse_choice(query, "order", ("asc", "desc"), order)
        limit = parse_integer(query, "limit", least=1, most=self._most, default=self._default)
        return PageRequest(limit, order == "desc", query.get("after"))


class ListSerializer(serializers.Serializer[Any]):
    # the docstrings are those of `list_serializer`

    object = ConstantField("list")


class PageSerializer(ListSerializer):
    first_id = serializers.CharField(allow_null=True, help_text="The id of the first; null on an empty page.")
    last_id = serializers.CharField(
        allow_null=True, help_text="The id of the last: `after` of the next page."
    )
    has_more = serializers.BooleanField(help_text="Whether there is a next page.")


class CursorPageSerializer(PageSerializer):
    next_cursor = serializers.CharField(
        allow_null=True,
        help_text="Where this page ended: `after` of the next one. It repeats nothing, though rows move. "
        "Null at the end.",
    )


@cache
def list_serializer(
    item: type[serializers.Serializer[Any]], base: type[ListSerializer] = ListSerializer
) -> type[ListSerializer]:
    """Return what describes a whole list of these, named `FooListSerializer` for `FooSerializer`.

    Its example is a list of the item's own.
    """
    name = item.__name__.removesuffix("Serializer")
    whole = "A page of a list" if issubclass(base, PageSerializer) else "A whole list"
    members = {
        "__doc__": f"{whole} of `{name}` objects.",
        "data": item(many=True, help_text="What is listed, in its order."),
    }
    described = type(f"{name}ListSerializer", (base,), members)
    examples = _list_examples(item, base)
    return extend_schema_serializer(examples=examples)(described) if examples else described


def _list_examples(item: type[Any], base: type[ListSerializer]) -> list[OpenApiExample]:
    known = getattr(item, "_spectacular_annotation", {}).get("examples", ())
    values = [example.value for example in known if not example.request_only][:1]
    if not values:
        return []
    body = page_of(*values) if issubclass(base, PageSerializer) else list_of(*values)
    if issubclass(base, CursorPageSerializer):
        body["next_cursor"] = None
    return [shown("The only one", body)]


def page_serializer(
    item: type[serializers.Serializer[Any]], base: type[PageSerializer] = PageSerializer
) -> type[ListSerializer]:
    """Return what describes a page of these."""
    return list_serializer(item, base)


def list_body(data: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": list(data)}


def page_body(page: Page[Any], serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """Return the body of a page; the serializer gives each item an `id`."""
    data = [serializer.to_representation(item) for item in page.items]
    body = page_body_of(data, has_more=page.has_more)
    return body | {"next_cursor": page.next_cursor} if isinstance(page, CursorPage) else body


def page_body_of(data: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Return the body of a page whose items are shown already, each with its `id`."""
    return list_body(data) | {
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }

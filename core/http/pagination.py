"""Lists in pages: the query parameters `limit`, `order` and `after`, and the body that answers them.

The names and the body are OpenAI's. DRF's `CursorPagination` would have to be overridden in every method: its
cursor is opaque text in a link, its position is the value of the first column and a count of rows equal in it
(which shifts when one is deleted), and it replaces a wrong `limit` where we refuse it.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from core.http.query import parse_choice, parse_integer
from core.http.serializers import ConstantField
from core.pagination import Page, PageRequest

LIMIT = "How many there are on a page at most."
AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before.")
ORDER = OpenApiParameter("order", enum=["asc", "desc"], default="desc", description="`desc`: newest first.")


class PageParameters:
    """The parameters of one list, whose pages have `most` items at most; without `order`, newest first."""

    def __init__(self, *, most: int = 100, default: int = 20, order: bool = True) -> None:
        self._most, self._default, self._has_order = most, default, order
        limits = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
        self.documentation = [
            OpenApiParameter("limit", limits, description=LIMIT),
            *([ORDER] if order else []),
            AFTER,
        ]

    def parse(self, query: QueryDict) -> PageRequest:
        """Parse them. Raises `BadRequest`."""
        order = parse_choice(query, "order", ("asc", "desc"), "desc") if self._has_order else "desc"
        limit = parse_integer(query, "limit", least=1, most=self._most, default=self._default)
        return PageRequest(limit, order == "desc", query.get("after"))


class ListSerializer(serializers.Serializer[Any]):
    object = ConstantField("list")


class PageSerializer(ListSerializer):
    first_id = serializers.CharField(allow_null=True, help_text="The id of the first; null on an empty page.")
    last_id = serializers.CharField(
        allow_null=True, help_text="The id of the last: `after` of the next page."
    )
    has_more = serializers.BooleanField(help_text="Whether there is a next page.")


@cache
def list_serializer(
    item: type[serializers.Serializer[Any]], base: type[ListSerializer] = ListSerializer
) -> type[ListSerializer]:
    """Return what describes a whole list of these, named `FooListSerializer` for `FooSerializer`."""
    name = item.__name__.removesuffix("Serializer") + "ListSerializer"
    return type(name, (base,), {"data": item(many=True)})


def page_serializer(item: type[serializers.Serializer[Any]]) -> type[ListSerializer]:
    """Return what describes a page of these."""
    return list_serializer(item, PageSerializer)


def list_body(data: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": list(data)}


def page_body(page: Page[Any], serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """Return the body of a page; the serializer gives each item an `id`."""
    data = [serializer.to_representation(item) for item in page.items]
    return list_body(data) | {
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": page.has_more,
    }

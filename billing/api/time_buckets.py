"""Pages of time buckets, with the query parameters of OpenAI's usage API."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django.http import QueryDict
from django.utils import timezone

from billing.usage_report import DAY, HOUR, MINUTE
from core.exceptions import BadRequest
from core.http.query import parse_choice, parse_integer

LAST_SECOND = 253_402_300_799
"""The last second of the year 9999."""
_CURSOR, _PREFIX = struct.Struct(">Q"), "page_"


class Width(NamedTuple):
    """A bucket width, and how many buckets make a page: `default_buckets`, and `max_buckets` at most."""

    seconds: int
    default_buckets: int
    max_buckets: int


USAGE_WIDTHS = {"1m": Width(MINUTE, 60, 1440), "1h": Width(HOUR, 24, 168), "1d": Width(DAY, 7, 31)}
COST_WIDTHS = {"1d": Width(DAY, 7, 180)}


@dataclass(frozen=True, slots=True)
class BucketPage:
    """A page of whole buckets, by their starts in seconds since the epoch.

    `next_page` is the cursor of the page that follows.
    """

    width: int
    starts: range
    next_page: str | None


def bucket_page(query: QueryDict, widths: Mapping[str, Width]) -> BucketPage:
    """Return a page of the buckets (UTC) that overlap `start_time` to `end_time`; none is in the future."""
    width = widths[parse_choice(query, "bucket_width", widths, "1d")]
    limit = parse_integer(query, "limit", least=1, most=width.max_buckets, default=width.default_buckets)
    start, end = _time_range(query)
    first = start - start % width.seconds
    last = min(end, int(timezone.now().timestamp()) + 1)
    page = query.get("page")
    begin = first if page is None else _page_start(page, first, width.seconds)
    next_start = begin + limit * width.seconds
    return BucketPage(
        width.seconds,
        range(begin, min(next_start, last), width.seconds),
        _cursor(next_start) if next_start < last else None,
    )


def _time_range(query: QueryDict) -> tuple[int, int]:
    start = parse_integer(query, "start_time", least=0, most=LAST_SECOND)
    end = parse_integer(query, "end_time", least=0, most=LAST_SECOND, default=LAST_SECOND)
    if end <= start:
        raise BadRequest("Invalid value for 'end_time': it is not after 'start_time'.", param="end_time")
    return start, end


def _cursor(start: int) -> str:
    return _PREFIX + urlsafe_b64encode(_CURSOR.pack(start)).decode().rstrip("=")


def _page_start(page: str, first: int, width: int) -> int:
    """Return where the page begins. Raises `BadRequest` if no answer to these parameters had this cursor."""
    try:
        [start] = _CURSOR.unpack(urlsafe_b64decode(page.removeprefix(_PREFIX).encode("ascii") + b"="))
    except (ValueError, struct.error):
        start = -1
    if not first < start <= LAST_SECOND or (start - first) % width or page != _cursor(start):
        raise BadRequest(
            "Invalid value for 'page': it is no `next_page` of an answer to these parameters.", param="page"
        )
    return int(start)

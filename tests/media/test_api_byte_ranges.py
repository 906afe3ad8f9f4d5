"""The range and condition headers of a request for a file, and the file name in the response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.api.byte_ranges import (
    MAX_RANGES,
    RangeNotSatisfiable,
    is_not_modified,
    may_be_partial,
    parse_range,
)
from media.api.file_response import content_disposition

TAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-", [(0, 100)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes=10-19", [(10, 20)]),
        ("bytes=10-1000", [(10, 100)]),
        ("BYTES = 1-2".replace(" = ", "="), [(1, 3)]),
        ("bytes=0-0, 5-6 ,-1", [(0, 1), (5, 7), (99, 100)]),
        ("bytes=50-60,0-9", [(0, 10), (50, 61)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=0-50,20-30", [(0, 51)]),
        ("bytes=0-0,200-300", [(0, 1)]),
        ("bytes=0-0,", [(0, 1)]),
    ],
)
def test_ranges_are_parsed(header: str, spans: list[tuple[int, int]]) -> None:
    assert parse_range(header, 100) == spans


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=1-2,x",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=\u0661-\u0662",
        "bytes=" + "9" * 30 + "-",
        "items=0-1",
        "0-1",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2 * MAX_RANGES + 2, 2)),
    ],
)
def test_an_invalid_range_means_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=100-200,300-", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_a_range_outside_the_file_cannot_be_satisfied(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, size)


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(0, 50))
def test_any_header_gives_pieces_of_the_file_in_order(header: str, size: int) -> None:
    try:
        spans = parse_range("bytes=" + header, size)
    except RangeNotSatisfiable:
        return
    edges = [edge for span in spans or [] for edge in span]
    assert edges == sorted(set(edges))
    assert all(0 <= edge <= size for edge in edges)


def test_a_file_the_client_has_is_known_by_its_tag() -> None:
    assert is_not_modified(TAG, TAG)
    assert is_not_modified(f'"x", W/{TAG}', TAG)
    assert is_not_modified("*", TAG)
    assert not is_not_modified(None, TAG)
    assert not is_not_modified("abc", TAG)
    assert not is_not_modified('"x"', TAG)


def test_a_download_resumes_only_if_the_file_is_unchanged() -> None:
    assert may_be_partial(None, TAG)
    assert may_be_partial(TAG, TAG)
    assert not may_be_partial(f"W/{TAG}", TAG)
    assert not may_be_partial("Mon, 23 Nov 2026 08:00:00 GMT", TAG)


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        (None, "inline"),
        ("cat.png", 'inline; filename="cat.png"'),
        ("a b;c.png", 'inline; filename="a b;c.png"'),
        ("../../etc/passwd", 'inline; filename=".._.._etc_passwd"'),
        ("..\\x.png", 'inline; filename=".._x.png"'),
        ('a"b.png', "inline; filename=\"a_b.png\"; filename*=UTF-8''a%22b.png"),
        ("100%41.png", "inline; filename=\"100_41.png\"; filename*=UTF-8''100%2541.png"),
        ("Müller.png", "inline; filename=\"M_ller.png\"; filename*=UTF-8''M%C3%BCller.png"),
        ("a\r\nx: y", "inline; filename=\"a__x: y\"; filename*=UTF-8''a%0D%0Ax%3A%20y"),
    ],
)
def test_a_file_name_cannot_add_anything_to_the_header(filename: str | None, header: str) -> None:
    assert content_disposition("inline", filename) == header

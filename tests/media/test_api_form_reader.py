"""Multipart forms with a file, well-formed and hostile, in pieces of any size."""

import asyncio
import hashlib
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope

from core.exceptions import ApiError, BadRequest, BodyTooLarge, RateLimited
from core.http.body import ClientDisconnected
from media.api.form_reader import MAX_OPEN_FORMS, Form, read_form
from media.api.multipart_parser import (
    FIELD_BYTES,
    MAX_FIELDS,
    MAX_NAME_LENGTH,
    MAX_OVERHEAD_BYTES,
    clean_name,
)
from tests.support.examples import examples

B = b"----limit"
LIMIT = 1024 * 1024
WORKSPACE = uuid4()
Read = tuple[dict[str, list[str]], str, bytes, str]


def part(name: str, value: bytes, filename: str | bytes | None = None, headers: bytes = b"") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'.encode()
    if filename is not None:
        raw = filename if isinstance(filename, bytes) else filename.encode()
        head += b'; filename="' + raw + b'"'
    return b"--" + B + b"\r\n" + head + b"\r\n" + headers + b"\r\n" + value + b"\r\n"


END = b"--" + B + b"--\r\n"


def scope_of(content_type: bytes = b"multipart/form-data; boundary=" + B, **headers: str) -> Scope:
    more = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "headers": [(b"content-type", content_type), *more]}


def receiving(*pieces: bytes, end: str = "last") -> Receive:
    """Return an ASGI `receive` that delivers these pieces.

    `end`: the last piece ends the body ("last"), the client "leaves", or nothing more comes ("stalls").
    """
    messages: list[Message] = [{"type": "http.request", "body": p, "more_body": True} for p in pieces]
    if end == "last":
        messages[-1]["more_body"] = False

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        if end == "leaves":
            return {"type": "http.disconnect"}
        await asyncio.sleep(30)
        raise AssertionError("it waited for ever")

    return receive


async def read(body: bytes, *, step: int | None = None, scope: Scope | None = None) -> Read:
    """Read a form; return its fields and its file's name, bytes and digest."""
    pieces = [body[at : at + step] for at in range(0, len(body), step)] if step else [body]
    async with read_form(WORKSPACE, scope or scope_of(), receiving(*pieces), LIMIT) as form:
        file = form.file
        data = await asyncio.to_thread(file.path.read_bytes)
        assert file.size == len(data)
        return {name: form.texts(name) for name in form.names}, file.filename, data, file.sha256


@contextmanager
def nothing_left() -> Iterator[None]:
    folder = Path(settings.DATA_DIR) / "tmp"
    before = set(folder.glob("*"))
    yield
    assert set(folder.glob("*")) <= before


async def refused(body: bytes, **more: Any) -> ApiError:
    with nothing_left(), pytest.raises(ApiError) as caught:
        await read(body, **more)
    return caught.value


@pytest.mark.parametrize("step", [None, 1, 7, 64])
async def test_a_form_is_read_however_it_is_cut(step: int | None) -> None:
    data = b"\r\n--" + B[:-1] + b"\r\n\0\xff" + B + b"\r"
    body = (
        part("purpose", b"vision") + part("file", data, "a.bin") + part("tag[]", b"1") + part("tag[]", b"2")
    )

    with nothing_left():
        fields, filename, kept, digest = await read(body + END, step=step)

    assert fields == {"purpose": ["vision"], "tag[]": ["1", "2"]}
    assert (filename, kept) == ("a.bin", data)
    assert digest == hashlib.sha256(data).hexdigest()


async def test_a_large_file_is_written_in_pieces() -> None:
    data = random.Random(1).randbytes(LIMIT)

    _, _, kept, digest = await read(part("file", data, "a") + END, step=65536)

    assert kept == data
    assert digest == hashlib.sha256(data).hexdigest()


async def test_a_file_over_the_limit_is_refused_as_soon_as_it_is_known() -> None:
    whole = part("file", b"x" * (LIMIT + 1), "a")
    read_bytes = 0

    async def receive() -> Message:
        nonlocal read_bytes
        read_bytes += 65536
        return {"type": "http.request", "body": whole[read_bytes - 65536 : read_bytes], "more_body": True}

    with nothing_left(), pytest.raises(BodyTooLarge):
        async with read_form(WORKSPACE, scope_of(), receive, LIMIT):
            pytest.fail("it was taken")
    assert read_bytes < LIMIT + 2 * 65536


async def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    scope = scope_of(content_length=str(LIMIT + MAX_OVERHEAD_BYTES + 1))
    with nothing_left(), pytest.raises(BodyTooLarge):
        async with read_form(WORKSPACE, scope, receiving(b"", end="stalls"), LIMIT):
            pytest.fail("it was taken")


@pytest.mark.parametrize("epilogue", [b"\r\n", b"x" * 100])
async def test_bytes_after_the_end_are_not_read(epilogue: bytes) -> None:
    assert (await read(part("file", b"x", "a") + END + epilogue))[2] == b"x"


async def test_endless_padding_is_refused() -> None:
    body = b"\r\n" * (MAX_OVERHEAD_BYTES // 2 + 1)
    assert (await refused(body, step=65536)).status == 413


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"multipart/form-data", 400),
        (b"multipart/form-data; boundary=", 400),
        (b"multipart/form-data; boundary=" + b"x" * 300, 400),
        (b"multipart/mixed; boundary=x", 415),
        (b"application/json", 415),
        (b"application/x-www-form-urlencoded", 415),
        (b"", 415),
        (b"\xff\xfe;;=", 415),
    ],
)
async def test_another_type_of_body_is_refused(content_type: bytes, status: int) -> None:
    assert (await refused(b"", scope=scope_of(content_type))).status == status


async def test_a_compressed_body_is_refused() -> None:
    error = await refused(part("file", b"x", "a") + END, scope=scope_of(content_encoding="gzip"))
    assert (error.status, error.code) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"--wrong\r\n",
        b"--" + B + b"x\r\n",
        END,
        part("file", b"cut", "a"),
        part("file", b"cut", "a")[:40],
        b"--" + B + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END,
        b"--" + B + b"\r\nContent-Disposition\r\n\r\nx\r\n" + END,
        b"--" + B + b"\r\n: x\r\n\r\nx\r\n" + END,
        b"--" + B + b"\r\n\r\nx\r\n" + END,
        part("file", b"x", "a", b"X: " + b"y" * 10_000 + b"\r\n") + END,
        part("file", b"x", "a", b"X: y\r\n" * 50) + END,
    ],
)
@pytest.mark.parametrize("step", [None, 5])
async def test_a_malformed_form_is_refused(body: bytes, step: int | None) -> None:
    error = await refused(body or b" ", step=step)
    assert error.status == 400
    assert error.code in {"invalid_form", "missing_required_parameter"}


async def test_thousands_of_fields_are_refused() -> None:
    body = b"".join(part(f"f{n}", b"") for n in range(MAX_FIELDS + 1))
    assert (await refused(body + END)).code == "invalid_form"
    many = b"".join(part(f"f{n}", b"") for n in range(MAX_FIELDS - 1))
    assert len((await read(many + part("file", b"x", "a") + END))[0]) == MAX_FIELDS - 1


async def test_a_long_field_is_refused_by_its_name() -> None:
    error = await refused(part("prompt", b"x" * (FIELD_BYTES + 1)) + END, step=1000)
    assert (error.code, error.param) == ("string_above_max_length", "prompt")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (part("purpose", b"vision"), "missing_required_parameter"),
        (part("file", b"", "a"), "empty_file"),
        (part("file", b"text"), "invalid_type"),
        (part("file", b"1", "a") + part("file", b"2", "b"), "invalid_value"),
        (part("file", b"1", "a") + part("file", b"2"), "invalid_type"),
    ],
)
async def test_exactly_one_file_is_required(body: bytes, code: str) -> None:
    error = await refused(body + END)
    assert (error.status, error.code, error.param) == (400, code, "file")


async def test_a_file_under_another_name_is_refused() -> None:
    error = await refused(part("picture\0\n", b"1", "a") + END)
    assert (error.status, error.param) == (400, "picture")


async def test_a_field_sent_twice_is_refused_where_one_is_expected() -> None:
    form = Form([("a", "1"), ("a", "2"), ("b", "3")], None)
    assert form.text("b") == "3"
    assert form.text("c") is None
    with pytest.raises(ApiError) as caught:
        form.text("a")
    assert caught.value.param == "a"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("cat.png", "cat.png"),
        ("Katze mit Hut.png", "Katze mit Hut.png"),
        ("猫🐈.png", "猫🐈.png"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("", "upload"),
        (" \t", "upload"),
        ("a\0b\x1b\x7f\x85.png", "ab.png"),
        ("exe.\u202egnp", "exe.gnp"),
        ("a\u2028b", "ab"),
        ("x" * 300, "x" * MAX_NAME_LENGTH),
    ],
)
def test_a_file_name_is_cleaned(sent: str, kept: str) -> None:
    assert clean_name(sent) == kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(b"caf\xc3\xa9", "café"), (b"caf\xe9", "café"), (b'a\\"b', 'a"b'), (b"a\tb", "ab")],
)
async def test_a_name_is_read_as_utf_8_or_else_latin_1(sent: bytes, kept: str) -> None:
    assert (await read(part("file", b"x", sent) + END))[1] == kept


async def test_a_client_that_disconnects_leaves_nothing_behind() -> None:
    with nothing_left(), pytest.raises(ClientDisconnected):
        async with read_form(
            WORKSPACE, scope_of(), receiving(part("file", b"x" * 600_000, "a"), end="leaves"), LIMIT
        ):
            pytest.fail("it was taken")


@pytest.mark.parametrize("limit", ["stalled_seconds", "upload_seconds"])
async def test_a_client_that_stalls_is_timed_out(limit: str) -> None:
    stalling = receiving(part("file", b"x", "a"), end="stalls")
    with nothing_left(), pytest.raises(ApiError) as caught:
        async with read_form(WORKSPACE, scope_of(), stalling, LIMIT, **{limit: 0.05}):
            pytest.fail("it was taken")
    assert (caught.value.status, caught.value.code) == (408, "request_timeout")


async def test_concurrent_uploads_are_limited_for_each_workspace_alone() -> None:
    body = part("file", b"x", "a") + END
    async with AsyncExitStack() as forms:
        for _ in range(MAX_OPEN_FORMS):
            await forms.enter_async_context(read_form(WORKSPACE, scope_of(), receiving(body), LIMIT))
        with pytest.raises(RateLimited):
            async with read_form(WORKSPACE, scope_of(), receiving(body), LIMIT):
                pytest.fail("it was taken")
        async with read_form(uuid4(), scope_of(), receiving(body), LIMIT) as form:
            assert form.file.size == 1
    async with read_form(WORKSPACE, scope_of(), receiving(body), LIMIT) as form:
        assert form.file.size == 1


async def test_nothing_is_left_when_the_reader_fails() -> None:
    body = part("file", b"x", "a") + END
    with nothing_left(), pytest.raises(ZeroDivisionError):
        async with read_form(WORKSPACE, scope_of(), receiving(body), LIMIT) as form:
            assert form.file.size // 0


WHOLE = (
    part("purpose", b"vision") + part("file", b"\r\n--" + B[:-2] + b"\0", "a.bin") + part("t[]", b"1") + END
)


@hypothesis_settings(max_examples=examples(100))
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), st.binary(max_size=12)), max_size=4),
    st.integers(1, 400),
)
async def test_whatever_is_sent_is_read_or_refused(changes: list[tuple[int, int, bytes]], step: int) -> None:
    body = WHOLE
    for at, removed, added in changes:
        body = body[:at] + added + body[at + removed :]
    with suppress(BadRequest):
        _, filename, data, _ = await read(body or b" ", step=step)
        assert data
        assert filename

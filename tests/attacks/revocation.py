"""Access that outlives what gave it."""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx2
import msgspec
from django.utils import timezone

from accounts.models import ApiKey, Membership, User
from tests.attacks.checks import check, check_all, comes_true
from tests.attacks.stage import Stage, request_body, submit
from tests.support.fake_upstream import HANG, end, frame, raw, say, stream
from tests.support.people import Person
from tests.support.pictures import encode_picture, quarters
from tests.support.request_bodies import b64, image, text
from tests.support.running_server import PATHS

IN_TIME = 5.0
"""Seconds within which a stream must end; tests/stories/test_revoked_keys.py measures the promised one."""
ENDLESS = "[[slow: 0.05]] [[chunks: 2000]]"
SILENT = "[[chunks: 3]] [[stall]]"


class Stream(NamedTuple):
    """A stream under way."""

    name: str
    who: Person
    connection: socket.socket


def streams_of_a_revoked_key(stage: Stage) -> None:
    """Read and spend on with a key that the operator has just revoked: by a stream under way."""
    stage.will(raw(frame(say("w1")), HANG))
    kinds = {"speaking": (ENDLESS, "free"), "silent": (SILENT, "free"), "upstream's": ("Hello", "priced")}
    with ExitStack() as stack:
        streams = [
            _begin(stage, stack, f"{dialect}, {name}", text, dialect=dialect, model=model)
            for dialect in PATHS
            for name, (text, model) in kinds.items()
        ]
        for stream in streams:
            key = ApiKey.objects.get(workspace=stream.who.workspace)
            form = {"action": "revoke", "_selected_action": str(key.pk)}
            answer = submit(stage.operator, "/admin/accounts/apikey/", form)
            key.refresh_from_db()
            assert key.revoked_at, answer.text
        _check_ended(streams)


def streams_of_those_who_left(stage: Stage) -> None:
    """Do the same as someone whose key another process has revoked, or who is a member no more."""
    now = timezone.now()
    ends: dict[str, Callable[[Person], Any]] = {
        "revoked elsewhere": lambda who: ApiKey.objects.filter(user=who.user).update(revoked_at=now),
        "expired": lambda who: ApiKey.objects.filter(user=who.user).update(expires_at=now),
        "no member": lambda who: Membership.objects.filter(user=who.user).delete(),
        "deactivated": lambda who: User.objects.filter(pk=who.user.pk).update(is_active=False),
    }
    with ExitStack() as stack:
        streams = [_begin(stage, stack, name, ENDLESS) for name in ends]
        for stream in streams:
            ends[stream.name](stream.who)
        _check_ended(streams)


def _begin(
    stage: Stage, stack: ExitStack, name: str, text: str, *, dialect: str = "openai", model: str = "free"
) -> Stream:
    """Begin a stream of someone new, and read its first words."""
    who = stage.newcomer()
    body = msgspec.json.encode(request_body(text, model=model, stream=True))
    connection = stack.enter_context(stage.server.send(PATHS[dialect], who.key, body))
    seen = b""
    while b"w1" not in seen and (data := connection.recv(65536)):
        seen += data
    check(b"w1" in seen, f"the stream did not begin: {seen[-200:]!r}")
    return Stream(name, who, connection)


def _check_ended(streams: Sequence[Stream]) -> None:
    deadline = time.monotonic() + IN_TIME
    check_all({stream.name: _still_open(stream.connection, deadline) for stream in streams})


def _still_open(connection: socket.socket, deadline: float) -> str | None:
    came = b""
    while (left := deadline - time.monotonic()) > -IN_TIME:
        connection.settimeout(max(left, 0.01))  # what has ended in time may be read later
        try:
            data = connection.recv(65536)
        except TimeoutError:
            break
        came += data
        if not data or came.endswith(b"0\r\n\r\n"):
            return "it ended as if it were whole" if b"[DONE]" in came else None
    return f"still open after {IN_TIME:.0f} s"


def signed_urls_of_deleted_files(stage: Stage) -> None:
    """Read a file that its owner has deleted, by an address that was handed out before."""
    who = stage.newcomer("0")
    problems: dict[str, str | None] = {}
    with stage.client(who) as client, stage.client() as nobody:
        text, picture = stage.upload(who, b"Private notes."), stage.upload(who, _picture(), "me.png")
        thumbnail = _thumbnail(client, picture["id"])
        urls = {"text": text["url"], "picture": picture["url"], "thumbnail": thumbnail}
        for name, url in urls.items():
            seen = nobody.get(url)
            check(seen.status_code == 200, f"{name}: {seen.status_code} before the deletion")
        for file in (text, picture):
            assert client.delete(f"/v1/files/{file['id']}").status_code == 200
        for name, url in urls.items():
            for ranges in ({}, {"Range": "bytes=0-3"}):
                status = nobody.get(url, headers=ranges).status_code
                problems[f"{name} {ranges or ''}"] = None if status == 404 else str(status)
    check_all(problems)


def signed_urls_of_deleted_conversations(stage: Stage) -> None:
    """Do the same with a picture of a conversation that was deleted."""
    who = stage.newcomer()
    stage.will(stream(say("I see."), end()))
    seen = image({"url": f"data:image/png;base64,{b64(_picture())}"})
    with stage.client(who) as client, stage.client() as nobody:
        answer = stage.ask(who, [text("Look."), seen], model="seeing")
        conversation = answer.headers["x-conversation-id"]
        items = client.get(f"/v1/conversations/{conversation}/items").text
        urls = _media_urls(items)
        check(urls, f"no address of the picture among {items[:500]}")
        assert client.delete(f"/v1/conversations/{conversation}").status_code == 200
        statuses = {url: nobody.get(url).status_code for url in urls}
    check(set(statuses.values()) == {404}, f"{list(statuses.values())}")


def _media_urls(text: str) -> set[str]:
    return {f"/media/{rest.partition(chr(34))[0]}" for rest in text.split("/media/")[1:]}


def _picture() -> bytes:
    return encode_picture(quarters())


def _thumbnail(client: httpx2.Client, file_id: str) -> str:
    def found() -> list[str]:
        renditions = client.get(f"/v1/files/{file_id}/renditions").json()["data"]
        return [one["url"] for one in renditions if one["kind"] == "thumbnail" and one["url"]]

    comes_true(found, 15)
    [url] = found()
    return url

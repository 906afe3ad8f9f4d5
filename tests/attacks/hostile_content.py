"""Text, addresses and files that do something to whoever reads, fetches or unpacks them."""

import gzip
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import httpx2
import msgspec

from tests.attacks.checks import check, check_all, check_status, describe, status_problem
from tests.attacks.stage import Stage, request_body
from tests.support.ip_addresses import PRIVATE, SPELLINGS
from tests.support.people import Person
from tests.support.pictures import png
from tests.support.request_bodies import image, sound
from tests.support.sounds import opus_bomb

SCRIPT = "<script>alert(document.cookie)</script>"
IMAGE = "<img src=x onerror=alert(1)>"
NAME = '"><svg onload=alert(1)>.txt'
QUICK = 10.0
"""Seconds within which a bomb must be refused."""


def scripts_in_the_admin_site(stage: Stage) -> None:
    """Act as the administrator who reads what one has written: by a script in it."""
    who = stage.newcomer("0")
    answer = stage.ask(who, f"{SCRIPT} {IMAGE}", model="free", user=IMAGE, metadata={SCRIPT: IMAGE})
    check_status(answer, 200)
    stage.upload(who, SCRIPT.encode(), NAME)
    completion = stage.completion(who)
    pages = {
        "conversations": "/admin/conversations/conversation/",
        "conversation": f"/admin/conversations/conversation/{completion.conversation_id}/change/",
        "message": f"/admin/conversations/message/{completion.prompt_id}/change/",
        "completion": f"/admin/conversations/completion/{completion.pk}/change/",
        "files": "/admin/media/file/",
        "search": f"/admin/conversations/conversation/?q={SCRIPT}",
    }
    problems: dict[str, str | None] = {}
    for name, path in pages.items():
        page = stage.operator.get(path)
        raw = [text for text in (SCRIPT, IMAGE, NAME) if text in page.text]
        problems[name] = f"{raw} are on the page" if raw else status_problem(page, 200)
    check_all(problems)


def pages_among_the_files(stage: Stage) -> None:
    """Act as whoever opens a link to the service: by a file that is a page with a script."""
    who = stage.newcomer("0")
    contents = {
        "page.html": f"<!DOCTYPE html><html>{SCRIPT}</html>",
        "drawing.svg": f'<svg xmlns="http://www.w3.org/2000/svg">{SCRIPT}</svg>',
        "page.xhtml": f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">{SCRIPT}</html>',
    }
    problems: dict[str, str | None] = {}
    for name, content in contents.items():
        url = stage.upload(who, content.encode(), name)["url"]
        with stage.client() as nobody:
            headers = nobody.get(url).headers
        kind, disposition = headers["content-type"], headers.get("content-disposition", "")
        is_shown = any(word in kind for word in ("html", "svg", "xml")) and "attachment" not in disposition
        is_guessed = headers.get("x-content-type-options") != "nosniff"
        problems[name] = f"{kind}, {disposition}" if is_shown or is_guessed else None
    check_all(problems)


def addresses_of_this_network(stage: Stage) -> None:
    """Read what only this machine may: have it fetched as a picture, from each spelling of its addresses."""
    who = stage.newcomer("0")
    stage.will()
    before = stage.upstream.connections
    hosts = [*SPELLINGS, *(f"[{ip}]" if ":" in ip else ip for ip in PRIVATE[::3])]
    with stage.client(who) as client, ThreadPoolExecutor(8) as threads:

        def fetch(host: str) -> str | None:
            part = image({"url": f"http://{host}:{stage.upstream.port}/a.png"})
            body = request_body([part], model="free")
            return status_problem(client.post("/v1/chat/completions", json=body), 400)

        problems = dict(zip(hosts, threads.map(fetch, hosts), strict=True))
    check_all(problems)
    connections = stage.upstream.connections - before
    check(connections == 0, f"{connections} connections reached this machine")


def decompression_bombs(stage: Stage) -> None:
    """Fill the memory, or the disk, by a few bytes that unpack to gigabytes."""
    who = stage.newcomer("0")
    picture = f"data:image/png;base64,{_b64(png(50_000, 50_000, pixels=bytes(10_000)))}"
    silence = _b64(opus_bomb(0.2))
    body = gzip.compress(msgspec.json.encode(request_body("word " * 2_000_000, model="free")))
    problems = {
        "2,500,000,000 pixels": _bomb(stage, who, request_body([image({"url": picture})], model="free")),
        "800 MB of silence": _bomb(stage, who, request_body([sound(silence, format="ogg")], model="free")),
        "a compressed body": _bomb(stage, who, body, {"Content-Encoding": "gzip"}),
    }
    check_all(problems)


def _bomb(stage: Stage, who: Person, body: object, headers: dict[str, str] | None = None) -> str | None:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    started = time.monotonic()
    with stage.client(who) as client:
        fields = {"Content-Type": "application/json", **(headers or {})}
        try:
            answer = client.post("/v1/chat/completions", content=content, headers=fields)
        except httpx2.HTTPError as error:
            return repr(error)
    took = time.monotonic() - started
    if not 400 <= answer.status_code < 500:
        return describe(answer)
    return None if took < QUICK else f"refused only after {took:.1f} s"


def _b64(data: bytes) -> str:
    return b64encode(data).decode()

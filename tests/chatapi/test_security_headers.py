"""No page has a script or style in its HTML, so each response forbids them."""

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from django.apps import apps
from django.contrib import admin
from django.http import HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from chatapi.middleware.security_headers import SecurityHeadersMiddleware
from tests.support.admin_rows import (
    create_billing_rows,
    create_branched_conversation,
    create_picture,
    create_request_records,
)
from tests.support.billing_admin import Answer
from tests.support.media_admin import superuser
from tests.support.people import Person

PAGE = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
}
DOCS = {**PAGE, "img-src": "'self' data: blob:", "media-src": "'self' blob:"}
OWN_PAGE = {**PAGE, "require-trusted-types-for": "'script'", "trusted-types": "'none'"}
NO_PAGE = {"default-src": "'none'", "frame-ancestors": "'none'"}
DATA_BLOCKS = {"application/json", "text/plain"}
"""Types of `<script>` elements that browsers do not run."""


class PageReader(HTMLParser):
    """What a page links to, and what a strict policy would refuse of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.refused: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        is_inline_script = tag == "script" and "src" not in values and values.get("type") not in DATA_BLOCKS
        if tag == "style" or is_inline_script:
            self.refused.append(self.get_starttag_text() or tag)
        self.refused += [
            f"{name}={value!r} of <{tag}>"
            for name, value in values.items()
            if name == "style"
            or name.startswith("on")
            or (name in {"href", "src", "action", "formaction"} and value.lower().startswith("javascript:"))
        ]
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


def policy_of(answer: HttpResponse | Answer) -> dict[str, str]:
    header = answer["Content-Security-Policy"]
    return {name: value for name, _, value in (part.partition(" ") for part in header.split("; "))}


def crawl(client: Client, *addresses: str) -> Iterator[tuple[str, Answer]]:
    """Open these addresses, and all that they link to in the admin site; each page with one query at most."""
    waiting, seen = list(addresses), set()
    while waiting:
        address = waiting.pop()
        path = urlsplit(address).path
        if path in seen or path.endswith("/logout/"):
            continue
        seen.add(path)
        answer = client.get(address, follow=True)
        yield address, answer
        if answer["Content-Type"].startswith("text/html"):
            found = [urljoin(address, link) for link in PageReader(answer.text).links]
            waiting += [link for link in found if link.startswith("/admin/")]


def test_all_pages_of_the_admin_site_obey_the_policy_that_they_are_sent_with(alice: Person) -> None:
    create_billing_rows(alice)
    create_picture(alice, create_branched_conversation(alice))
    create_request_records(alice)
    visited = set()

    for address, answer in crawl(superuser(), "/admin/"):
        assert answer.status_code == 200, address
        is_page = answer["Content-Type"].startswith("text/html")
        page = OWN_PAGE if answer.request["PATH_INFO"].startswith("/accounts/") else PAGE
        assert policy_of(answer) == (page if is_page else NO_PAGE), address
        assert PageReader(answer.text).refused == [], address
        visited.add(urlsplit(address).path)

    for model in filter(admin.site.is_registered, apps.get_models()):
        folder = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert folder in visited
        assert {path for path in visited if path.startswith(folder) and path != folder} or (
            model._meta.model_name in {"group", "usagerollup"}
        ), f"no page of {folder} but its list"
    assert {path.rsplit("/", 2)[1] for path in visited} >= {
        "add",
        "change",
        "history",
        "delete",
        "print",
        "csv",
    }


@pytest.mark.parametrize(
    ("address", "policy"),
    [
        ("/accounts/login/", OWN_PAGE),
        ("/accounts/login/?next=/admin/", OWN_PAGE),
        ("/docs", DOCS),
        ("/docs/guides/billing.md", PAGE),
    ],
)
def test_a_strangers_pages_obey_their_policy(
    address: str, policy: dict[str, str], client: Client, db: None
) -> None:
    answer = client.get(address)

    assert answer.status_code == 200
    assert PageReader(answer.text).refused == []
    assert policy_of(answer) == policy


def test_a_statement_obeys_the_policy_of_our_own_pages(client: Client, alice: Person) -> None:
    create_billing_rows(alice)

    answer = client.get("/v1/billing/statements/2026-01.html", headers=alice.headers)

    assert PageReader(answer.text).refused == []
    assert policy_of(answer) == OWN_PAGE


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/v1/models", 401),
        ("/openapi.json", 200),
        ("/docs/guides/examples/chat.html", 200),
        ("/static/chatapi/docs.css", 200),
        ("/nowhere", 404),
    ],
)
@pytest.mark.parametrize("is_debugging", [False, True])
def test_what_is_no_page_may_load_nothing(
    address: str, status: int, is_debugging: bool, client: Client, db: None, settings: Settings
) -> None:
    settings.DEBUG = is_debugging

    answer = client.get(address)

    assert answer.status_code == status
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert policy_of(answer) == NO_PAGE
    answer.close()  # the file of a stylesheet


def test_a_form_of_the_sign_in_pages_leads_to_a_provider_only_where_one_is_configured(
    rf: RequestFactory, settings: Settings
) -> None:
    middleware = SecurityHeadersMiddleware(lambda request: HttpResponse("<!DOCTYPE html>"))

    settings.SOCIALACCOUNT_PROVIDERS = {}
    assert policy_of(middleware(rf.get("/accounts/login/"))) == OWN_PAGE
    settings.SOCIALACCOUNT_PROVIDERS = {"google": {}}
    assert policy_of(middleware(rf.get("/accounts/login/"))) == {**OWN_PAGE, "form-action": "'self' https:"}
    assert policy_of(middleware(rf.get("/v1/page.html"))) == OWN_PAGE
    assert policy_of(middleware(rf.get("/admin/"))) == PAGE


def test_no_key_is_kept_by_the_api_documents_page(client: Client, db: None) -> None:
    script = client.get("/static/chatapi/docs.js")

    assert b"persistAuthorization: false" in script.getvalue()
    script.close()

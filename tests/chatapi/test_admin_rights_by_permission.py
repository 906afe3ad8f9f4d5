"""Staff with a single permission in the admin: no link is dead, no page shows what is for other permissions.

Each of them opens the pages of a kind of row, in the long form of every kind, then follows all links. That
the other pages refuse them is held by tests/access/test_admin.py, too.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.db.models import Model
from django.test import Client

from accounts.models import User
from billing.models import Budget, UsageRollup
from conversations.admin import COMPLETIONS_WITHHELD, MESSAGES_WITHHELD
from core.admin import ModelAdmin, link_to
from media.admin import FILES_WITHHELD
from tests.support.admin_secrets import (
    WORDS,
    PlantedHistory,
    plant_accounts,
    plant_books,
    plant_history,
    plant_log,
)
from tests.support.media_admin import staff
from tests.support.people import Person

MODELS: list[Any] = [model for model in apps.get_models() if admin.site.is_registered(model)]
LISTS_ONLY = {UsageRollup}
ELSEWHERE = {"/admin/password_change/"}
"""Links that lead out of the admin."""


@pytest.fixture
def history(alice: Person) -> PlantedHistory:
    return plant_history(alice)


@pytest.fixture
def everything(alice: Person, history: PlantedHistory) -> None:
    plant_books(alice)
    plant_accounts(alice)
    plant_log(alice, [row_of(model) for model in MODELS])


def row_of(model: Any) -> Model:
    row: Model | None = model.objects.first()
    assert row is not None, f"Plant a row of {model._meta.label}, and words in it."
    return row


def list_of(model: type[Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def page_of(row: Model, page: str = "change") -> str:
    return f"{list_of(type(row))}{row.pk}/{page}/"


def pages() -> Iterator[str]:
    yield "/admin/"
    for model in MODELS:
        yield list_of(model)
        if model not in LISTS_ONLY:
            yield from (page_of(row_of(model), page) for page in ("change", "history"))


def links_on(path: str, text: str) -> set[str]:
    """The links to other pages of the admin; without those that sort or filter the same list."""
    hrefs = (unescape(href) for href in re.findall(r'href="([^"]+)"', text))
    links = {urljoin(path, href).partition("#")[0] for href in hrefs if not href.startswith(("?", "#"))}
    return {link for link in links if link.startswith("/admin/")} - ELSEWHERE


def words_on(text: str) -> set[str]:
    return {word for word in WORDS if word in unescape(text)}


def crawl(browser: Client, start: list[str]) -> tuple[set[str], list[str]]:
    """Open these pages and all that they link to. Return the words that are shown, and the dead links."""
    shown, dead, seen, waiting = set[str](), list[str](), set(start), [("", path) for path in start]
    while waiting:
        origin, path = waiting.pop()
        answer = browser.get(path)
        if answer.status_code != 200:
            dead += [f"{path} of {origin}: {answer.status_code}"] if origin else []
            continue
        text = answer.text
        shown |= words_on(text)
        waiting += [(path, link) for link in sorted(links_on(path, text) - seen)]
        seen |= links_on(path, text)
    return shown, dead


def test_every_kind_of_row_asks_before_it_names_others() -> None:
    assert [model for model in MODELS if not isinstance(admin.site.get_model_admin(model), ModelAdmin)] == []


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_single_permission_opens_no_dead_link_and_shows_no_more_than_it_says(
    everything: None, everywhere: bool
) -> None:
    """Each starts from the first page and those of its own kind of row; in the long form from all pages."""
    problems = list[str]()
    for model in MODELS:
        permission = get_permission_codename("view", model._meta)
        own = [path for path in pages() if everywhere or path.startswith(list_of(model))]
        shown, dead = crawl(staff(permission, email=f"{permission}@example.org"), ["/admin/", *own])
        expected = {word for word, permissions in WORDS.items() if permission in permissions}
        problems += [f"{permission}: dead link to {link}" for link in dead]
        problems += [f"{permission}: shows {word!r}" for word in shown - expected]
        problems += [f"{permission}: lacks {word!r}" for word in expected - shown]

    assert problems == []


@pytest.mark.long
@pytest.mark.parametrize("actions", [("add",), ("change",), ("view", "delete")])
def test_who_may_do_one_thing_finds_no_dead_link_either(actions: tuple[str, ...], everything: None) -> None:
    problems = []
    for model in MODELS:
        permissions = [get_permission_codename(action, model._meta) for action in actions]
        own = [path for path in pages() if path.startswith(list_of(model))]
        own += [path.replace("/history/", "/delete/") for path in own]
        browser = staff(*permissions, email=f"{permissions[0]}@example.org")
        _, dead = crawl(browser, ["/admin/", f"{list_of(model)}add/", *own])
        problems += [f"{permissions}: dead link to {link}" for link in dead]

    assert problems == []


# --- pages that embed other rows --------------------------------------------------------------------


TITLE, TEXT, FILENAME = "Where the treasure lies", "Dig under the oak", "map-of-the-island.png"
PARAMETER, URL, PICTURE_WORDS = "a-parameter-of-the-call", '"/media/', "Words in the picture"
MEDIA = (URL, PICTURE_WORDS, "Words that were said")


@pytest.mark.parametrize(
    ("page", "permissions", "shown", "withheld"),
    [
        ("conversation", "", {TITLE}, MESSAGES_WITHHELD),
        ("conversation", "asset completion", {TITLE}, MESSAGES_WITHHELD),
        ("conversation", "message asset", {TITLE, TEXT, *MEDIA}, COMPLETIONS_WITHHELD),
        ("conversation", "message completion", {TITLE, TEXT}, FILES_WITHHELD),
        ("conversation", "message completion asset", {TITLE, TEXT, *MEDIA}, ""),
        ("message", "", {TEXT}, FILES_WITHHELD),
        ("message", "conversation asset", {TITLE, TEXT, *MEDIA}, ""),
        ("completion", "", {PARAMETER}, ""),
        ("completion", "conversation message", {PARAMETER, TITLE}, ""),
        ("asset", "", {URL, PICTURE_WORDS}, ""),
        ("asset", "file conversation", {URL, PICTURE_WORDS, FILENAME, TITLE}, ""),
        ("file", "", {FILENAME}, FILES_WITHHELD),
        ("file", "asset", {FILENAME, URL, PICTURE_WORDS}, ""),
    ],
)
def test_what_a_page_embeds_is_shown_by_its_own_permission(
    page: str, permissions: str, shown: set[str], withheld: str, history: PlantedHistory
) -> None:
    codenames = [f"view_{name}" for name in (page, *permissions.split())]

    text = staff(*codenames).get(page_of(getattr(history, page))).text

    assert words_on(text) == shown
    assert withheld in text
    assert bool(withheld) == ("are shown to those who" in text)


def test_completions_of_a_thread_ask_for_their_permission(history: PlantedHistory) -> None:
    public_id = history.completion.public_id
    path = page_of(history.conversation)

    assert public_id not in staff("view_conversation", "view_message").get(path).text
    reader = staff("view_conversation", "view_message", "view_completion", email="rob@example.com")
    assert page_of(history.completion) in reader.get(path).text


def test_a_conversation_without_its_permission_is_named_by_its_id(history: PlantedHistory) -> None:
    for row in (history.message, history.completion, history.asset):
        reader = staff(f"view_{row._meta.model_name}", email=f"{row._meta.model_name}@example.com")
        text = reader.get(page_of(row)).text
        assert history.conversation.public_id in text
        assert page_of(history.conversation) not in text


def test_the_members_of_a_workspace_are_named_to_those_who_may_view_users(
    everything: None, alice: Person
) -> None:
    path = page_of(alice.workspace)
    reader = staff("view_workspace", "view_membership", "view_apikey")
    manager = staff("view_workspace", "view_membership", "view_apikey", "view_user", email="may@example.com")

    text = reader.get(path).text
    assert f"user {alice.user.pk}" in text
    assert words_on(text) == {"Nightingale", "Parrot's key"}
    assert page_of(alice.user) in manager.get(path).text


# --- guesses ----------------------------------------------------------------------------------------


def test_a_search_guesses_nothing_that_may_not_be_viewed(everything: None) -> None:
    history = ("conversation", "asset", "file", "rendition")
    guesses = [
        *((name, "workspace", "Nightin") for name in (*history, "apikey", "transaction", "wallet")),
        *((name, "user", "owner@secret") for name in ("file", "apikey", "securityevent", "workspace")),
    ]
    for name, permission, guess in guesses:
        [model] = [model for model in MODELS if model._meta.model_name == name]
        own, other = f"view_{name}", f"view_{permission}"
        guesser = staff(own, email=f"guesser-{name}-{permission}@example.org")
        reader = staff(own, other, email=f"reader-{name}-{permission}@example.org")

        assert finds(reader, model, guess), name
        assert not finds(guesser, model, guess), name


def finds(browser: Client, model: Any, words: str) -> bool:
    answer = browser.get(list_of(model), {"q": words})
    assert answer.status_code == 200
    return any(page_of(row) in answer.text for row in model.objects.all())


def test_a_form_finds_a_workspace_by_name_for_those_who_may_view_workspaces(
    everything: None, alice: Person
) -> None:
    page = list_of(UsageRollup)
    guesser = staff("view_usagerollup")
    reader = staff("view_usagerollup", "view_workspace", email="rob@example.com")

    refusal = unescape(guesser.get(page, {"workspace": "Nightingale"}).text)
    assert "There is no workspace 'Nightingale'." in refusal
    assert "<svg" in guesser.get(page, {"workspace": str(alice.workspace.id)}).text
    assert "<strong>Nightingale</strong>" in reader.get(page, {"workspace": "Nightingale"}).text


# --- what was done ----------------------------------------------------------------------------------


def test_recent_actions_leave_out_what_may_no_longer_be_viewed(alice: Person, everything: None) -> None:
    for name, is_listed in (("view_budget", True), ("view_price", False)):
        browser = staff(name, email=f"{name}@example.com")
        user = User.objects.get(email=f"{name}@example.com")
        plant_log(replace(alice, user=user), [Budget.objects.get()])
        assert (page_of(Budget.objects.get()) in browser.get("/admin/").text) is is_listed


def test_nobody_looks_outside_of_a_page(history: PlantedHistory) -> None:
    staff("view_conversation").get(page_of(history.conversation))

    assert link_to(history.conversation) == history.conversation.public_id

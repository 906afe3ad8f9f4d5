"""Signed URLs: each opens one file for a limited time."""

from uuid import uuid4

import pytest
from pytest_django import Settings

from media.models import asset_id
from media.signed_urls import MAX_LIFETIME_SECONDS, STABLE_SECONDS, media_url, target_of_token

WORKSPACE = uuid4()
DIGEST = "ab" * 32


def token(kind: str | None = None, now: float | None = None) -> str:
    return media_url(WORKSPACE, DIGEST, kind, now=now).removeprefix("/media/")


def test_a_url_opens_the_file_it_was_made_for() -> None:
    found = target_of_token(token())

    assert found is not None
    assert (found.asset_id, found.kind) == (asset_id(WORKSPACE, DIGEST), None)


def test_a_url_can_open_a_rendition() -> None:
    found = target_of_token(token("opus"))

    assert found is not None
    assert found.kind == "opus"
    assert token() != token("opus") != token("mp3")


def test_a_url_names_what_holds_the_file_it_shows() -> None:
    holder = uuid4()
    url = media_url(WORKSPACE, DIGEST, "opus", holder=holder)
    found = target_of_token(url.removeprefix("/media/"))

    assert found is not None
    assert (found.kind, found.holder) == ("opus", holder)


def test_a_url_stays_the_same_for_some_minutes() -> None:
    first = token(now=3 * STABLE_SECONDS)
    assert token(now=4 * STABLE_SECONDS - 1) == first
    assert token(now=4 * STABLE_SECONDS) != first


@pytest.mark.parametrize("made_at", [0, 1, STABLE_SECONDS - 1])
def test_a_url_lives_as_long_as_the_setting_says_or_some_minutes_more(
    made_at: int, settings: Settings
) -> None:
    settings.CHATAPI_MEDIA_URL_SECONDS = 600
    start = 1000 * STABLE_SECONDS + made_at
    made = token(now=start)
    assert target_of_token(made, now=start + 600)
    assert target_of_token(made, now=start + 600 + STABLE_SECONDS) is None


def test_no_setting_makes_a_url_live_longer_than_a_day(settings: Settings) -> None:
    settings.CHATAPI_MEDIA_URL_SECONDS = 10 * MAX_LIFETIME_SECONDS
    made = token(now=1_000_000)
    assert target_of_token(made, now=1_000_000 + MAX_LIFETIME_SECONDS) is None


def test_no_character_of_a_token_can_be_changed() -> None:
    made = token()
    for place, letter in enumerate(made):
        other = "0" if letter != "0" else "1"
        assert target_of_token(made[:place] + other + made[place + 1 :]) is None


@pytest.mark.parametrize("nonsense", ["", "x", "~", "a~b", "..~x", "é~é", "\udcff~x", "\0", "a" * 5000])
def test_a_foreign_token_opens_nothing(nonsense: str) -> None:
    assert target_of_token(nonsense) is None


def test_a_changed_secret_invalidates_all_urls(settings: Settings) -> None:
    made = token()
    settings.SECRET_KEY = "another"
    assert target_of_token(made) is None

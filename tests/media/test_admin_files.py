"""Assets, renditions and uploaded files in the admin: lists, details and permissions."""

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.models import Conversation
from media.admin import SHOWN_HOLDERS
from media.models import Asset, File, Rendition
from media.services import PICTURE_RENDITIONS, SOUND_RENDITIONS, SPEECH_RENDITIONS
from media.signed_urls import target_of_token
from tests.support.history_rows import NOON, conversation_of, finish_rendition, store_held_file
from tests.support.media_admin import staff, store_asset, superuser
from tests.support.people import Person

ASSETS, RENDITIONS, FILES = "/admin/media/asset/", "/admin/media/rendition/", "/admin/media/file/"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def reviewer(db: None) -> Client:
    return staff("view_asset", "view_rendition", "view_file", "view_conversation", "view_workspace")


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


@pytest.fixture
def conversation(alice: Person) -> Conversation:
    return conversation_of(alice, title="Holidays in Norway")


def file_of(person: Person, asset: Asset, name: str = "photo.png") -> File:
    return File.objects.create(
        workspace=person.workspace, user=person.user, asset=asset, filename=name, purpose="vision"
    )


def detail(row: Asset | Rendition | File) -> str:
    return f"/admin/media/{row._meta.model_name}/{row.pk}/change/"


def kinds_opened(page: str) -> list[str | None]:
    found = [target_of_token(token) for token in re.findall(r'(?:src|href)="/media/([^"]+)"', page)]
    assert all(found)
    return [one.kind for one in found if one]


# --- lists ------------------------------------------------------------------------------------------


def test_assets_are_listed(reviewer: Client, conversation: Conversation) -> None:
    asset = store_asset(conversation, b"picture", "image/png", *PICTURE_RENDITIONS)

    assert asset.sha256 in reviewer.get(ASSETS).text
    assert reviewer.get(detail(asset)).status_code == 200


@pytest.mark.parametrize("address", [ASSETS, RENDITIONS, FILES])
def test_a_list_costs_the_same_for_one_row_and_for_many_and_reads_no_content(
    address: str,
    reviewer: Client,
    alice: Person,
    conversation: Conversation,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(20):
        asset = store_asset(conversation, b"%d" % number, "image/png", *PICTURE_RENDITIONS, "text")
        Rendition.objects.filter(asset=asset).update(state="ready", media_type="image/webp")
        file_of(alice, asset)

    with django_assert_max_num_queries(9) as queries:
        page = reviewer.get(address)

    assert page.text.count("<tr><") >= 20
    assert not any('"content"' in query["sql"] for query in queries.captured_queries)


def test_the_list_of_assets_shows_available_thumbnails(reviewer: Client, conversation: Conversation) -> None:
    ready = store_held_file(conversation, b"1", "image/png", *PICTURE_RENDITIONS)
    finish_rendition(conversation, ready, "thumbnail", media_type="image/webp", size=5)
    store_held_file(conversation, b"2", "image/png", *PICTURE_RENDITIONS)

    page = reviewer.get(ASSETS).text

    assert kinds_opened(page) == ["thumbnail"]
    assert page.count("<tr><") >= 2


def test_lists_are_filtered_and_searched(
    reviewer: Client, alice: Person, charlie: Person, conversation: Conversation
) -> None:
    broken = store_asset(conversation, b"1", "image/png", "picture-768")
    whole = store_asset(conversation_of(charlie), b"2", "audio/wav", "opus")
    Rendition.objects.filter(asset=broken).update(state="failed")
    photo, tune = file_of(alice, broken, "photo.png"), file_of(charlie, whole, "tune.wav")
    File.objects.filter(id=tune.id).update(purpose="user_data")

    for address, query, found, other in (
        (ASSETS, {"rendition": "failed"}, broken, whole),
        (ASSETS, {"q": broken.sha256}, broken, whole),
        (ASSETS, {"q": "alice@"}, broken, whole),
        (RENDITIONS, {"state__exact": "failed"}, broken.renditions.get(), whole.renditions.get()),
        (RENDITIONS, {"kind": "picture"}, broken.renditions.get(), whole.renditions.get()),
        (FILES, {"purpose": "vision"}, photo, tune),
        (FILES, {"q": photo.public_id}, photo, tune),
        (FILES, {"q": "photo"}, photo, tune),
    ):
        page = reviewer.get(address, query).text
        assert str(found.pk) in page, (address, query)
        assert str(other.pk) not in page, (address, query)


# --- one file ---------------------------------------------------------------------------------------


def test_an_asset_shows_its_holders_and_its_renditions(
    reviewer: Client, alice: Person, conversation: Conversation
) -> None:
    asset = store_asset(conversation, b"sound", "audio/mpeg", *SOUND_RENDITIONS)
    file = file_of(alice, asset, f"tune {SCRIPT}.mp3")
    blob = store_held_file(conversation, b"sound", "audio/mpeg")
    finish_rendition(conversation, blob, "wav", media_type="audio/wav", size=2048)
    finish_rendition(conversation, blob, "transcript", state="failed", attempts=5, error=f"Cut off {SCRIPT}")

    page = reviewer.get(detail(asset)).text

    assert conversation.title in page
    assert detail(file) in page
    assert "2.0\xa0KB" in page
    assert "Cut off &lt;script&gt;" in page
    assert SCRIPT not in page
    assert kinds_opened(page) == ["wav", None]
    assert re.findall(r'field-state">\s*<p>(\w+)', page) == ["Failed", "Ready"]


def test_a_long_list_of_holders_is_cut_short(
    reviewer: Client, alice: Person, conversation: Conversation
) -> None:
    asset = store_asset(conversation, b"picture", "image/png")
    for number in range(100, 103 + SHOWN_HOLDERS):
        file_of(alice, asset, f"copy {number}")

    page = reviewer.get(detail(asset)).text

    shown = re.findall(r"copy (\d+)", page)
    assert shown == [f"{number}" for number in reversed(range(103, 103 + SHOWN_HOLDERS))]
    assert page.count("and others") == 1


def test_one_asset_costs_a_few_queries(
    reviewer: Client,
    alice: Person,
    conversation: Conversation,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    asset = store_asset(conversation, b"sound", "audio/wav", *SOUND_RENDITIONS, *SPEECH_RENDITIONS)
    for number in range(10):
        file_of(alice, asset, f"copy {number}")
        store_held_file(conversation_of(alice), b"sound", "audio/wav")

    with django_assert_max_num_queries(14) as queries:
        reviewer.get(detail(asset))

    assert not any('"metadata"' in query["sql"] for query in queries.captured_queries)


def test_a_file_is_shown_with_its_preview(
    reviewer: Client, alice: Person, conversation: Conversation
) -> None:
    blob = store_held_file(conversation, b"picture", "image/png", *PICTURE_RENDITIONS)
    finish_rendition(conversation, blob, "thumbnail", media_type="image/webp", size=5)
    asset = Asset.objects.get()

    page = reviewer.get(detail(file_of(alice, asset, SCRIPT))).text

    assert kinds_opened(page) == ["thumbnail", "thumbnail", None]
    assert detail(asset) in page
    assert SCRIPT not in page


def test_a_rendition_shows_its_text_but_not_its_peaks(reviewer: Client, conversation: Conversation) -> None:
    blob = store_held_file(conversation, b"sound", "audio/wav", "transcript", "peaks")
    finish_rendition(conversation, blob, "transcript", content={"text": f"Hello {SCRIPT}"})
    finish_rendition(conversation, blob, "peaks", content={"lowest": [-77], "highest": [5]})
    words, peaks = (Rendition.objects.get(kind=kind) for kind in ("transcript", "peaks"))

    assert "Hello &lt;script&gt;" in reviewer.get(detail(words)).text
    assert "lowest" not in reviewer.get(detail(peaks)).text


# --- permissions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("may", "seen"),
    [("view_asset", ASSETS), ("view_rendition", RENDITIONS), ("view_file", FILES)],
)
def test_each_page_requires_its_own_permission(
    may: str, seen: str, alice: Person, conversation: Conversation
) -> None:
    asset = store_asset(conversation, b"picture", "image/png", "thumbnail")
    rows: dict[str, Asset | Rendition | File] = {
        ASSETS: asset,
        RENDITIONS: asset.renditions.get(),
        FILES: file_of(alice, asset),
    }
    reader = staff(may)

    for address, row in rows.items():
        expected = 200 if address == seen else 403
        assert reader.get(address).status_code == expected
        assert reader.get(detail(row)).status_code == expected


def test_renditions_on_an_assets_page_need_their_own_permission(conversation: Conversation) -> None:
    asset = store_asset(conversation, b"sound", "audio/wav", "transcript")
    Rendition.objects.update(due_at=NOON)
    due = "Jan. 1, 2026, noon"

    assert due not in staff("view_asset").get(detail(asset)).text
    assert due in staff("view_asset", "view_rendition", email="rob@example.com").get(detail(asset)).text


def test_nobody_writes_rows_by_hand(operator: Client, alice: Person, conversation: Conversation) -> None:
    asset = store_asset(conversation, b"picture", "image/png", "thumbnail")
    for row in (asset, asset.renditions.get(), file_of(alice, asset)):
        assert operator.post(detail(row), {"media_type": "text/html", "state": "ready"}).status_code == 403
        assert operator.post(detail(row).replace("change", "delete"), {"post": "yes"}).status_code == 403
    for address in (ASSETS, RENDITIONS, FILES):
        assert operator.get(f"{address}add/").status_code == 403

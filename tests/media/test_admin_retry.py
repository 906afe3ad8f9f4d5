"""Retrying failed renditions in the admin: who may, and which renditions are retried with them."""

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from conversations.models import Conversation
from media.models import Rendition, rendition_id
from tests.support.history_rows import conversation_of
from tests.support.media_admin import staff, store_asset, superuser
from tests.support.people import Person

RENDITIONS = "/admin/media/rendition/"


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


@pytest.fixture
def conversation(alice: Person) -> Conversation:
    return conversation_of(alice)


def make_again(client: Client, *rows: Rendition) -> int:
    body = {"action": "make_again", "_selected_action": [str(row.pk) for row in rows]}
    return client.post(RENDITIONS, body).status_code


def failed_renditions(conversation: Conversation, *kinds: str) -> list[Rendition]:
    asset = store_asset(conversation, b"sound", "audio/wav", *kinds)
    Rendition.objects.filter(asset=asset).update(state="failed", error="Broken.", attempts=5)
    return list(Rendition.objects.filter(asset=asset).order_by("kind"))


def test_a_failed_rendition_is_pending_again_with_all_its_attempts(
    operator: Client,
    conversation: Conversation,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    mp3, opus = failed_renditions(conversation, "mp3", "opus")

    with django_capture_on_commit_callbacks() as notified:
        assert make_again(operator, mp3) == 302
    mp3.refresh_from_db()
    opus.refresh_from_db()

    assert (mp3.state, mp3.error, mp3.attempts) == ("pending", "", 0)
    assert (opus.state, opus.attempts) == ("failed", 5)
    assert len(notified) == 1


def test_a_failed_source_is_retried_too(
    operator: Client,
    conversation: Conversation,
) -> None:
    transcript, wav = failed_renditions(conversation, "transcript")

    make_again(operator, transcript)

    assert wav.kind == "wav"
    assert set(Rendition.objects.values_list("state", flat=True)) == {"pending"}


@pytest.mark.parametrize("state", ["ready", "pending"])
def test_a_rendition_that_did_not_fail_is_left_alone(
    state: str, operator: Client, conversation: Conversation
) -> None:
    transcript, wav = failed_renditions(conversation, "transcript")
    Rendition.objects.filter(id=transcript.id).update(state=state, attempts=1)

    make_again(operator, transcript)

    assert list(Rendition.objects.order_by("kind").values_list("state", flat=True)) == [state, "failed"]
    assert wav.id == rendition_id(wav.asset_id, "wav")


@pytest.mark.parametrize(("may", "count"), [((), 0), (("change_rendition",), 1)])
def test_retrying_needs_the_change_permission(
    may: tuple[str, ...], count: int, conversation: Conversation
) -> None:
    [mp3] = failed_renditions(conversation, "mp3")
    reader = staff("view_rendition", *may)

    make_again(reader, mp3)

    assert Rendition.objects.filter(state="pending").count() == count
    assert ("Make again" in reader.get(RENDITIONS).text) == bool(count)

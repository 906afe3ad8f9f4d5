"""A row of everything that the admin site shows, each with words of its own to look for on the pages."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils import timezone

from accounts.models import EndUserToken, Invitation, SecurityEvent, User
from accounts.services import get_or_create_user
from billing import ledger
from billing.models import Alert, Budget, Wallet
from conversations.models import Completion, Conversation, Message
from core.ids import format_user_id
from engines.messages import AudioPart, ImagePart
from media.models import Asset, File, asset_id
from tests.support.admin_rows import create_billing_rows, create_request_records
from tests.support.billed_months import USD
from tests.support.history_rows import (
    add_message,
    completion_of,
    conversation_of,
    finish_rendition,
    store_held_file,
)
from tests.support.people import Person

WORDS: dict[str, set[str]] = {
    "owner@secret.example": {"view_user"},
    "Nightingale": {"view_workspace"},
    "Parrot's key": {"view_apikey"},
    "guest@secret.example": {"view_invitation"},
    "203.0.113.77": {"view_securityevent"},
    "Night watch": {"view_group"},
    "black-spot": {"view_requestrecord"},
    "1888": {"view_requestcount"},
    "Where the treasure lies": {"view_conversation"},
    "Dig under the oak": {"view_message"},
    "a-parameter-of-the-call": {"view_completion"},
    '"/media/': {"view_asset"},
    "map-of-the-island.png": {"view_file"},
    "Words in the picture": {"view_asset", "view_rendition"},
    "Words that were said": {"view_asset", "view_rendition"},
    "77.123456": {"view_wallet"},
    "55.654321": {"view_budget"},
    "Invoice 7": {"view_transaction", "view_statement"},
    "Mutiny in the treasury": {"view_alert"},
}
"""What somebody wrote, or what is worth as much, by the permissions that show it alone."""


@dataclass(frozen=True)
class PlantedHistory:
    conversation: Conversation
    message: Message
    completion: Completion
    asset: Asset
    file: File


def plant_history(who: Person) -> PlantedHistory:
    """Create a conversation that begins with a picture and a sound, and was answered."""
    conversation = conversation_of(who, title="Where the treasure lies", user=who.user)
    picture = store_held_file(conversation, b"picture", "image/png", "thumbnail", "text")
    finish_rendition(conversation, picture, "thumbnail", media_type="image/webp", size=5)
    finish_rendition(conversation, picture, "text", content={"text": "Words in the picture"})
    sound = store_held_file(conversation, b"sound", "audio/mpeg", "transcript")
    finish_rendition(conversation, sound, "transcript", content={"text": "Words that were said"})
    parts = ("Dig under the oak", ImagePart(picture), AudioPart(sound, "mp3"))
    message = add_message(conversation, "user", *parts)
    completion = completion_of(who, message, request={"stop": ["a-parameter-of-the-call"]})
    add_message(conversation, "assistant", "Yes.", after=message, completion=completion, choice=0)
    asset = Asset.objects.get(id=asset_id(who.workspace.id, picture.sha256))
    name = "map-of-the-island.png"
    owners = {"workspace": who.workspace, "user": who.user}
    file = File.objects.create(**owners, asset=asset, filename=name, purpose="vision")
    return PlantedHistory(conversation, message, completion, asset, file)


def plant_accounts(who: Person) -> None:
    User.objects.filter(pk=who.user.pk).update(email="owner@secret.example")
    who.workspace.name = "Nightingale"
    who.workspace.save()
    tomorrow = timezone.now() + timedelta(days=1)
    key = who.workspace.api_keys.get()
    key.name = "Parrot's key"
    key.save()
    EndUserToken.objects.create(
        workspace=who.workspace, key=key, end_user="eve", digest="token", expires_at=tomorrow
    )
    guest = "guest@secret.example"
    Invitation.objects.create(email=guest, digest="guest", invited_by=who.user, expires_at=tomorrow)
    event = {"kind": SecurityEvent.Kind.SIGNED_IN, "address": "203.0.113.77"}
    SecurityEvent.objects.create(user=who.user, by=get_or_create_user("boss@secret.example"), **event)
    Group.objects.create(name="Night watch")
    create_request_records(who, client_request_id="black-spot")


def plant_books(who: Person) -> None:
    create_billing_rows(who)
    by = format_user_id(who.user.pk)
    ledger.top_up(who.workspace.id, USD, reason="Paid in doubloons", by=by)
    Wallet.objects.update(credit_limit=77_123_456_000)
    Budget.objects.update(limit=55_654_321_000, key_id=who.workspace.api_keys.get().pk)
    Alert.objects.update(text="Mutiny in the treasury")


def plant_log(who: Person, rows: Iterable[Model]) -> None:
    """Let somebody have changed each of these rows in the admin."""
    for row in rows:
        kind = ContentType.objects.get_for_model(row)
        LogEntry.objects.create(user=who.user, content_type=kind, object_id=row.pk, action_flag=CHANGE)

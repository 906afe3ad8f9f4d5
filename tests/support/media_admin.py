"""Signed-in admin clients, and the files they look at."""

from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from conversations.models import Conversation
from media.models import Asset, asset_id
from tests.support.history_rows import store_held_file


def staff(*permissions: str, email: str = "rita@example.com") -> Client:
    user = User.objects.create_user(email, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com", "a good password"))
    return client


def store_asset(conversation: Conversation, data: bytes, media_type: str, *kinds: str) -> Asset:
    blob = store_held_file(conversation, data, media_type, *kinds)
    return Asset.objects.get(id=asset_id(conversation.workspace_id, blob.sha256))

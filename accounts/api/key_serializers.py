"""API keys as OpenAI's administration API shows them, and what a new or changed one is to be."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.examples import (
    ADMIN_KEY_DELETED,
    ADMIN_KEY_FIELDS,
    KEY_DELETED,
    KEY_FIELDS,
    KEY_ROLL,
    NEW_ADMIN_KEY,
    NEW_KEY,
    SHOWN_ADMIN_KEY,
    SHOWN_KEY,
)
from accounts.api.scopes_field import ScopesField
from accounts.api.secret_field import SecretField
from accounts.api.serializers import UserIdField
from accounts.keys.selectors import ACTIVE, INACTIVE, older_secrets_end, valid_secrets_of
from accounts.models import ApiKey, User
from accounts.permissions import Scope
from accounts.roles import Role
from core.http.serializers import ConstantField, DeletedField, PublicIdField, TimestampField
from core.ids import KEY
from core.validation import exceptions
from core.validation.fields import IntegerField, StrictSerializer, StringField

NO_ROLE = "none"
"""The role that is shown of a user who left the workspace, or whose membership was ended."""
MAX_LIFETIME = timedelta(days=36_500)
_MAX_SECONDS = int(MAX_LIFETIME.total_seconds())
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, beyond which there is no time in Python."""
_MAX_LIMIT = 2**31 - 1


class KeyUserSerializer(serializers.Serializer[User]):
    """The user that a key acts for."""

    id = UserIdField(source="pk")
    object = ConstantField("organization.user")
    created_at = TimestampField(
        source="date_joined", help_text="When the user's account was made, in seconds since the epoch."
    )
    email = serializers.EmailField(help_text="The user's email address.")
    name = serializers.SerializerMethodField(
        help_text="The user's name, or the email address if that is not known."
    )
    role = serializers.SerializerMethodField(help_text=f"In the workspace; `{NO_ROLE}` of who left it.")

    def get_name(self, user: User) -> str:
        return user.get_full_name() or user.email

    @extend_schema_field(serializers.ChoiceField([*Role.values, NO_ROLE]))
    def get_role(self, user: User) -> str:
        role: str | None = self.context["owner_role"]
        return role or NO_ROLE


class KeyOwnerSerializer(serializers.Serializer[Any]):
    """Whose key it is."""

    type = ConstantField("user")
    user = KeyUserSerializer(help_text="The user that the key acts for, with whose role.")


class KeySecretsSerializer(serializers.Serializer[Any]):
    """The secrets of a key, of which rolling adds one."""

    valid = serializers.IntegerField(help_text="How many work at present.")
    older_expire_at = TimestampField(
        allow_null=True, help_text="When the last of them but the newest ends, after the key was rolled."
    )


class RedactedKeySerializer(serializers.Serializer[ApiKey]):
    # of both kinds of keys in OpenAI's API

    id = PublicIdField(KEY)
    created_at = TimestampField(help_text="When it was made, in seconds since the epoch.")
    last_used_at = TimestampField(
        allow_null=True,
        help_text="When it was last used, in seconds since the epoch, true to the minute; null: never.",
    )
    expires_at = TimestampField(
        allow_null=True, help_text="When it stops working, in seconds since the epoch; null: never."
    )
    name = serializers.CharField(help_text="What it is called; empty if it was given no name.")
    redacted_value = serializers.SerializerMethodField(help_text="What the newest secret begins with.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField([*Scope]),
        source="scope_list",
        help_text="What it may be used for, as far as its user's role allows.",
    )

    def get_redacted_value(self, key: ApiKey) -> str:
        return f"{key.prefix}..."


@extend_schema_serializer(examples=[SHOWN_KEY])
class ProjectKeySerializer(RedactedKeySerializer):
    """An API key of a workspace. Its secret is shown once, in the answer that made it."""

    object = ConstantField("organization.project.api_key")
    owner = serializers.SerializerMethodField(help_text="Whose key it is: who made it or rolled it last.")
    owner_project_access = serializers.SerializerMethodField(
        help_text="`inactive`: the key's user left or is deactivated, and the key does nothing."
    )
    requests_per_minute = serializers.IntegerField(
        allow_null=True,
        help_text="How many requests a minute it may send, beside the workspace's own limit. Null: no limit "
        "of its own.",
    )
    tokens_per_minute = serializers.IntegerField(
        allow_null=True,
        help_text="How many tokens a minute its completions may use, beside the workspace's own limit. "
        "Null: no limit of its own.",
    )
    concurrent_streams = serializers.IntegerField(
        allow_null=True,
        help_text="How many completions may be in progress at once, beside the workspace's own limit. Null: "
        "no limit of its own.",
    )
    revoked_at = TimestampField(
        allow_null=True, help_text="When it was revoked, in seconds since the epoch; null if it was not."
    )
    status = serializers.ChoiceField(
        ["active", "expired", "revoked"],
        source="state",
        help_text="Whether it works: `active`, or `expired` or `revoked` for good.",
    )
    secrets = serializers.SerializerMethodField(help_text="How many secrets it has, after it was rolled.")

    @extend_schema_field(KeyOwnerSerializer)
    def get_owner(self, key: Any) -> dict[str, Any]:
        show = KeyUserSerializer(context={"owner_role": key.owner_role})
        return {"type": "user", "user": show.to_representation(key.user)}

    @extend_schema_field(serializers.ChoiceField([ACTIVE, INACTIVE]))
    def get_owner_project_access(self, key: Any) -> str:
        return ACTIVE if key.user.is_active and key.owner_role else INACTIVE

    @extend_schema_field(KeySecretsSerializer)
    def get_secrets(self, key: ApiKey) -> dict[str, Any]:
        end = older_secrets_end(key)
        return {
            "valid": len(valid_secrets_of(key)),
            "older_expire_at": None if end is None else int(end.timestamp()),
        }


@extend_schema_serializer(examples=[NEW_KEY])
class NewProjectKeySerializer(ProjectKeySerializer):
    """An API key with its new secret."""

    value = SecretField("The secret. It is not shown again.")


class AdminKeyOwnerSerializer(KeyUserSerializer):
    """The user that a key acts for."""

    type = ConstantField("user")


@extend_schema_serializer(examples=[SHOWN_ADMIN_KEY])
class AdminKeySerializer(RedactedKeySerializer):
    """An API key with the scope `members`, which can manage the workspace."""

    object = ConstantField("organization.admin_api_key")
    owner = serializers.SerializerMethodField(help_text="Whose key it is: who made it or rolled it last.")

    @extend_schema_field(AdminKeyOwnerSerializer)
    def get_owner(self, key: Any) -> dict[str, Any]:
        show = AdminKeyOwnerSerializer(context={"owner_role": key.owner_role})
        return show.to_representation(key.user)


@extend_schema_serializer(examples=[NEW_ADMIN_KEY])
class NewAdminKeySerializer(AdminKeySerializer):
    """An API key that manages the workspace, with its new secret."""

    value = SecretField("The secret. It is not shown again.")


@extend_schema_serializer(examples=[KEY_DELETED])
class ProjectKeyDeletedSerializer(serializers.Serializer[ApiKey]):
    """An API key that was revoked."""

    id = PublicIdField(KEY)
    object = ConstantField("organization.project.api_key.deleted")
    deleted = DeletedField()


@extend_schema_serializer(examples=[ADMIN_KEY_DELETED])
class AdminKeyDeletedSerializer(serializers.Serializer[ApiKey]):
    """An API key that was revoked."""

    id = PublicIdField(KEY)
    object = ConstantField("organization.admin_api_key.deleted")
    deleted = DeletedField()


# --- bodies -------------------------------------------------------------------------------------


def _limit(what: str) -> IntegerField:
    text = f"{what}, beside the workspace's own limit. Null or 0: no limit of its own."
    return IntegerField(min_value=0, max_value=_MAX_LIMIT, required=False, allow_null=True, help_text=text)


class _KeyBody(StrictSerializer):
    keeps_null = True

    expires_in_seconds = IntegerField(
        min_value=60,
        max_value=_MAX_SECONDS,
        required=False,
        help_text="How long it works from now on. Send this or `expires_at`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return `expires_at` as a time, whichever of the two the client sent."""
        seconds = attrs.pop("expires_in_seconds", None)
        at = attrs.get("expires_at")
        if seconds is not None:
            if "expires_at" in attrs:
                reason = "it contradicts 'expires_at'; send one of the two"
                raise exceptions.wrong_value(reason).at("expires_in_seconds")
            attrs["expires_at"] = timezone.now() + timedelta(seconds=seconds)
        elif at is not None:
            attrs["expires_at"] = _future_time(at)
        return attrs


def _future_time(second: int) -> datetime:
    at = datetime.fromtimestamp(second, tz=UTC)
    now = timezone.now()
    if at <= now:
        raise exceptions.wrong_value("it is in the past").at("expires_at")
    if at > now + MAX_LIFETIME:
        raise exceptions.wrong_value("it is more than a hundred years ahead; null is never").at("expires_at")
    return at


@extend_schema_serializer(examples=[KEY_FIELDS])
class ProjectKeyFieldsSerializer(_KeyBody):
    """What an API key is to be, or what is to change of it."""

    name = StringField(max_length=100, required=False, help_text="What it is called, for people.")
    scopes = ScopesField(help_text="What the key may be used for.")
    expires_at = IntegerField(
        min_value=0,
        max_value=_LAST_SECOND,
        required=False,
        allow_null=True,
        help_text="When it stops working, in seconds since the epoch; null: never. Send this or "
        "`expires_in_seconds`.",
    )
    requests_per_minute = _limit("How many requests a minute it may send")
    tokens_per_minute = _limit("How many tokens a minute its completions may use")
    concurrent_streams = _limit("How many completions may be in progress at once")


@extend_schema_serializer(examples=[ADMIN_KEY_FIELDS])
class AdminKeyFieldsSerializer(_KeyBody):
    """What an API key that manages the workspace is to be."""

    name = StringField(max_length=100, help_text="What it is called, for people.")
    scopes = ScopesField(help_text="Beside `members`, which it has in any case.")


@extend_schema_serializer(examples=[KEY_ROLL])
class KeyRollSerializer(StrictSerializer):
    """How a key is rolled."""

    overlap_seconds = IntegerField(
        min_value=0,
        max_value=7 * 86_400,
        required=False,
        help_text="How long the secrets before the new one still work; an hour if left out.",
    )

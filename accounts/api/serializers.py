"""The signed-in user, or whom a token is for, as the API shows them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.examples import ACCOUNT_DELETED, SHOWN_END_USER, SHOWN_ME
from accounts.api.token_serializers import SpentField
from accounts.models import ApiKey, EndUserToken, Membership, User
from accounts.permissions import TOKEN_SCOPES, Permission, Scope
from accounts.principal import Principal
from accounts.roles import Role
from accounts.sign_in.mfa_adapter import may_be_staff
from core.http.serializers import ConstantField, DeletedField, PublicIdField, TimestampField, UsdStringField
from core.ids import END_USER_TOKEN, KEY, PROJECT, USER, format_user_id

ADMIN_SITE = "admin_site"
"""What the admin site's staff may do beside the permissions of their role: use it."""


class UserIdField(serializers.CharField):
    """A user's id as clients see it; takes the number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"help_text": f"The user's id: `{USER}` and a number.", **kwargs})

    def to_representation(self, value: int) -> str:  # type: ignore[override]
        return format_user_id(value)


class MembershipSerializer(serializers.Serializer[Membership]):
    """A workspace that the user is a member of."""

    # the context may hold `current`, the id of the workspace that the caller acts in

    id = PublicIdField(PROJECT, source="workspace_id")
    object = ConstantField("workspace")
    name = serializers.CharField(source="workspace.name", help_text="The workspace's name.")
    role = serializers.ChoiceField(
        Role.values,
        help_text="The user's role in it, which says what they may do: `owner`, `admin`, `member` or "
        "`reviewer`.",
    )
    personal = serializers.SerializerMethodField(help_text="Whether it is the user's own.")
    current = serializers.SerializerMethodField(help_text="Whether the caller acts in it.")

    def get_personal(self, membership: Membership) -> bool:
        return membership.workspace.personal_of_id == membership.user_id

    def get_current(self, membership: Membership) -> bool:
        return membership.workspace_id == self.context.get("current")


class KeySerializer(serializers.Serializer[ApiKey]):
    """The API key that the request came with, without its secret."""

    id = PublicIdField(KEY)
    prefix = serializers.CharField(
        help_text="What its newest secret begins with, by which people tell keys apart."
    )
    name = serializers.CharField(help_text="What the key is called; empty if it was given no name.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField([*Scope]),
        source="scope_list",
        help_text="What the key may be used for.",
    )
    expires_at = TimestampField(
        allow_null=True, help_text="When it stops working, in seconds since the epoch; null: never."
    )


class ExportedKeySerializer(KeySerializer):
    project_id = PublicIdField(PROJECT, source="workspace_id")
    created_at = TimestampField()
    last_used_at = TimestampField(allow_null=True)
    revoked_at = TimestampField(allow_null=True)


class AuthenticationSerializer(serializers.Serializer[Any]):
    """How the request was authenticated."""

    method = serializers.ChoiceField(
        ["api_key", "session"],
        help_text="`api_key`, or `session` for a browser's cookie and an app's `X-Session-Token`.",
    )
    key = KeySerializer(allow_null=True, help_text="The API key; null in a session.")


class AccountSerializer(serializers.Serializer[User]):
    id = UserIdField(source="pk", read_only=True)
    object = ConstantField("user")
    email = serializers.EmailField(help_text="The address with which the user signs in.")
    first_name = serializers.CharField(help_text="The first name; empty if it is not known.")
    last_name = serializers.CharField(help_text="The last name; empty if it is not known.")
    created_at = TimestampField(
        source="date_joined", help_text="When the account was made, in seconds since the epoch."
    )
    is_staff = serializers.BooleanField(help_text="Whether the user may be let into the admin site.")


@extend_schema_serializer(examples=[SHOWN_ME])
class MeSerializer(AccountSerializer):
    """The user that the request acts for."""

    # the context holds `memberships`, `principal`, its `key`, `csrf_token`, and the `current` workspace's id

    workspaces = serializers.SerializerMethodField(
        help_text="Where the user is a member; with an API key, only the key's own workspace."
    )
    permissions = serializers.SerializerMethodField(
        help_text="What the caller may do in the current workspace. Build menus by it."
    )
    authentication = serializers.SerializerMethodField(help_text="How this request was authenticated.")
    csrf_token = serializers.SerializerMethodField(
        help_text="What to send as `X-CSRFToken` with every request that is not `GET`. Null unless the "
        "session came by a cookie."
    )

    @extend_schema_field(MembershipSerializer(many=True))
    def get_workspaces(self, user: User) -> Any:
        return MembershipSerializer(self.context["memberships"], many=True, context=self.context).data

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField([*Permission, ADMIN_SITE])))
    def get_permissions(self, user: User) -> list[str]:
        who: Principal = self.context["principal"]
        by_site = [ADMIN_SITE] if who.key_id is None and may_be_staff(user) else []
        return [*(permission for permission in Permission if who.may(permission)), *by_site]

    @extend_schema_field(AuthenticationSerializer)
    def get_authentication(self, user: User) -> Any:
        key = self.context["key"]
        return AuthenticationSerializer({"method": "api_key" if key else "session", "key": key}).data

    def get_csrf_token(self, user: User) -> str | None:
        token: str | None = self.context["csrf_token"]
        return token


class TokenAuthenticationSerializer(serializers.Serializer[EndUserToken]):
    """The end-user token that the request came with."""

    method = ConstantField("end_user_token")
    id = PublicIdField(END_USER_TOKEN)
    scopes = serializers.ListField(
        child=serializers.ChoiceField([*TOKEN_SCOPES]),
        source="scope_list",
        help_text="What the token may be used for, as far as its key still may.",
    )
    expires_at = TimestampField(help_text="When it stops working, in seconds since the epoch.")
    spending_limit_usd = UsdStringField(
        source="spending_limit",
        allow_null=True,
        help_text="What its calls may cost in all, a decimal number of USD. Null: no limit beside the key's.",
    )
    spent_usd = SpentField()


@extend_schema_serializer(examples=[SHOWN_END_USER])
class EndUserMeSerializer(serializers.Serializer[EndUserToken]):
    """The end user that an end-user token acts for."""

    # the context holds the `principal`, and `spent`

    id = serializers.CharField(
        source="end_user", help_text="What your server calls its end user, the `user` of the token."
    )
    object = ConstantField("end_user")
    permissions = serializers.SerializerMethodField(help_text="What the token may do.")
    authentication = TokenAuthenticationSerializer(
        source="*", help_text="The token that this request came with."
    )

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField([*Permission])))
    def get_permissions(self, token: EndUserToken) -> list[str]:
        who: Principal = self.context["principal"]
        return [permission for permission in Permission if who.may(permission)]


class AccountDeletionSerializer(serializers.Serializer[Any]):
    """The confirmation that an account is to be deleted."""

    confirm = serializers.CharField(help_text="The user's own e-mail address.")


@extend_schema_serializer(examples=[ACCOUNT_DELETED])
class AccountDeletedSerializer(serializers.Serializer[Any]):
    """An account that was deleted."""

    id = UserIdField(source="pk", read_only=True)
    object = ConstantField("user.deleted")
    deleted = DeletedField()

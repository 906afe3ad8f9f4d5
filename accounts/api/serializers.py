"""The signed-in user, or whom a token is for, as the API shows them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.token_serializers import SpentField
from accounts.models import ApiKey, EndUserToken, Membership, User
from accounts.permissions import TOKEN_SCOPES, Permission, Scope
from accounts.principal import Principal
from accounts.roles import Role
from accounts.sign_in.mfa_adapter import may_be_staff
from core.http.serializers import ConstantField, DeletedField, PublicIdField, TimestampField, UsdStringField
from core.ids import END_USER_TOKEN, KEY, PROJECT, format_user_id

ADMIN_SITE = "admin_site"
"""What the admin site's staff may do beside the permissions of their role: use it."""


class UserIdField(serializers.CharField):
    """A user's id as clients see it; takes the number."""

    def to_representation(self, value: int) -> str:  # type: ignore[override]
        return format_user_id(value)


class MembershipSerializer(serializers.Serializer[Membership]):
    # the context may hold `current`, the id of the workspace that the caller acts in

    id = PublicIdField(PROJECT, source="workspace_id")
    object = ConstantField("workspace")
    name = serializers.CharField(source="workspace.name")
    role = serializers.ChoiceField(Role.values)
    personal = serializers.SerializerMethodField(help_text="Whether it is the user's own.")
    current = serializers.SerializerMethodField(help_text="Whether the caller acts in it.")

    def get_personal(self, membership: Membership) -> bool:
        return membership.workspace.personal_of_id == membership.user_id

    def get_current(self, membership: Membership) -> bool:
        return membership.workspace_id == self.context.get("current")


class KeySerializer(serializers.Serializer[ApiKey]):
    id = PublicIdField(KEY)
    prefix = serializers.CharField(help_text="What the key begins with.")
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField([*Scope]), source="scope_list")
    expires_at = TimestampField(allow_null=True)


class ExportedKeySerializer(KeySerializer):
    project_id = PublicIdField(PROJECT, source="workspace_id")
    created_at = TimestampField()
    last_used_at = TimestampField(allow_null=True)
    revoked_at = TimestampField(allow_null=True)


class AuthenticationSerializer(serializers.Serializer[Any]):
    method = serializers.ChoiceField(["api_key", "session"])
    key = KeySerializer(allow_null=True, help_text="The API key; null in a session.")


class AccountSerializer(serializers.Serializer[User]):
    id = UserIdField(source="pk", read_only=True)
    object = ConstantField("user")
    email = serializers.EmailField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    created_at = TimestampField(source="date_joined")
    is_staff = serializers.BooleanField()


class MeSerializer(AccountSerializer):
    # the context holds `memberships`, `principal`, its `key`, `csrf_token`, and the `current` workspace's id

    workspaces = serializers.SerializerMethodField()
    permissions = serializers.SerializerMethodField(help_text="What the caller may do here.")
    authentication = serializers.SerializerMethodField()
    csrf_token = serializers.SerializerMethodField(
        help_text="What to send as `X-CSRFToken` with whatever changes anything; of sessions by cookie."
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
    method = ConstantField("end_user_token")
    id = PublicIdField(END_USER_TOKEN)
    scopes = serializers.ListField(child=serializers.ChoiceField([*TOKEN_SCOPES]), source="scope_list")
    expires_at = TimestampField()
    spending_limit_usd = UsdStringField(source="spending_limit", allow_null=True)
    spent_usd = SpentField()


class EndUserMeSerializer(serializers.Serializer[EndUserToken]):
    # the context holds the `principal`, and `spent`

    id = serializers.CharField(source="end_user", help_text="What the server calls its end user.")
    object = ConstantField("end_user")
    permissions = serializers.SerializerMethodField(help_text="What the token may do.")
    authentication = TokenAuthenticationSerializer(source="*")

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField([*Permission])))
    def get_permissions(self, token: EndUserToken) -> list[str]:
        who: Principal = self.context["principal"]
        return [permission for permission in Permission if who.may(permission)]


class AccountDeletionSerializer(serializers.Serializer[Any]):
    confirm = serializers.CharField(help_text="The user's own e-mail address.")


class AccountDeletedSerializer(serializers.Serializer[Any]):
    id = UserIdField(source="pk", read_only=True)
    object = ConstantField("user.deleted")
    deleted = DeletedField()

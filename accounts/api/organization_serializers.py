"""Workspaces, their members and invitations, in the shapes of OpenAI's administration API.

Its "organization" is the workspace that a request acts in; its "projects" are workspaces.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from accounts.api.secret_field import SecretField
from accounts.api.serializers import UserIdField
from accounts.models import Invitation, Membership
from accounts.roles import Role
from accounts.workspaces.invitations import state_of
from core.http.serializers import ConstantField, DeletedField, PublicIdField, TimestampField
from core.ids import INVITATION, PROJECT, format_id
from core.validation import exceptions
from core.validation.fields import EnumField, ListField, StrictSerializer, StringField

READER = "reader"
"""What OpenAI calls a role that is not the owner's; with us, a member."""


class RoleField(EnumField):
    """A role by our name or OpenAI's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__((*Role.values, READER), **kwargs)

    def run_validation(self, data: Any = empty) -> Role:
        name = super().run_validation(data)
        return Role.MEMBER if name == READER else Role(name)


# --- members --------------------------------------------------------------------------------------


class MemberSerializer(serializers.Serializer[Membership]):
    id = UserIdField(source="user_id", read_only=True)
    name = serializers.CharField(source="user.get_full_name")
    email = serializers.EmailField(source="user.email")
    role = serializers.ChoiceField(Role.values)
    added_at = TimestampField(source="created_at")


class OrganizationUserSerializer(MemberSerializer):
    object = ConstantField("organization.user")


class ProjectUserSerializer(MemberSerializer):
    object = ConstantField("organization.project.user")


class MemberDeletedSerializer(serializers.Serializer[Any]):
    id = UserIdField(source="user_id", read_only=True)
    deleted = DeletedField()


class OrganizationUserDeletedSerializer(MemberDeletedSerializer):
    object = ConstantField("organization.user.deleted")


class ProjectUserDeletedSerializer(MemberDeletedSerializer):
    object = ConstantField("organization.project.user.deleted")


class MemberChangesSerializer(StrictSerializer):
    role = RoleField()


# --- invitations ----------------------------------------------------------------------------------


class EmailField(StringField):
    """An address to which mail can be sent."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=254, **kwargs)

    def run_validation(self, data: Any = empty) -> str:
        text = super().run_validation(data)
        try:
            validate_email(text)
        except ValidationError:
            raise exceptions.wrong_value(f"{exceptions.quote_value(text)} is no email address") from None
        return text.lower()


class InvitedProjectSerializer(StrictSerializer):
    id = StringField(max_length=64)
    role = EnumField(("owner", "member"))


class NewInvitationSerializer(StrictSerializer):
    email = EmailField(required=False, help_text="Left out: whoever has the link may accept it, once.")
    role = RoleField()
    projects = ListField(
        child=InvitedProjectSerializer(),
        required=False,
        max_length=1,
        help_text="At most the workspace that the request acts in.",
    )


class InvitedToSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    role = serializers.ChoiceField(["owner", "member"])


class InvitationSerializer(serializers.Serializer[Invitation]):
    id = PublicIdField(INVITATION)
    object = ConstantField("organization.invite")
    email = serializers.CharField(help_text="Empty: whoever has the link may accept it.")
    role = serializers.SerializerMethodField(help_text="OpenAI's name; `workspace_role` is exact.")
    workspace_role = serializers.ChoiceField(Role.values, source="role")
    status = serializers.SerializerMethodField()
    projects = serializers.SerializerMethodField()
    created_at = TimestampField()
    expires_at = TimestampField()
    accepted_at = TimestampField(allow_null=True)
    revoked_at = TimestampField(allow_null=True)
    invited_by = UserIdField(source="invited_by_id", allow_null=True, read_only=True)

    @extend_schema_field(serializers.ChoiceField([Role.OWNER.value, READER]))
    def get_role(self, invitation: Invitation) -> str:
        return str(Role.OWNER) if invitation.role == Role.OWNER else READER

    @extend_schema_field(serializers.ChoiceField(["pending", "accepted", "expired"]))
    def get_status(self, invitation: Invitation) -> str:
        return {"open": "pending", "revoked": "expired"}.get(state := state_of(invitation), state)

    @extend_schema_field(InvitedToSerializer(many=True))
    def get_projects(self, invitation: Invitation) -> Any:
        if invitation.workspace_id is None:
            return []
        role = Role.OWNER if invitation.role == Role.OWNER else Role.MEMBER
        return [{"id": format_id(PROJECT, invitation.workspace_id), "role": str(role)}]


class CreatedInvitationSerializer(InvitationSerializer):
    link = SecretField("Shown in this answer alone.")


class InvitationDeletedSerializer(serializers.Serializer[Invitation]):
    id = PublicIdField(INVITATION)
    object = ConstantField("organization.invite.deleted")
    deleted = DeletedField()


class AcceptanceSerializer(StrictSerializer):
    token = StringField(max_length=200, help_text="What the link ends with.")


# --- workspaces -----------------------------------------------------------------------------------


class WorkspaceNameField(StringField):
    """A name on one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=200, **kwargs)

    def run_validation(self, data: Any = empty) -> str:
        text = super().run_validation(data).strip()
        if not text:
            raise exceptions.wrong_value("it is empty")
        if not all(c.isprintable() or c == "\u200d" for c in text):  # which joins emoji
            raise exceptions.wrong_value("it holds a character that cannot be seen, such as a line break")
        return text


class ProjectChangesSerializer(StrictSerializer):
    name = WorkspaceNameField()


class ProjectDeletionSerializer(StrictSerializer):
    confirm = StringField(max_length=1000, help_text="The workspace's name.")


class HandOverSerializer(StrictSerializer):
    user_id = StringField(max_length=64, help_text="The member who becomes the owner.")


class NoFieldsSerializer(StrictSerializer):
    pass


class ProjectSerializer(serializers.Serializer[Membership]):
    id = PublicIdField(PROJECT, source="workspace_id")
    object = ConstantField("organization.project")
    name = serializers.CharField(source="workspace.name")
    status = ConstantField("active")
    role = serializers.ChoiceField(Role.values, help_text="The caller's.")
    personal = serializers.SerializerMethodField(help_text="Whether it is the caller's own.")
    created_at = TimestampField(source="workspace.created_at")

    def get_personal(self, membership: Membership) -> bool:
        return membership.workspace.personal_of_id == membership.user_id


class ProjectDeletedSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = ConstantField("organization.project.deleted")
    deleted = DeletedField()

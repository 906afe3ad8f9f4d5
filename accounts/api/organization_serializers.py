"""Workspaces, their members and invitations, in the shapes of OpenAI's administration API.

Its "organization" is the workspace that a request acts in; its "projects" are workspaces.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.fields import empty

from accounts.api.examples import (
    ACCEPTANCE,
    CREATED_INVITATION,
    HAND_OVER,
    INVITATION_DELETED,
    MEMBER_CHANGES,
    NEW_INVITATION,
    ORGANIZATION_USER_DELETED,
    PROJECT_CHANGES,
    PROJECT_DELETED,
    PROJECT_USER_DELETED,
    SHOWN_INVITATION,
    SHOWN_ORGANIZATION_USER,
    SHOWN_PROJECT,
    SHOWN_PROJECT_USER,
)
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
    name = serializers.CharField(
        source="user.get_full_name", help_text="The member's name; empty if it is not known."
    )
    email = serializers.EmailField(
        source="user.email", help_text="The address with which the member signs in."
    )
    role = serializers.ChoiceField(
        Role.values, help_text="What the member may do: `owner`, `admin`, `member` or `reviewer`."
    )
    added_at = TimestampField(
        source="created_at", help_text="When they became a member, in seconds since the epoch."
    )


@extend_schema_serializer(examples=[SHOWN_ORGANIZATION_USER])
class OrganizationUserSerializer(MemberSerializer):
    """A member of the workspace that the request acts in."""

    object = ConstantField("organization.user")


@extend_schema_serializer(examples=[SHOWN_PROJECT_USER])
class ProjectUserSerializer(MemberSerializer):
    """A member of the workspace that the address names."""

    object = ConstantField("organization.project.user")


class MemberDeletedSerializer(serializers.Serializer[Any]):
    id = UserIdField(source="user_id", read_only=True)
    deleted = DeletedField()


@extend_schema_serializer(examples=[ORGANIZATION_USER_DELETED])
class OrganizationUserDeletedSerializer(MemberDeletedSerializer):
    """A member who was removed."""

    object = ConstantField("organization.user.deleted")


@extend_schema_serializer(examples=[PROJECT_USER_DELETED])
class ProjectUserDeletedSerializer(MemberDeletedSerializer):
    """A member who was removed, or who left."""

    object = ConstantField("organization.project.user.deleted")


@extend_schema_serializer(examples=[MEMBER_CHANGES])
class MemberChangesSerializer(StrictSerializer):
    """A member's new role."""

    role = RoleField(help_text="The new role. OpenAI's `reader` is a `member`.")


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
    """The workspace that somebody is invited into."""

    id = StringField(max_length=64, help_text="The workspace's id: `proj_…`.")
    role = EnumField(
        ("owner", "member"),
        help_text="`owner`, or `member` for any other role; it agrees with the invitation's `role`.",
    )


@extend_schema_serializer(examples=[NEW_INVITATION])
class NewInvitationSerializer(StrictSerializer):
    """Whom to invite, and as what."""

    email = EmailField(required=False, help_text="Left out: whoever has the link may accept it, once.")
    role = RoleField(help_text="What the person will be. OpenAI's `reader` is a `member`.")
    projects = ListField(
        child=InvitedProjectSerializer(),
        required=False,
        max_length=1,
        help_text="At most the workspace that the request acts in.",
    )


class InvitedToSerializer(serializers.Serializer[Any]):
    """The workspace that somebody is invited into."""

    id = serializers.CharField(help_text="The workspace's id: `proj_…`.")
    role = serializers.ChoiceField(
        ["owner", "member"], help_text="`owner`, or `member` for any other role; `workspace_role` is exact."
    )


@extend_schema_serializer(examples=[SHOWN_INVITATION])
class InvitationSerializer(serializers.Serializer[Invitation]):
    """An invitation into a workspace. It works once, until it expires or is revoked."""

    id = PublicIdField(INVITATION)
    object = ConstantField("organization.invite")
    email = serializers.CharField(help_text="Empty: whoever has the link may accept it.")
    role = serializers.SerializerMethodField(help_text="OpenAI's name; `workspace_role` is exact.")
    workspace_role = serializers.ChoiceField(
        Role.values, source="role", help_text="What the person will be, by our name."
    )
    status = serializers.SerializerMethodField(
        help_text="`pending`, `accepted`, or `expired`, which a revoked one is, too."
    )
    projects = serializers.SerializerMethodField(help_text="The workspace that it is into.")
    created_at = TimestampField(help_text="When it was made, in seconds since the epoch.")
    expires_at = TimestampField(help_text="Until when it can be accepted, in seconds since the epoch.")
    accepted_at = TimestampField(
        allow_null=True, help_text="When it was accepted, in seconds since the epoch; null if it was not."
    )
    revoked_at = TimestampField(
        allow_null=True, help_text="When it was revoked, in seconds since the epoch; null if it was not."
    )
    invited_by = UserIdField(
        source="invited_by_id",
        allow_null=True,
        read_only=True,
        help_text="Who made it, `user-…`; null if it was an operator, or is not known any more.",
    )

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


@extend_schema_serializer(examples=[CREATED_INVITATION])
class CreatedInvitationSerializer(InvitationSerializer):
    """A new invitation, with its link."""

    link = SecretField("Shown in this answer alone.")


@extend_schema_serializer(examples=[INVITATION_DELETED])
class InvitationDeletedSerializer(serializers.Serializer[Invitation]):
    """An invitation that was revoked."""

    id = PublicIdField(INVITATION)
    object = ConstantField("organization.invite.deleted")
    deleted = DeletedField()


@extend_schema_serializer(examples=[ACCEPTANCE])
class AcceptanceSerializer(StrictSerializer):
    """The token of an invitation that is accepted."""

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


@extend_schema_serializer(examples=[PROJECT_CHANGES])
class ProjectChangesSerializer(StrictSerializer):
    """A workspace's name."""

    name = WorkspaceNameField(help_text="The name, on one line.")


class ProjectDeletionSerializer(StrictSerializer):
    """The confirmation that a workspace is to be deleted."""

    confirm = StringField(max_length=1000, help_text="The workspace's name.")


@extend_schema_serializer(examples=[HAND_OVER])
class HandOverSerializer(StrictSerializer):
    """Who becomes the owner."""

    user_id = StringField(max_length=64, help_text="The member who becomes the owner: `user-…`.")


class NoFieldsSerializer(StrictSerializer):
    """An empty object."""


@extend_schema_serializer(examples=[SHOWN_PROJECT])
class ProjectSerializer(serializers.Serializer[Membership]):
    """A workspace, which OpenAI's administration API calls a project."""

    id = PublicIdField(PROJECT, source="workspace_id")
    object = ConstantField("organization.project")
    name = serializers.CharField(source="workspace.name", help_text="Its name.")
    status = ConstantField("active")
    role = serializers.ChoiceField(Role.values, help_text="The caller's role in it.")
    personal = serializers.SerializerMethodField(
        help_text="Whether it is the caller's own, which everybody has and nobody can leave."
    )
    created_at = TimestampField(
        source="workspace.created_at", help_text="When it was made, in seconds since the epoch."
    )

    def get_personal(self, membership: Membership) -> bool:
        return membership.workspace.personal_of_id == membership.user_id


@extend_schema_serializer(examples=[PROJECT_DELETED])
class ProjectDeletedSerializer(serializers.Serializer[Any]):
    """A workspace that was deleted."""

    id = serializers.CharField(help_text="Its id, as it was: `proj_…`.")
    object = ConstantField("organization.project.deleted")
    deleted = DeletedField()

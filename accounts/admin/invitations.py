"""The admin's invitations: made, mailed, shown once, revoked."""

from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from accounts.admin.rights import is_superuser
from accounts.models import Invitation, Membership, User, Workspace
from accounts.permissions import Permission, permissions_in_session
from accounts.principal import Principal
from accounts.roles import Role
from accounts.security_events.recording import origin_of
from accounts.sign_in.invitations import base_url_of, send
from accounts.workspaces import invitations
from core.admin import ModelAdmin
from core.exceptions import Conflict

FIELDS = ("email", "workspace", "role")


class InvitationForm(forms.ModelForm):  # type: ignore[type-arg]
    actor: User

    class Meta:
        model = Invitation
        fields = FIELDS
        help_texts: ClassVar = {
            "email": "Empty: whoever has the link may join the workspace.",
            "workspace": "Empty: the person only signs up, and has a workspace of their own.",
            "role": "In the workspace.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "role" in self.fields:
            self.fields["role"].required = False

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        email, workspace = values.get("email", "").lower(), values.get("workspace")
        values["email"] = email
        if "email" in self.errors or "workspace" in self.errors:
            return values
        if workspace is None:
            if not email:
                raise forms.ValidationError("Name the address, or the workspace that a link is for.")
            invitations.check_can_be_invited(email)
            return values
        self._check_may_invite(workspace, values.get("role"))
        try:
            invitations.check_can_join(workspace, email)
        except Conflict as refusal:
            raise forms.ValidationError(refusal.message) from None
        return values

    def _check_may_invite(self, workspace: Workspace, role: str | None) -> None:
        """Let superusers invite anywhere, and others as their own role in the workspace lets them."""
        if self.actor.is_superuser:
            return
        own = Membership.objects.filter(workspace=workspace, user=self.actor).first()
        needed = Permission.OWNERSHIP if role == Role.OWNER else Permission.MEMBERS_WRITE
        if own is None or needed not in permissions_in_session(Role(own.role)):
            raise forms.ValidationError(
                "Only superusers and those who manage its members invite people into a workspace, and only "
                "owners invite owners."
            )


def _invite(request: HttpRequest, wanted: Invitation) -> tuple[Invitation, str]:
    """Invite as an operator, or into a workspace as a member of it whose right is asked again."""
    user, workspace, role = cast("User", request.user), wanted.workspace, Role(wanted.role)
    if workspace is None or user.is_superuser:
        return invitations.invite(wanted.email, user, origin_of(request), workspace=workspace, role=role)
    by = Principal(workspace.pk, user.pk, permissions=frozenset(Permission))
    return invitations.invite_as_member(by, wanted.email, role, origin_of(request))


@admin.register(Invitation)
class InvitationAdmin(ModelAdmin):
    form = InvitationForm
    list_display = ("__str__", "workspace", "role", "state", "invited_by", "created_at", "expires_at")
    list_select_related = ("workspace", "invited_by")
    search_fields = ("email", "workspace__name")
    ordering = ("-id",)
    autocomplete_fields = ("workspace",)
    actions = ("revoke",)
    show_full_result_count = False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return not lookup.startswith("digest") and super().lookup_allowed(lookup, value, request)

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return obj is None and super().has_change_permission(request)  # the list's action alone

    def has_delete_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.actor = request.user
        return form

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.autocomplete_fields if is_superuser(request) else ()  # others choose among few

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer, and accept, only the person's own workspaces, unless that is a superuser."""
        if not is_superuser(request) and db_field.name == "workspace":
            kwargs["queryset"] = Workspace.objects.filter(memberships__user=request.user.pk)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> tuple[str, ...]:
        if obj is None:
            return FIELDS
        return (*FIELDS, "state", "invited_by", "accepted_by", "created_at", "expires_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Invitation | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    @admin.display(description="state")
    def state(self, invitation: Invitation) -> str:
        return invitations.state_of(invitation)

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        invitation, token = _invite(request, obj)
        obj.pk = invitation.pk
        obj.refresh_from_db()
        if obj.email:
            send(invitation, token, request)
        link = invitations.link(invitation, token, base_url_of(request))
        text = format_html("The link is <code>{}</code>. It works once, and cannot be shown again.", link)
        messages.warning(request, text)
        if settings.CHATAPI_SIGN_UP == "closed":
            messages.error(request, "Nobody can sign up now: CHATAPI_SIGN_UP is closed.")

    @admin.action(description="Revoke the selected invitations", permissions=["change"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[Invitation]) -> None:
        for invitation in chosen:
            invitations.revoke(invitation)
        messages.success(request, "Revoked.")

"""The admin's invitations: made, mailed, shown once, revoked."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import Invitation, User
from accounts.security_events.recording import origin_of
from accounts.sign_in import invitations
from core.admin import ModelAdmin


class InvitationForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Invitation
        fields = ("email",)

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].lower()
        invitations.check_can_be_invited(email)
        return email


@admin.register(Invitation)
class InvitationAdmin(ModelAdmin):
    form = InvitationForm
    list_display = ("email", "state", "invited_by", "created_at", "expires_at")
    list_select_related = ("invited_by",)
    search_fields = ("email",)
    ordering = ("-id",)
    actions = ("revoke",)
    show_full_result_count = False

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return obj is None and super().has_change_permission(request)  # the list's action alone

    def has_delete_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> tuple[str, ...]:
        return ("email",) if obj is None else ("email", "state", "invited_by", "created_at", "expires_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Invitation | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    @admin.display(description="state")
    def state(self, invitation: Invitation) -> str:
        if invitation.accepted_at:
            return "accepted"
        if invitation.revoked_at:
            return "revoked"
        return "expired" if invitation.expires_at <= timezone.now() else "open"

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        invitation, token = invitations.invite(obj.email, cast("User", request.user), origin_of(request))
        obj.pk = invitation.pk
        obj.refresh_from_db()
        link = invitations.link(token, f"{request.scheme}://{request.get_host()}")
        invitations.send(invitation, link)
        text = format_html("The link is <code>{}</code>. It was mailed, and cannot be shown again.", link)
        messages.warning(request, text)
        if settings.CHATAPI_SIGN_UP == "closed":
            messages.error(request, "Nobody can sign up now: CHATAPI_SIGN_UP is closed.")

    @admin.action(description="Revoke the selected invitations", permissions=["change"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[Invitation]) -> None:
        for invitation in chosen:
            invitations.revoke(invitation)
        messages.success(request, "Revoked.")

"""The admin's API keys."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin.rights import is_superuser
from accounts.models import LIMITS, ApiKey, User, Workspace
from accounts.security_events.recording import origin_of
from accounts.services import create_api_key, delete_api_key, revoke_api_key
from core.admin import ModelAdmin


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        workspace, user = values.get("workspace"), values.get("user")
        if workspace and user and not workspace.memberships.filter(user=user).exists():
            self.add_error("user", "This user is not a member of the workspace.")
        return values


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    form = ApiKeyForm
    list_display = ("prefix", "name", "workspace", "user", "state", "created_at", "expires_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "created_at")
    list_select_related = ("workspace", "user")
    search_fields = ("prefix", "name", "user__email", "workspace__name")
    ordering = ("-id",)
    autocomplete_fields = ("workspace", "user")
    readonly_fields = ("prefix", "created_at", "revoked_at")
    actions = ("revoke",)
    show_full_result_count = False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    @staticmethod
    def _may_touch(request: HttpRequest, key: ApiKey | None) -> bool:
        return key is None or is_superuser(request) or key.user_id == request.user.pk

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.autocomplete_fields if is_superuser(request) else ()  # others choose among few

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer, and accept, only what is the person's own, unless that is a superuser."""
        if not is_superuser(request):
            own: dict[str, QuerySet[Any]] = {
                "user": User.objects.filter(email=request.user.get_username()),
                "workspace": Workspace.objects.filter(memberships__user=request.user.pk),
            }
            kwargs["queryset"] = own[db_field.name]
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return not lookup.startswith("digest") and super().lookup_allowed(lookup, value, request)

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        editable = ("workspace", "user", "name", "expires_at")
        shown = editable if obj is None else ("prefix", *editable, "created_at", "revoked_at")
        limits = {"fields": LIMITS, "description": "Of this key, within its workspace's. Empty or 0: none."}
        return ((None, {"fields": shown}), ("Limits", limits))

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("workspace", "user") if obj else ()))

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "revoked"
        return "expired" if key.expires_at and key.expires_at <= timezone.now() else "valid"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        limits = {name: getattr(obj, name) for name in LIMITS}
        key, secret = create_api_key(
            obj.workspace,
            obj.user,
            name=obj.name,
            expires_at=obj.expires_at,
            origin=origin_of(request),
            **limits,
        )
        obj.pk = key.pk
        obj.refresh_from_db()
        text = format_html("The key is <code>{}</code>. Copy it now: it cannot be shown again.", secret)
        messages.warning(request, text)

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        delete_api_key(obj, origin=origin_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.select_related("user"):
            delete_api_key(key, origin=origin_of(request))

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        own = [key for key in keys if self._may_touch(request, key)]
        for key in own:
            revoke_api_key(key, origin=origin_of(request))
        if own:
            messages.success(request, f"Revoked: {', '.join(map(str, own))}")
        if len(own) < len(keys):
            messages.error(request, "Only a superuser revokes other people's keys.")

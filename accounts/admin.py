"""Users, workspaces and keys in the admin."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.db.models import Model, QuerySet, Sum
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.deletion import (
    delete_user,
    delete_workspace,
    has_contents,
    reasons_to_keep,
    user_counts,
    workspace_counts,
)
from accounts.models import LIMITS, ApiKey, Membership, User, Workspace
from accounts.services import create_api_key, revoke_api_key
from core.admin import link_to


class _LowerCaseEmail(forms.ModelForm):  # type: ignore[type-arg]
    def clean_email(self) -> str:
        email = User.objects.normalize_email(self.cleaned_data["email"]).lower()
        if User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("There is a user with this address already.")
        return email


class NewUserForm(_LowerCaseEmail, AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email",)


class UserForm(_LowerCaseEmail, UserChangeForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = "__all__"  # noqa: DJ007 (the admin's fieldsets choose)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    form = UserForm
    add_form = NewUserForm
    list_display = ("email", "first_name", "last_name", "is_staff", "is_active", "last_login")
    search_fields = ("email", "first_name", "last_name")
    ordering = ("email",)
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("first_name", "last_name")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "usable_password", "password1", "password2")}),
    )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        ids = [user.pk for user in objs]
        personal = list(Workspace.objects.filter(personal_of__in=ids))
        counts = user_counts(ids)
        lacking = _missing_permissions(request, {Workspace: len(personal), ApiKey: counts["API keys"]})
        kept = [why for workspace in personal if (why := _reason_kept(workspace))]
        return [link_to(row) for row in (*objs, *personal)], counts, lacking, kept

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        delete_user(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            delete_user(user)


def _reason_kept(workspace: Workspace) -> SafeString | None:
    """Return why a personal workspace, and so its user, stays; None if nothing keeps it."""
    things = reasons_to_keep(workspace)
    text = "{} has {}. Delete it first, or deactivate its user instead."
    return format_html(text, link_to(workspace), things) if things else None


def _missing_permissions(request: HttpRequest, counts: dict[type[Model], int]) -> set[str]:
    """Return what the request's user lacks the permission to delete, leaving out what there is none of."""
    return {
        str(model._meta.verbose_name)
        for model, count in counts.items()
        if count and not request.user.has_perm(f"accounts.{get_permission_codename('delete', model._meta)}")
    }


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    autocomplete_fields = ("user",)
    extra = 0


class ApiKeyInline(admin.TabularInline):  # type: ignore[type-arg]
    """Keys, read-only: a new key is created on its own page, which shows its secret once."""

    model = ApiKey
    fields = readonly_fields = ("prefix", "name", "user", "created_at", "expires_at", "revoked_at")
    extra = 0
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).select_related("user").order_by("-id")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Workspace)
class WorkspaceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "personal_of", "created_at")
    list_select_related = ("personal_of",)
    search_fields = ("name", "personal_of__email")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("name", "id", "personal_of", "media_quota", "media_used", "created_at")}),
        (
            "Limits",
            {
                "fields": LIMITS,
                "description": "Of all its keys and users together. Empty: as the server's settings say. "
                "0: none.",
            },
        ),
    )
    readonly_fields = ("id", "personal_of", "media_used", "created_at")
    inlines = (MembershipInline, ApiKeyInline)
    show_full_result_count = False

    @admin.display(description="media kept")
    def media_used(self, workspace: Workspace) -> str:
        used = workspace.assets.aggregate(used=Sum("size", default=0))["used"]
        quota = settings.CHATAPI_MEDIA_QUOTA_BYTES if workspace.media_quota is None else workspace.media_quota
        return f"{used} bytes ({filesizeformat(used)} of {filesizeformat(quota)})"

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        """Return counts: Django's own tree has a level per message. Only superusers may delete history."""
        ids = [workspace.pk for workspace in objs]
        counts = workspace_counts(ids)
        lacking = _missing_permissions(request, {ApiKey: counts["API keys"]})
        if has_contents(ids) and not getattr(request.user, "is_superuser", False):
            lacking.add("history")
        return [link_to(workspace) for workspace in objs], counts, lacking, []

    def delete_model(self, request: HttpRequest, obj: Workspace) -> None:
        delete_workspace(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        for workspace in queryset:
            delete_workspace(workspace)


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        workspace, user = values.get("workspace"), values.get("user")
        if workspace and user and not workspace.memberships.filter(user=user).exists():
            self.add_error("user", "This user is not a member of the workspace.")
        return values


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
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
            obj.workspace, obj.user, name=obj.name, expires_at=obj.expires_at, **limits
        )
        obj.pk = key.pk
        obj.refresh_from_db()
        text = format_html("The key is <code>{}</code>. Copy it now: it cannot be shown again.", secret)
        messages.warning(request, text)

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        for key in keys:
            revoke_api_key(key)
        messages.success(request, f"Revoked: {', '.join(map(str, keys))}")

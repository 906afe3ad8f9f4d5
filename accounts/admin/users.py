"""The admin's users and groups."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.rights import has_rights, is_superuser, missing_permissions
from accounts.deletion import delete_user, dependent_workspaces, reasons_to_keep, user_counts
from accounts.models import ApiKey, SecurityEvent, User, Workspace
from accounts.security_events.recording import Kind, origin_of, record
from accounts.sign_in.reset import verify_address
from accounts.workspaces.invitations import revoke_all_made_by
from core.admin import ModelAdmin, link_to, link_to_list
from core.admin_rights import may_view

RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


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
class UserAdmin(ModelAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    form = UserForm
    add_form = NewUserForm
    list_display = ("email", "first_name", "last_name", "is_staff", "is_active", "last_login")
    search_fields = ("email", "first_name", "last_name")
    ordering = ("email",)
    readonly_fields = ("last_login", "date_joined", "events")
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("first_name", "last_name")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "date_joined", "events")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "usable_password", "password1", "password2")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return self.readonly_fields if is_superuser(request) else (*self.readonly_fields, *RIGHTS)

    @admin.display(description="security events")
    def events(self, user: User) -> str:
        return link_to_list(SecurityEvent, f"user__id__exact={user.pk}", "What happened")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Leave out the links to the events and for a new password for those who may not follow them."""
        hidden = set() if may_view(SecurityEvent) else {"events"}
        if obj is not None and not self.has_change_permission(request, obj):
            hidden.add("password")
        return [
            (name, {**options, "fields": tuple(field for field in options["fields"] if field not in hidden)})
            for name, options in super().get_fieldsets(request, obj)
        ]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    @staticmethod
    def _may_touch(request: HttpRequest, user: User | None) -> bool:
        """Return whether this user may be edited, be given a password, or be deleted."""
        return user is None or is_superuser(request) or not has_rights(user)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        ids = [user.pk for user in objs]
        personal = list(Workspace.objects.filter(personal_of__in=ids))
        counts = user_counts(ids)
        lacking = missing_permissions(request, {Workspace: len(personal), ApiKey: counts["API keys"]})
        if not all(self._may_touch(request, user) for user in objs):
            lacking.add("user with rights")
        kept = [why for workspace in personal if (why := _reason_kept(workspace))]
        shared = [
            (user, one) for user in objs for one in dependent_workspaces(user) if not one.personal_of_id
        ]
        kept += [_would_be_left(workspace, user) for user, workspace in shared]
        return [link_to(row) for row in (*objs, *personal)], counts, lacking, kept

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save a user. One who is the only owner of a workspace may be deactivated: somebody may have to."""
        if change and not obj.is_active and form.initial.get("is_active"):
            for workspace in dependent_workspaces(obj).filter(personal_of=None):
                messages.warning(request, _would_be_left(workspace, obj))
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if _lost_rights(obj, form.initial):
                revoke_all_made_by(obj)
            if "email" in form.changed_data:
                verify_address(obj)
                if change:
                    record(Kind.EMAIL_CHANGED, user=obj, request=request, before=form.initial["email"])

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        """Let an operator set a password, and record it."""
        user = self.get_object(request, unquote(id))
        answer = super().user_change_password(request, id, form_url)
        if user is not None and User.objects.filter(pk=user.pk).exclude(password=user.password).exists():
            record(Kind.PASSWORD_CHANGED, user=user, request=request)
        return answer

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        delete_user(obj, origin=origin_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            delete_user(user, origin=origin_of(request))


def _lost_rights(user: User, before: dict[str, Any]) -> bool:
    """Tell whether a user was deactivated, or may invite as an operator no more."""
    return any(
        before.get(name) and not getattr(user, name) for name in ("is_active", "is_staff", "is_superuser")
    )


def _reason_kept(workspace: Workspace) -> SafeString | None:
    """Return why a personal workspace, and so its user, stays; None if nothing keeps it."""
    things = reasons_to_keep(workspace)
    text = "{} has {}. Delete it first, or deactivate its user instead."
    return format_html(text, link_to(workspace), things) if things else None


def _would_be_left(workspace: Workspace, user: User) -> SafeString:
    text = "{} is the only owner of {}. Make another member an owner, or delete the workspace."
    return format_html(text, user, link_to(workspace))


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(ModelAdmin, DjangoGroupAdmin):
    """Groups, which are rights: whoever could change one that they are in could do anything."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

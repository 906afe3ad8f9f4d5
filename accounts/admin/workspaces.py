"""The admin's workspaces, with their members and keys."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet, Sum
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from accounts.admin.rights import has_rights, is_superuser, missing_permissions
from accounts.deletion import delete_workspace, has_contents, workspace_counts
from accounts.models import LIMITS, ApiKey, Membership, User, Workspace
from core.admin import ModelAdmin, link_to


class MembershipForms(BaseInlineFormSet):  # type: ignore[type-arg]
    """The members of a workspace.

    In one that exists, nobody but a superuser joins, changes their own role, touches the membership of
    somebody else with rights, or takes a personal workspace from its owner: keys die with a membership.
    """

    actor: User

    def clean(self) -> None:
        super().clean()
        if self.actor.is_superuser or self.instance._state.adding:
            return
        leaving = self.deleted_forms
        for form in self.forms:
            is_leaving = form in leaving
            if not is_leaving and not form.has_changed():
                continue
            before = _user_before(form.instance)
            after = None if is_leaving else getattr(form, "cleaned_data", {}).get("user")
            if not is_leaving and self.actor in (before, after):
                form.add_error("user", "Only a superuser changes their own membership.")
            self._check_touched(before, after)

    def _check_touched(self, before: User | None, after: User | None) -> None:
        # of the whole set, since an error of a form to be deleted counts for nothing
        if before is not None and before == self.instance.personal_of:
            raise ValidationError("Only a superuser takes a personal workspace from its owner.")
        if any(user is not None and user != self.actor and has_rights(user) for user in (before, after)):
            raise ValidationError("Only a superuser changes memberships of users with rights.")


def _user_before(membership: Membership) -> User | None:
    before = Membership.objects.filter(pk=membership.pk).select_related("user").first()
    return before.user if before else None


def _others_touched(workspace_ids: Collection[UUID], actor_id: Any) -> QuerySet[User]:
    """Return who, besides the actor, loses a key or their personal workspace with these workspaces."""
    theirs = Q(api_keys__workspace__in=workspace_ids) | Q(personal_workspace__in=workspace_ids)
    return User.objects.filter(theirs).exclude(pk=actor_id).distinct()


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    formset = MembershipForms
    autocomplete_fields = ("user",)
    extra = 0

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.actor = request.user
        return formset


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
class WorkspaceAdmin(ModelAdmin):
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
        """Return counts: Django's own tree has a level per message.

        Only superusers may delete history, and keys and personal workspaces of others with rights.
        """
        ids = [workspace.pk for workspace in objs]
        counts = workspace_counts(ids)
        lacking = missing_permissions(request, {ApiKey: counts["API keys"]})
        if has_contents(ids) and not is_superuser(request):
            lacking.add("history")
        if not is_superuser(request) and any(map(has_rights, _others_touched(ids, request.user.pk))):
            lacking.add("user with rights")
        return [link_to(workspace) for workspace in objs], counts, lacking, []

    def delete_model(self, request: HttpRequest, obj: Workspace) -> None:
        delete_workspace(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        for workspace in queryset:
            delete_workspace(workspace)

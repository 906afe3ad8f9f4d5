"""The admin's workspaces, with their members, invitations and keys."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Sum
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from accounts.admin.panels import PanelAdmin
from accounts.admin.rights import has_rights, is_superuser, missing_permissions
from accounts.deletion import delete_workspace, has_contents, workspace_counts
from accounts.models import LIMITS, ApiKey, Membership, User, Workspace
from accounts.roles import Role
from accounts.security_events.recording import Kind, Origin, origin_of, record
from accounts.workspaces.authority import lock_workspace
from accounts.workspaces.invitations import open_invitations
from accounts.workspaces.memberships import note_change
from core.admin import link_to

SHOWN_KEYS = 20
_INVITATION_PERMISSIONS = ("accounts.view_invitation", "accounts.add_invitation")


class MembershipForms(BaseInlineFormSet):  # type: ignore[type-arg]
    """The members of a workspace.

    A shared one keeps an owner who can sign in. In one that exists, nobody but a superuser joins, changes
    their own role, touches the membership of somebody else with rights, or takes a personal workspace from
    its owner: keys die with a membership.
    """

    actor: User

    def clean(self) -> None:
        super().clean()
        self._check_rights()
        if self.instance._state.adding:
            return
        lock_workspace(self.instance.pk)  # others may change its members now
        if self.instance.personal_of_id is None:
            self._check_owner()

    def _check_owner(self) -> None:
        """Look who would own the workspace then."""
        owners = Membership.objects.filter(workspace=self.instance, role=Role.OWNER, user__is_active=True)
        owned_before = owners.exists()
        changed = [form for form in self.forms if form.has_changed() or form in self.deleted_forms]
        untouched = owners.exclude(pk__in=[form.instance.pk for form in changed if form.instance.pk])
        after = [form.cleaned_data for form in changed if form not in self.deleted_forms and form.is_valid()]
        is_owned = untouched.exists() or any(
            row.get("role") == Role.OWNER and row["user"].is_active for row in after if row.get("user")
        )
        if owned_before and not is_owned:
            raise ValidationError("The workspace would be left without an owner who can sign in.")

    def _check_rights(self) -> None:
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
    """The newest keys, read-only: a new key is created on its own page, which shows its secret once."""

    model = ApiKey
    template = "accounts/admin/newest_keys.html"
    fields = readonly_fields = ("prefix", "name", "user", "created_at", "expires_at", "revoked_at")
    extra = 0
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        newest = ApiKey.objects.filter(workspace=OuterRef("workspace")).order_by("-id").values("pk")
        keys = super().get_queryset(request).filter(pk__in=newest[:SHOWN_KEYS])
        return keys.select_related("user").order_by("-id")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Workspace)
class WorkspaceAdmin(PanelAdmin):
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
    readonly_fields = ("id", "personal_of", "media_used", "created_at", "open_invitations")
    inlines = (MembershipInline, ApiKeyInline)
    show_full_result_count = False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the open invitations, with a link to a new one, to who may see and make some."""
        fieldsets: Any = super().get_fieldsets(request, obj)
        if obj is None or not request.user.has_perms(_INVITATION_PERMISSIONS):
            return fieldsets
        return (*fieldsets, ("Invitations", {"fields": ("open_invitations",)}))

    @admin.display(description="open")
    def open_invitations(self, workspace: Workspace) -> str:
        page = reverse("admin:accounts_invitation_add")
        new = format_html('<a href="{}?workspace={}">Invite somebody</a>', page, workspace.pk)
        found = open_invitations().filter(workspace=workspace).order_by("-id")
        rows = ((link_to(one), one.role, f"{one.expires_at:%Y-%m-%d %H:%M} UTC") for one in found)
        shown = format_html_join("", "<li>{}, as {}, until {}</li>", rows)
        return format_html("<ul>{}</ul>{}", shown, new)

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

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            record(Kind.WORKSPACE_CREATED, request=request, workspace_id=obj.pk)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        if isinstance(formset, MembershipForms):
            _note_changes(formset, origin_of(request))

    def delete_model(self, request: HttpRequest, obj: Workspace) -> None:
        with transaction.atomic():
            record(Kind.WORKSPACE_DELETED, request=request, workspace_id=obj.pk)
            delete_workspace(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        for workspace in queryset:
            self.delete_model(request, workspace)


def _note_changes(formset: MembershipForms, origin: Origin) -> None:
    """Note who joined, who left and whose role was changed, as for the members' own changes."""
    joined, left = list(formset.new_objects), [(one, one.role) for one in formset.deleted_objects]
    for member, changed in formset.changed_objects:
        before = next(form for form in formset.forms if form.instance is member).initial
        if "user" in changed:
            former = Membership(workspace=formset.instance, user_id=before["user"])
            left.append((former, before["role"]))
            joined.append(member)
        else:
            note_change(member, before["role"], member.role, origin)
    for member, role in left:
        note_change(member, role, None, origin)
    for member in joined:
        note_change(member, None, member.role, origin)

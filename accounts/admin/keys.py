"""The admin's API keys: made, changed, rolled and revoked, with each secret shown once; and their tokens."""

from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from accounts.admin.action_page import (
    ActionAdmin,
    ActionResult,
    AdminAction,
    Values,
    action_page,
    post_data,
    row_for_action,
)
from accounts.admin.panels import PanelAdmin
from accounts.admin.rights import is_superuser
from accounts.keys.end_user_tokens import revoke_tokens, tokens_of
from accounts.keys.selectors import older_secrets_end, valid_secrets_of
from accounts.keys.services import (
    change_api_key,
    check_not_over,
    create_api_key,
    delete_api_key,
    revoke_api_key,
    roll_api_key,
)
from accounts.models import END_USER_LENGTH, LIMITS, ApiKey, User, Workspace
from accounts.permissions import Permission, Scope, format_scopes, permissions_in_session
from accounts.roles import Role
from accounts.security_events.recording import origin_of
from core.exceptions import ApiError, Conflict, NotFound

OVERLAPS = {"0": "at once", "3600": "in an hour", "86400": "in a day", "604800": "in a week"}
"""When the secrets before a new one end, by the seconds until then."""
USUAL_OVERLAP = "3600"
_PAGES = {
    "active": {"Roll": "roll", "Revoke": "revoke", "Revoke tokens": "revoke_tokens"},
    "expired": {"Revoke": "revoke"},
    "revoked": {},
}
"""The pages of a key by its state, by their links' labels."""


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key's user manages keys by their role, as over REST; a superuser makes one for any member.

    A key that is over stays as it is.
    """

    by_superuser = False
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in Scope], widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "scopes" in self.fields:  # not for who only views the key
            self.initial["scopes"] = self.instance.scope_list

    def clean_scopes(self) -> str:
        return format_scopes(self.cleaned_data["scopes"])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        is_new = self.instance._state.adding
        if not is_new and self.changed_data:
            try:
                check_not_over(self.instance)
            except Conflict as over:
                raise ValidationError(str(over)) from None
        named = values if is_new else {"workspace": self.instance.workspace, "user": self.instance.user}
        if (workspace := named.get("workspace")) and (user := named.get("user")):
            self._check_user(workspace, user, "user" if is_new else None)
        return values

    def _check_user(self, workspace: Workspace, user: User, field: str | None) -> None:
        role = workspace.memberships.filter(user=user).values_list("role", flat=True).first()
        if role is None and field:
            self.add_error(field, "This user is not a member of the workspace.")
        elif not self.by_superuser and (
            role is None or Permission.KEYS not in permissions_in_session(Role(role))
        ):
            self.add_error(field, "By their role in the workspace, this user may not manage its keys.")


class RollForm(forms.Form):
    overlap = forms.ChoiceField(
        label="Earlier secrets end", choices=list(OVERLAPS.items()), initial=USUAL_OVERLAP
    )


class RevokeTokensForm(forms.Form):
    end_user = forms.CharField(
        label="End user",
        max_length=END_USER_LENGTH,
        required=False,
        strip=False,
        help_text="Whose tokens are revoked. Empty: the tokens of all.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(PanelAdmin, ActionAdmin):
    form = ApiKeyForm
    list_display = (
        *("prefix", "name", "workspace", "user", "scopes", "state"),
        *("last_used_at", "created_at", "expires_at"),
    )
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "created_at")
    list_select_related = ("workspace", "user")
    search_fields = ("prefix", "name", "user__email", "workspace__name")
    ordering = ("-id",)
    autocomplete_fields = ("workspace", "user")
    readonly_fields = ("prefix", "state", "valid_secrets", "last_used_at", "created_at", "revoked_at")
    actions = ("revoke",)
    action_errors = (ApiError,)
    show_full_result_count = False

    # --- who may ----------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def may_act(self, request: HttpRequest, row: ApiKey | None = None) -> bool:
        return self.has_change_permission(request, row)

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

    # --- what is shown ----------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, *args, **kwargs)
        form.by_superuser = is_superuser(request)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        fields = ("workspace", "user", "name", "scopes", "expires_at")
        shown = fields if obj is None else ("prefix", *fields, *self.readonly_fields[1:])
        limits = {"fields": LIMITS, "description": "Of this key, within its workspace's. Empty or 0: none."}
        return ((None, {"fields": shown}), ("Limits", limits))

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("workspace", "user") if obj else ()))

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        return key.state

    @admin.display(description="valid secrets")
    def valid_secrets(self, key: ApiKey) -> str:
        count, end = len(valid_secrets_of(key)), older_secrets_end(key)
        return f"{count}" if end is None else f"{count}; the older ones until {end:%Y-%m-%d %H:%M} UTC"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        key = self.get_object(request, object_id)
        pages = _PAGES[key.state] if key is not None and self.may_act(request, key) else {}
        links = [(label, self.page_url(key, page)) for label, page in pages.items()]
        context = {"page_links": links, "subtitle": None, **(extra_context or {})}
        try:
            return super().change_view(request, object_id, form_url, context)
        except ApiError as problem:  # it was revoked, has expired or was deleted at this very moment
            messages.error(request, str(problem))
            return HttpResponseRedirect(reverse("admin:accounts_apikey_changelist"))

    # --- what is done -----------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            self._change(request, obj, form)
            return
        limits = {name: getattr(obj, name) for name in LIMITS}
        key, secret = create_api_key(
            obj.workspace,
            obj.user,
            name=obj.name,
            scopes=obj.scope_list,
            expires_at=obj.expires_at,
            origin=origin_of(request),
            **limits,
        )
        obj.pk = key.pk
        obj.refresh_from_db()
        messages.warning(request, _shown_once(secret))

    @staticmethod
    def _change(request: HttpRequest, obj: ApiKey, form: Any) -> None:
        changes = {name: getattr(obj, name) for name in form.changed_data}
        if "scopes" in changes:
            changes["scopes"] = obj.scope_list
        change_api_key(obj, origin=origin_of(request), **changes)

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        delete_api_key(obj, origin=origin_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.select_related("user"):
            delete_api_key(key, origin=origin_of(request))

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        own = [key for key in keys if self._may_touch(request, key)]
        for key in own:
            with suppress(NotFound):  # deleted at this very moment
                revoke_api_key(key, origin=origin_of(request))
        if own:
            messages.success(request, f"Revoked: {', '.join(map(str, own))}")
        if len(own) < len(keys):
            messages.error(request, "Only a superuser revokes other people's keys.")

    # --- pages with a confirmation ------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "roll": self.roll_page,
            "revoke": self.revoke_page,
            "revoke_tokens": self.revoke_tokens_page,
        }
        return [
            path(f"<uuid:id>/{page}/", self.admin_site.admin_view(view), name=f"accounts_apikey_{page}")
            for page, view in pages.items()
        ] + super().get_urls()

    def roll_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        key = row_for_action(self, request, id)

        def do(values: Values, by: str) -> ActionResult:
            overlap = timedelta(seconds=int(values["overlap"]))
            secret = roll_api_key(key, _next_user(request, key), overlap, origin=origin_of(request))
            return ActionResult(key, "It has a new secret.", warning=_shown_once(secret))

        note = (
            "The key gets a new secret, which is shown once, and keeps its id. If its user can no longer use "
            "it, it becomes yours, and the secrets before end at once."
        )
        action = AdminAction(f"Roll {key}", "Roll", RollForm(post_data(request)), do, row=key, note=note)
        return action_page(self, request, action)

    def revoke_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        key = row_for_action(self, request, id)

        def do(values: Values, by: str) -> ActionResult:
            revoke_api_key(key, origin=origin_of(request))
            return ActionResult(key, "It was revoked.")

        note = (
            "Within a second nothing acts with it, or with a token that it made, and what runs for them "
            "ends. This cannot be undone."
        )
        form = forms.Form(post_data(request))
        action = AdminAction(f"Revoke {key}", "Revoke", form, do, row=key, note=note)
        return action_page(self, request, action)

    def revoke_tokens_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        key = row_for_action(self, request, id)

        def do(values: Values, by: str) -> ActionResult:
            end_user = values["end_user"] or None
            count = revoke_tokens(tokens_of(key.workspace_id, key.pk), end_user)
            whose = f" of {end_user}" if end_user else ""
            text = f"{count} end-user token{'' if count == 1 else 's'}{whose} revoked."
            return ActionResult(key, text, is_new=count > 0)

        note = (
            "Within a second nothing acts with these end-user tokens, and what runs for them ends. The key "
            "stays as it is, and may make others. This cannot be undone."
        )
        form = RevokeTokensForm(post_data(request))
        action = AdminAction(f"Revoke tokens of {key}", "Revoke tokens", form, do, row=key, note=note)
        return action_page(self, request, action)


def _next_user(request: HttpRequest, key: ApiKey) -> User:
    """Return whose the key is once it was rolled: its user's still, if they can use it."""
    members = key.workspace.memberships.filter(user=key.user, user__is_active=True)
    return key.user if members.exists() else cast("User", request.user)


def _shown_once(secret: str) -> str:
    return format_html("The key is <code>{}</code>. Copy it now: it cannot be shown again.", secret)

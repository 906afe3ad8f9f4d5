"""Admin pages for actions: a form, the function it calls, and a line in the admin log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.models import User
from core.admin import ModelAdmin
from core.ids import format_user_id

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action did, and to which row. `warning` is anything the operator should know about it."""

    row: Model
    text: str
    is_new: bool = True
    warning: str = ""


@dataclass(frozen=True, slots=True)
class AdminAction:
    """An action and its form. `do` gets the form's values and the id of who signed in."""

    title: str
    button: str
    form: forms.Form
    do: Callable[[Values, str], ActionResult]
    row: Model | None = None
    adds: bool = False
    note: str = ""


class ActionAdmin(ModelAdmin):
    """An admin with pages for actions on its rows, and links to them in `page_links`."""

    change_form_template = "accounts/admin/change_form.html"
    action_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """What an action may raise; the form then says so."""

    def may_act(self, request: HttpRequest, row: Any = None) -> bool:
        """Return whether the request's user may act on a row, or on some row."""
        raise NotImplementedError

    def page_url(self, row: Any, page: str) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=[row.pk])


def action_page(model_admin: ActionAdmin, request: HttpRequest, action: AdminAction) -> HttpResponse:
    if not model_admin.may_act(request, action.row):
        raise PermissionDenied
    if request.method == "POST" and action.form.is_valid():
        try:
            result = _perform(model_admin, request, action)
        except model_admin.action_errors as error:
            action.form.add_error(None, str(error))
        else:
            return _redirect_after(model_admin, request, result)
    fieldsets = [(None, {"fields": list(action.form.fields)})]
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": action.title,
        "action": action,
        "row_url": action.row and model_admin.page_url(action.row, "change"),
        "adminform": AdminForm(cast("Any", action.form), fieldsets, {}, model_admin=model_admin),
        "errors": action.form.errors,
        "has_view_permission": True,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "accounts/admin/action.html", context)


def row_for_action(model_admin: ActionAdmin, request: HttpRequest, id: Any) -> Any:
    if not model_admin.may_act(request):
        raise PermissionDenied
    row = model_admin.get_object(request, str(id))
    if row is None:
        raise Http404
    if not model_admin.may_act(request, row):
        raise PermissionDenied
    return row


def _perform(model_admin: ActionAdmin, request: HttpRequest, action: AdminAction) -> ActionResult:
    with transaction.atomic():
        by = format_user_id(cast("User", request.user).pk)  # the books name nobody, and outlive accounts
        result = action.do(action.form.cleaned_data, by)
        if result.is_new:
            log = model_admin.log_addition if action.adds else model_admin.log_change
            log(request, result.row, result.text)
    return result


def _redirect_after(model_admin: ActionAdmin, request: HttpRequest, result: ActionResult) -> HttpResponse:
    (messages.success if result.is_new else messages.warning)(request, result.text)
    if result.warning:
        messages.warning(request, result.warning)
    url_name = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}"
    if result.row.pk is None or not type(result.row)._default_manager.filter(pk=result.row.pk).exists():
        return HttpResponseRedirect(reverse(f"{url_name}_changelist"))
    return HttpResponseRedirect(model_admin.page_url(result.row, "change"))


def post_data(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None

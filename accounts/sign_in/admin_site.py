"""An admin site without a sign-in of its own."""

from collections.abc import Callable
from typing import Any

from allauth.core.internal.httpkit import add_query_params
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse

from accounts.sign_in.mfa_adapter import may_be_staff
from core.admin_rights import may_view, with_viewer


class AdminSite(admin.AdminSite):
    site_header = site_title = "chatapi"

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and may_be_staff(request.user)

    def admin_view(  # type: ignore[override]
        self, view: Callable[..., HttpResponse], cacheable: bool = False
    ) -> Any:
        """Let pages ask what the person they are for may view."""
        return super().admin_view(with_viewer(view), cacheable)

    def get_log_entries(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out of the recent actions what the person may no longer view."""
        viewable = Q(pk=None)  # nothing
        for model in filter(may_view, self._registry):
            label, name = model._meta.app_label, model._meta.model_name
            viewable |= Q(content_type__app_label=label, content_type__model=name)
        entries: QuerySet[Any] = super().get_log_entries(request)
        return entries.filter(viewable)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send people to where they get what they lack: the sign-in page, or the one for second factors."""
        if not request.user.is_authenticated:
            wanted = request.GET.get(REDIRECT_FIELD_NAME) or self._index
            return HttpResponseRedirect(add_query_params(settings.LOGIN_URL, {REDIRECT_FIELD_NAME: wanted}))
        if not super().has_permission(request):
            raise PermissionDenied
        if not may_be_staff(request.user):
            messages.warning(request, "The admin site needs a second factor here. Add one, then go on.")
            return redirect("mfa_index")
        return redirect(self._index)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_change_password")

    @property
    def _index(self) -> str:
        return reverse("admin:index", current_app=self.name)

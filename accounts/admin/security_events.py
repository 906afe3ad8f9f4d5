"""The admin's security events, which nobody edits."""

from ipaddress import ip_address

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import SecurityEvent, User
from accounts.secret_digests import SECRET_PREFIX
from core.admin import BoundedPaginator, FixedFilter, ReadOnlyAdmin, link_column
from core.admin_rights import may_view

USERS_SEARCHED = 100


class KindFilter(FixedFilter):
    title = parameter_name = "kind"
    values = SecurityEvent.Kind.values


@admin.register(SecurityEvent)
class SecurityEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "kind", "user_link", "by_link", "address", "key_prefix", "user_agent", "details")
    list_filter = (KindFilter, "at")
    list_select_related = ("user", "by")
    search_fields = ("pk",)  # only to get a search box: see get_search_results
    search_help_text = "A user's e-mail address or a part of it, a client's address, or the start of a key."
    ordering = ("-at", "-id")
    paginator = BoundedPaginator
    fields = (
        *("id", "at", "kind", "user_link", "by_link", "address", "user_agent"),
        *("key_id", "key_prefix", "workspace_id", "details"),
    )
    user_link = link_column("user", "user")
    by_link = link_column("by", "done by")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SecurityEvent], search_term: str
    ) -> tuple[QuerySet[SecurityEvent], bool]:
        """Search by what an index finds."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith(SECRET_PREFIX):
            return queryset.filter(key_prefix=term.rstrip("…")), False
        try:
            return queryset.filter(address=str(ip_address(term))), False
        except ValueError:
            if not may_view(User):
                return queryset.none(), False
            users = User.objects.filter(email__icontains=term).values_list("pk", flat=True)
            return queryset.filter(user__in=list(users[:USERS_SEARCHED])), False

"""Assets in the admin, to look at."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from media.models import Asset


@admin.register(Asset)
class AssetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("sha256", "media_type", "size", "workspace", "created_at")
    list_select_related = ("workspace",)
    search_fields = ("sha256", "workspace__name")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

"""Files in the admin: read-only, except that what failed can be created again."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from core.admin import FixedFilter, MadeFilter, ReadOnlyAdmin, link_column, link_to
from core.admin_rights import may_view, name_of
from core.ids import FILE
from media.file_library import PURPOSES
from media.file_presenter import TEXT_KINDS, present_asset
from media.models import Asset, File, Rendition
from media.renditions.retry import retry_failed
from media.signed_urls import media_url

SHOWN_HOLDERS = 50


FILES_WITHHELD = "Files are shown to those who may view assets."


def preview_of(asset: Asset, holder: UUID | None = None) -> str:
    if not may_view(Asset):
        return FILES_WITHHELD
    return render_to_string("media/admin/preview.html", {"file": present_asset(asset, holder)})


def links_to(rows: list[Model]) -> str:
    """Link to the first of these rows; one row more than are shown means that there are others."""
    if not rows:
        return "–"
    others = [("and others",)] if len(rows) > SHOWN_HOLDERS else []
    links = [(link_to(row),) for row in rows[:SHOWN_HOLDERS]]
    return format_html_join(mark_safe("<br>"), "{}", [*links, *others])


class FileStyle:
    css: ClassVar = {"all": ("media/admin.css",)}


class KindFilter(FixedFilter):
    title = parameter_name = "kind"
    values = Rendition.Kind.values

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        sized = Q(kind__startswith=f"{value}-")  # such as picture-768
        return rows.filter(Q(kind=value) | sized)


class HasRenditionFilter(FixedFilter):
    title = "rendition"
    parameter_name = "rendition"
    values = Rendition.State.values

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(Exists(Rendition.objects.filter(asset=OuterRef("pk"), state=value)))


class PurposeFilter(FixedFilter):
    title = parameter_name = "purpose"
    values = PURPOSES


class RenditionInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Rendition
    fields = readonly_fields = ("kind", "state", "attempts", "error", "media_type", "stored", "due_at")
    ordering = ("kind",)
    extra = 0
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rendition]:
        return super().get_queryset(request).defer("content")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="size")
    def stored(self, rendition: Rendition) -> str:
        return filesizeformat(rendition.size) if rendition.media_type else "–"


@admin.register(Asset)
class AssetAdmin(ReadOnlyAdmin):
    Media = FileStyle
    list_display = ("content", "small", "stored", "workspace", "created_at")
    list_filter = (HasRenditionFilter, "created_at")
    list_select_related = ("workspace",)
    search_fields = ("sha256", "media_type", "workspace__name")
    search_help_text = "SHA-256, media type, or workspace"
    ordering = ("-created_at", "-id")
    inlines = (RenditionInline,)
    fields = (
        "sha256",
        "preview",
        "media_type",
        "stored",
        "width",
        "height",
        "milliseconds",
        "workspace",
        "created_at",
        "in_conversations",
        "as_files",
    )
    readonly_fields = ("preview", "stored", "in_conversations", "as_files")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Asset]:
        thumbnails = Rendition.objects.filter(
            asset=OuterRef("pk"), kind=Rendition.Kind.THUMBNAIL, state=Rendition.State.READY
        )
        assets: QuerySet[Asset] = super().get_queryset(request)
        return assets.annotate(_has_thumbnail=Exists(thumbnails))

    @admin.display(description="content", ordering="media_type")
    def content(self, asset: Asset) -> str:
        return format_html('<span title="{}">{}</span>', asset.sha256, asset)

    @admin.display(description="preview")
    def small(self, asset: Asset) -> str:
        if not getattr(asset, "_has_thumbnail"):  # noqa: B009 (an annotation)
            return "–"
        url = media_url(asset.workspace_id, asset.sha256, Rendition.Kind.THUMBNAIL)
        return format_html('<img src="{}" alt="" loading="lazy" class="thumbnail">', url)

    @admin.display(description="size", ordering="size")
    def stored(self, asset: Asset) -> str:
        return filesizeformat(asset.size)

    @admin.display(description="preview")
    def preview(self, asset: Asset) -> str:
        return preview_of(asset)

    @admin.display(description="held by conversations")
    def in_conversations(self, asset: Asset) -> str:
        holds = asset.conversations.select_related("conversation").defer("conversation__metadata")
        return links_to([hold.conversation for hold in holds.order_by("-conversation")[: SHOWN_HOLDERS + 1]])

    @admin.display(description="held by files")
    def as_files(self, asset: Asset) -> str:
        return links_to(list(asset.files.order_by("-id")[: SHOWN_HOLDERS + 1]))


@admin.register(Rendition)
class RenditionAdmin(ReadOnlyAdmin):
    Media = FileStyle
    list_display = ("kind", "of", "state", "attempts", "error", "due_at", "workspace")
    list_filter = ("state", KindFilter, "due_at")
    list_select_related = ("asset__workspace",)
    search_fields = ("asset__sha256", "asset__workspace__name", "error")
    search_help_text = "The file's SHA-256, its workspace, or the error"
    ordering = ("-due_at", "id")
    actions = ("make_again",)
    fields = ("of", "kind", "state", "attempts", "error", "media_type", "size", "due_at", "words")
    readonly_fields = ("of", "words")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rendition]:
        return super().get_queryset(request).select_related("asset__workspace").defer("content")

    def has_making_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("media.change_rendition")

    @admin.action(description="Make again what failed", permissions=["making"])
    def make_again(self, request: HttpRequest, renditions: QuerySet[Rendition]) -> None:
        count = retry_failed(list(renditions))
        messages.success(request, f"To be made again: {count}")

    @admin.display(description="words")
    def words(self, rendition: Rendition) -> str:
        if rendition.kind not in TEXT_KINDS or rendition.content is None:
            return "–"
        return format_html('<pre class="rendition-words">{}</pre>', rendition.content["text"])

    @admin.display(description="workspace")
    def workspace(self, rendition: Rendition) -> str:
        return name_of(rendition.asset.workspace)

    of = link_column("asset", "of")


@admin.register(File)
class FileAdmin(ReadOnlyAdmin):
    Media = FileStyle
    id_prefix = FILE
    list_display = (
        "filename",
        "media_type",
        "stored",
        "purpose",
        "workspace",
        "created_at",
        "expires_at",
    )
    list_filter = (PurposeFilter, MadeFilter, "expires_at")
    list_select_related = ("workspace", "asset")
    search_fields = ("filename", "asset__sha256", "workspace__name", "user__email")
    search_help_text = "Name, SHA-256, workspace, user, or file-… id"
    fields = (
        "filename",
        "public_id",
        "preview",
        "purpose",
        "of",
        "workspace",
        "user",
        "created_at",
        "expires_at",
    )
    readonly_fields = ("public_id", "preview", "of")

    @admin.display(description="type", ordering="asset__media_type")
    def media_type(self, file: File) -> str:
        return file.asset.media_type

    @admin.display(description="size", ordering="asset__size")
    def stored(self, file: File) -> str:
        return filesizeformat(file.asset.size)

    @admin.display(description="preview")
    def preview(self, file: File) -> str:
        return preview_of(file.asset, file.id)

    of = link_column("asset", "stored as")

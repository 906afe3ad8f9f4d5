"""The API document as a page, and the guides of `docs/` beside it: all of it works without a network."""

from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from core.exceptions import NotFound
from core.http.views import PublicView

GUIDES = "guides/"
BESIDE_GUIDES = (
    *("deploy/nginx.conf", "deploy/chatapi.service", "deploy/chatapi-worker.service"),
    *("deploy/chatapi-beat.service", "LICENSE"),
)
"""Files of the checkout that guides link to; from a guide's address, the links lead below `/docs/`."""


class DocsView(PublicView):
    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        return render(request._request, "chatapi/docs.html")


class GuideView(PublicView):
    @extend_schema(exclude=True)
    def get(self, request: Request, name: str) -> HttpResponseBase:
        path = guide_files().get(name)
        if path is None:
            raise NotFound("There is no such guide. /docs links to those that there are.")
        if path.suffix != ".md":
            return FileResponse(path.open("rb"), content_type="text/plain; charset=utf-8")
        text = path.read_text("utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        guides = [name for name in guide_files() if name.count("/") == 1 and name.endswith(".md")]
        context = {"title": title, "text": text, "name": name, "guides": guides}
        return render(request._request, "chatapi/guide.html", context)


@cache
def guide_files() -> dict[str, Path]:
    """Return the files that are served below `/docs/` by their names there: links between them just work."""
    folder = settings.BASE_DIR / "docs"
    guides = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        **{GUIDES + path.relative_to(folder).as_posix(): path for path in guides},
        **{name: settings.BASE_DIR / name for name in BESIDE_GUIDES},
    }

"""ASGI routes of the file endpoints that bypass Django because they take or send a large body."""

from typing import Any

from django.urls import URLPattern, path
from starlette.types import ASGIApp

from accounts.asgi_auth import AsgiAuthenticator
from core.http.asgi_endpoint import MethodRouter
from media.api.downloads import ContentEndpoint, SignedEndpoint
from media.api.uploads import UploadEndpoint


def file_routes(callers: AsgiAuthenticator, others: ASGIApp) -> list[URLPattern]:
    """Return routes for Channels' `URLRouter`; `others` serves the rest of the API at the same URLs."""
    endpoints: dict[str, Any] = {
        "v1/files": MethodRouter(UploadEndpoint(callers), others),
        "v1/files/<str:file_id>/content": ContentEndpoint(callers),
        "media/<str:token>": SignedEndpoint(),
    }
    return [path(address, endpoint) for address, endpoint in endpoints.items()]

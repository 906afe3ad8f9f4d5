"""The file endpoints that stand beside Django: they take a large body, or send one."""

from typing import Any

from django.urls import URLPattern, path
from starlette.types import ASGIApp

from accounts.asgi_auth import AsgiAuthenticator
from media.api.downloads import ContentEndpoint, SignedEndpoint
from media.api.endpoints import MethodRouter
from media.api.uploads import UploadEndpoint


def file_routes(callers: AsgiAuthenticator, others: ASGIApp) -> list[URLPattern]:
    """For Channels' `URLRouter`; `others` serves what the API has at the same addresses."""
    endpoints: dict[str, Any] = {
        "v1/files": MethodRouter(UploadEndpoint(callers), others),
        "v1/files/<str:file_id>/content": ContentEndpoint(callers),
        "media/<str:token>": SignedEndpoint(),
    }
    return [path(address, endpoint) for address, endpoint in endpoints.items()]

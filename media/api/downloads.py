"""Endpoints for the bytes of files: with an API key, or at a signed URL that expires."""

from channels.db import database_sync_to_async
from starlette.types import Scope

from accounts.asgi_endpoints import AuthenticatedEndpoint
from accounts.permissions import Permission
from accounts.principal import Caller, Principal
from core.http.asgi_endpoint import Endpoint, Receiver, Sender
from media.api.file_response import (
    StoredContent,
    asset_content,
    file_not_found,
    rendition_content,
    send_content,
)
from media.file_library import require_file
from media.holders import visible_assets
from media.models import Rendition, rendition_id
from media.signed_urls import SignedTarget, target_of_token


class ContentEndpoint(AuthenticatedEndpoint):
    """The endpoint `/v1/files/{file_id}/content`."""

    methods = ("GET", "HEAD")
    permission = Permission.FILES

    async def respond_to(self, caller: Caller, scope: Scope, receive: Receiver, send: Sender) -> None:
        file_id = _argument(scope, "file_id")
        content = await database_sync_to_async(_content)(caller.principal, file_id)
        await send_content(content, [], scope, receive, send)


class SignedEndpoint(Endpoint):
    """The endpoint `/media/{token}`, for elements of web pages.

    The token is the permission, so any origin may read.
    """

    methods = ("GET", "HEAD")

    async def respond(self, scope: Scope, receive: Receiver, send: Sender) -> None:
        target = target_of_token(_argument(scope, "token"))
        content = await database_sync_to_async(_signed_content)(target) if target else None
        if content is None:
            raise file_not_found()
        cors = [(b"cross-origin-resource-policy", b"cross-origin"), (b"access-control-allow-origin", b"*")]
        await send_content(content, cors, scope, receive, send)


def _argument(scope: Scope, name: str) -> str:
    value: str = scope["url_route"]["kwargs"][name]
    return value


def _content(who: Principal, file_id: str) -> StoredContent:
    file = require_file(who, file_id)
    return asset_content(file.asset, file.filename)


def _signed_content(target: SignedTarget) -> StoredContent | None:
    assets = visible_assets(target.holder).filter(id=target.asset_id)
    if target.kind is None:
        asset = assets.first()
        return asset_content(asset) if asset else None
    ready = (
        Rendition.objects.select_related("asset").filter(state=Rendition.State.READY).exclude(media_type="")
    )
    rendition = ready.filter(id=rendition_id(target.asset_id, target.kind), asset__in=assets).first()
    return rendition_content(rendition) if rendition else None

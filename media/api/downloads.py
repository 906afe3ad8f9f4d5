"""Files' bytes: by a key, or by an address that is signed and expires."""

from uuid import UUID

from channels.db import database_sync_to_async
from starlette.types import Receive, Scope, Send

from accounts.authentication import Principal
from media.api.endpoints import Endpoint, KeyedEndpoint
from media.api.file_response import StoredContent, content_of, content_of_rendition, gone, send_content
from media.models import Asset, Rendition, rendition_id
from media.signed_urls import SignedTarget, target_of_token
from media.uploaded_files import require_file


class ContentEndpoint(KeyedEndpoint):
    """`/v1/files/{file_id}/content`"""

    methods = ("GET", "HEAD")

    async def respond_to(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        content = await database_sync_to_async(_of_file)(principal.workspace_id, _argument(scope, "file_id"))
        await send_content(content, [], scope, receive, send)


class SignedEndpoint(Endpoint):
    """`/media/{token}`, for elements of pages. The token is the permission, so that any origin may read."""

    methods = ("GET", "HEAD")

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = target_of_token(_argument(scope, "token"))
        content = await database_sync_to_async(_of_address)(allowed) if allowed else None
        if content is None:
            raise gone()
        shared = [(b"cross-origin-resource-policy", b"cross-origin"), (b"access-control-allow-origin", b"*")]
        await send_content(content, shared, scope, receive, send)


def _argument(scope: Scope, name: str) -> str:
    value: str = scope["url_route"]["kwargs"][name]
    return value


def _of_file(workspace_id: UUID, file_id: str) -> StoredContent:
    file = require_file(workspace_id, file_id)
    return content_of(file.asset, file.filename)


def _of_address(allowed: SignedTarget) -> StoredContent | None:
    if allowed.kind is None:
        asset = Asset.objects.filter(id=allowed.asset_id).first()
        return content_of(asset) if asset else None
    made = (
        Rendition.objects.select_related("asset").filter(state=Rendition.State.READY).exclude(media_type="")
    )
    rendition = made.filter(id=rendition_id(allowed.asset_id, allowed.kind)).first()
    return content_of_rendition(rendition) if rendition else None

"""The endpoint for the bytes of an export."""

from channels.db import database_sync_to_async
from starlette.types import Scope

from accounts.asgi_endpoints import AuthenticatedEndpoint
from accounts.permissions import Permission
from accounts.principal import Caller
from chatapi.data_export.exports import get_export
from chatapi.models import DataExport
from core.exceptions import NotFound
from core.http.asgi_endpoint import Receiver, Sender
from media.api.file_response import StoredContent, send_content


class ExportContentEndpoint(AuthenticatedEndpoint):
    """The endpoint `/v1/me/exports/{export_id}/content`, in a session only."""

    methods = ("GET", "HEAD")
    permission = Permission.ACCOUNT

    async def respond_to(self, caller: Caller, scope: Scope, receive: Receiver, send: Sender) -> None:
        export_id: str = scope["url_route"]["kwargs"]["export_id"]
        content = await database_sync_to_async(_content)(caller.principal.user_id, export_id)
        await send_content(content, [], scope, receive, send)


def _content(user_id: int, export_id: str) -> StoredContent:
    export = get_export(user_id, export_id)
    if export.state != DataExport.State.READY:
        raise NotFound("The export is not ready.", param="export_id")
    filename = f"export-{export.created_at:%Y-%m-%d}.zip"
    etag = f'"{export.id.hex}-{export.attempts}"'
    return StoredContent(export.storage_name, "application/zip", export.size, etag, filename)

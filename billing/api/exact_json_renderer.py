"""A renderer for amounts that lose no digit."""

from typing import Any

import msgspec
from rest_framework.renderers import BaseRenderer


class ExactJSONRenderer(BaseRenderer):
    """A JSON renderer that writes `msgspec.Raw` unchanged."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return msgspec.json.encode(data)

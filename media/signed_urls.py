"""Signed URLs that open files without a key: each states what it opens and until when."""

import time
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer

from core.value import Value
from media.models import asset_id

MAX_LIFETIME_SECONDS = 24 * 3600
STABLE_SECONDS = 300
"""How long a file keeps the same URL, so that browsers can take it from their cache."""


class SignedTarget(Value, frozen=True):
    """What a URL opens: an asset, or its rendition of this kind.

    `expires` is in seconds since the epoch.
    """

    asset_id: UUID
    kind: str | None
    expires: int


def media_url(workspace_id: UUID, sha256: str, kind: str | None = None, *, now: float | None = None) -> str:
    """Return the path that serves a workspace's file, or its rendition of this kind, without a key.

    It is valid for CHATAPI_MEDIA_URL_SECONDS or some minutes more, and for a day at most.
    """
    now = time.time() if now is None else now
    lifetime = min(settings.CHATAPI_MEDIA_URL_SECONDS, MAX_LIFETIME_SECONDS - STABLE_SECONDS)
    expires = (int(now) // STABLE_SECONDS + 1) * STABLE_SECONDS + lifetime
    token = _signer().sign(f"{asset_id(workspace_id, sha256).hex}.{kind or ''}.{expires:x}")
    return f"/media/{token}"


def target_of_token(token: str, *, now: float | None = None) -> SignedTarget | None:
    """Return what a token opens; None if it has expired or is not ours."""
    try:
        asset, kind, expires = _signer().unsign(token).split(".")
        found = SignedTarget(UUID(hex=asset), kind or None, int(expires, 16))
    except (BadSignature, ValueError):  # ValueError: the token is not valid text
        return None
    return found if found.expires > (time.time() if now is None else now) else None


def _signer() -> Signer:
    return Signer(sep="~", salt="media.signed_urls")

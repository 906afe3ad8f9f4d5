"""Addresses of files that need no key: each says what it opens and until when, and is signed."""

import time
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer

from core.values import Value
from media.models import asset_id

LONGEST = 24 * 3600
STEADY_SECONDS = 300
"""For so long the same file has the same address: a browser then takes it from its cache."""


class SignedTarget(Value, frozen=True):
    """What an address opens: an asset, or the rendition of this kind. `expires` is in seconds since the
    epoch."""

    asset_id: UUID
    kind: str | None
    expires: int


def media_url(workspace_id: UUID, sha256: str, kind: str | None = None) -> str:
    """The path at which a workspace's file, or its rendition of this kind, can be had without a key for
    CHATAPI_MEDIA_URL_SECONDS or some minutes more, and for a day at most."""
    return f"/media/{_token(asset_id(workspace_id, sha256), kind, time.time())}"


def _token(asset: UUID, kind: str | None, now: float) -> str:
    lifetime = min(settings.CHATAPI_MEDIA_URL_SECONDS, LONGEST - STEADY_SECONDS)
    expires = (int(now) // STEADY_SECONDS + 1) * STEADY_SECONDS + lifetime
    return _signer().sign(f"{asset.hex}.{kind or ''}.{expires:x}")


def target_of_token(token: str) -> SignedTarget | None:
    """What a token opens; None for one that has expired or is not ours."""
    try:
        asset, kind, expires = _signer().unsign(token).split(".")
        found = SignedTarget(UUID(hex=asset), kind or None, int(expires, 16))
    except (BadSignature, ValueError):  # the latter for what is no text
        return None
    return found if found.expires > time.time() else None


def _signer() -> Signer:
    return Signer(sep="~", salt="media.signed_urls")

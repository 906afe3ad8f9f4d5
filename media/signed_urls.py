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
    """What a URL opens: an asset, or its rendition of this kind, while the row `holder` holds it.

    Without `holder` it opens while anything holds the asset. `expires` is in seconds since the epoch.
    """

    asset_id: UUID
    kind: str | None
    holder: UUID | None
    expires: int


def media_url(
    workspace_id: UUID,
    sha256: str,
    kind: str | None = None,
    *,
    holder: UUID | None = None,
    now: float | None = None,
) -> str:
    """Return the path that serves a workspace's file, or its rendition of this kind, without a key.

    It is valid for CHATAPI_MEDIA_URL_SECONDS or some minutes more, and for a day at most, and only until
    `holder` is deleted: the upload or the conversation that shows the file.
    """
    now = time.time() if now is None else now
    lifetime = min(settings.CHATAPI_MEDIA_URL_SECONDS, MAX_LIFETIME_SECONDS - STABLE_SECONDS)
    expires = (int(now) // STABLE_SECONDS + 1) * STABLE_SECONDS + lifetime
    asset, held_by = asset_id(workspace_id, sha256).hex, holder.hex if holder else ""
    return "/media/" + _signer().sign(f"{asset}.{kind or ''}.{held_by}.{expires:x}")


def target_of_token(token: str, *, now: float | None = None) -> SignedTarget | None:
    """Return what a token opens; None if it has expired or is not ours."""
    try:
        asset, kind, held_by, expires = _signer().unsign(token).split(".")
        holder = UUID(hex=held_by) if held_by else None
        found = SignedTarget(UUID(hex=asset), kind or None, holder, int(expires, 16))
    except (BadSignature, ValueError):  # ValueError: the token is not valid text
        return None
    return found if found.expires > (time.time() if now is None else now) else None


def _signer() -> Signer:
    return Signer(sep="~", salt="media.signed_urls")

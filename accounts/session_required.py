"""What only a person may do, in a session."""

from accounts.principal import Principal
from core.exceptions import Forbidden


def require_session(principal: Principal) -> None:
    """Raise `Forbidden` for an API key: it acts for a workspace, not for a person."""
    if principal.key_id is not None:
        raise Forbidden(
            "An API key acts for a workspace, and cannot do this for a person. Sign in, and try again "
            "without the key.",
            code="session_required",
        )

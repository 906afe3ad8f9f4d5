"""What a caller may do, as `GET /v1/me` tells it: facts about the caller, and what each thing requires.

Frontends show what they offer by this list. It grants nothing: the endpoints check themselves.
"""

from collections.abc import Mapping
from enum import Enum, auto

from accounts.models import User
from accounts.principal import Principal
from accounts.sign_in.mfa_adapter import may_be_staff
from core.exceptions import Forbidden


class Fact(Enum):
    SIGNED_IN = auto()
    """The caller is a person in a session, not a program with an API key."""
    STAFF = auto()
    """With a second factor, where staff need one."""


PERMISSIONS: Mapping[str, frozenset[Fact]] = {
    "completions": frozenset(),
    "audio": frozenset(),
    "files": frozenset(),
    "history": frozenset(),
    "usage": frozenset(),
    "billing": frozenset(),
    "exports": frozenset({Fact.SIGNED_IN}),
    "delete_account": frozenset({Fact.SIGNED_IN}),
    "admin_site": frozenset({Fact.SIGNED_IN, Fact.STAFF}),
}


def permissions_of(user: User, principal: Principal) -> list[str]:
    facts = {
        fact
        for fact, is_so in ((Fact.SIGNED_IN, principal.key_id is None), (Fact.STAFF, may_be_staff(user)))
        if is_so
    }
    return [name for name, required in PERMISSIONS.items() if required <= facts]


def require_session(principal: Principal) -> None:
    """Raise `Forbidden` for an API key: it acts for a workspace, not for a person."""
    if principal.key_id is not None:
        raise Forbidden(
            "An API key acts for a workspace, and cannot do this for a person. Sign in, and try again "
            "without the key.",
            code="session_required",
        )

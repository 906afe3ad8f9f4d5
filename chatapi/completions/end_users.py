"""Calls with an end-user token: they are for that end user, whatever their bodies leave out."""

import msgspec

from accounts.principal import Principal
from conversations.completion_request import CompletionRequest
from core.exceptions import Forbidden

END_USER_PARAMETERS = ("safety_identifier", "user")


def narrow_to_end_user(request: CompletionRequest, who: Principal) -> CompletionRequest:
    """Return the request for the token's end user. Raises `Forbidden` if it names another."""
    if who.token_id is None:
        return request
    for name in END_USER_PARAMETERS:
        if request.params.get(name) not in (None, "", who.end_user):
            raise Forbidden(
                f"This token is for another end user than '{name}' names. Leave it out, or have a token made "
                "for that one.",
                param=name,
                code="another_end_user",
            )
    return msgspec.structs.replace(request, end_user=who.end_user)

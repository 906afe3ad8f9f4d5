"""The API's document against the routes that there are, both ways."""

import re
from collections.abc import Iterator

import pytest

from tests.access.routes import asgi_routes, django_routes
from tests.support.document_reader import METHODS, api_document

pytestmark = pytest.mark.xdist_group("document")  # which takes seconds to build

NOT_DOCUMENTED = {
    r"\w+ /accounts/.*": "pages for people, who follow their links",
    r"\w+ /(admin)?": "redirects to pages",
    r"GET /docs(/.*)?": "the document's own page, and the guides beside it",
    r"GET /openapi\.json": "the document itself",
    r"\w+ /_allauth/openapi\.\w+": "redirects to the document",
    r"\w+ .*/phone(/.*)?": "allauth has them whether phone numbers are set up or not; they are not",
    r"POST .*/auth/code/confirm": "allauth's for sign-in by a mailed code, which is not set up",
    r"POST .*/auth/reauthenticate/code/resend": "allauth's; asking for a code again is the same",
    r"POST .*/auth/email/verify/resend": "allauth's for verification by code; links are mailed",
    r"POST .*/tokens/refresh": "allauth's for JSON web tokens, which are not set up",
    r"POST /_allauth/app/v1/auth/provider/redirect": "a form's; apps have no pages, and it refuses them",
}
"""Routes that are no part of the API, as regular expressions, and why."""


def documented_routes() -> Iterator[str]:
    for path, item in api_document()["paths"].items():
        for method in item.keys() & METHODS:
            for client in ("browser", "app") if "{client}" in path else ("",):
                yield f"{method.upper()} {path.replace('{client}', client)}"


def served_routes() -> set[str]:
    return {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route in django_routes() | asgi_routes()}


def is_excluded(route: str) -> bool:
    return any(re.fullmatch(pattern, route) for pattern in NOT_DOCUMENTED)


def test_every_route_is_in_the_document_but_those_that_are_no_part_of_the_api() -> None:
    served, documented = served_routes(), set(documented_routes())

    assert sorted(route for route in served - documented if not is_excluded(route)) == []
    assert sorted(filter(is_excluded, documented)) == []
    assert [
        pattern for pattern in NOT_DOCUMENTED if not any(re.fullmatch(pattern, one) for one in served)
    ] == []


def test_everything_in_the_document_is_routed() -> None:
    assert sorted(set(documented_routes()) - served_routes()) == []

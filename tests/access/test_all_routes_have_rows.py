"""A new route fails until somebody has written down who may use it."""

from collections.abc import Collection

from tests.access import sign_in_rows
from tests.access.routes import asgi_routes, django_routes
from tests.access.rows import API, ASGI


def assert_same(routes: Collection[str], rows: Collection[str], where: str) -> None:
    new, gone = sorted(set(routes) - set(rows)), sorted(set(rows) - set(routes))
    assert not new, f"Add a row to {where} that says who may use: {', '.join(new)}"
    assert not gone, f"Remove the rows of routes that there are no more from {where}: {', '.join(gone)}"


def test_each_view_has_a_row() -> None:
    where = "tests/access/rows.py (API) or tests/access/sign_in_rows.py"
    assert_same(django_routes(), {*API, *sign_in_rows.ROWS}, where)


def test_each_endpoint_beside_django_has_a_row() -> None:
    assert_same(asgi_routes(), ASGI, "tests/access/rows.py (ASGI)")

"""A new route fails until somebody has written down who may use it."""

from collections.abc import Collection
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from tests.access import admin_rows, sign_in_rows
from tests.access.routes import admin_routes, application, asgi_routes, django_routes, protocols
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


def test_each_page_of_the_admin_has_a_row() -> None:
    rows = {*admin_rows.PAGES, *admin_rows.SHORT, *admin_rows.FOR_ALL_STAFF}
    assert_same(admin_routes(), rows, "tests/access/admin_rows.py")


def test_a_new_route_is_named_and_so_is_one_that_is_gone() -> None:
    with pytest.raises(AssertionError, match="Add a row to rows that says who may use: GET /b"):
        assert_same({"GET /a", "GET /b"}, {"GET /a"}, "rows")
    with pytest.raises(AssertionError, match=r"Remove the rows .* from rows: GET /b"):
        assert_same({"GET /a"}, {"GET /a", "GET /b"}, "rows")


def test_http_is_all_that_is_served() -> None:
    assert {*protocols()} == {"http", "lifespan"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/media/x", "/admin/", "/"])
def test_a_web_socket_is_refused(path: str) -> None:
    async def connect() -> None:
        await application()({"type": "websocket", "path": path, "headers": []}, receive, send)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        pytest.fail(f"{message} was sent")

    with pytest.raises(ValueError, match="No application configured for scope type 'websocket'"):
        async_to_sync(connect)()

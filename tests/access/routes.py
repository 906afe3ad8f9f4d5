"""Every route of the service, as the code has it: of Django's URL resolver, of the ASGI router, of the admin.

A route is written as its method and its pattern: `GET /v1/files/<str:file_id>`. What an earlier pattern
hides is none. `HEAD` is `GET` without a body, and `OPTIONS` names the methods to anybody: neither has a row.
"""

import re
from collections.abc import Iterator
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import URLPattern, URLResolver, get_resolver
from starlette.types import ASGIApp

from chatapi.completions.service import CompletionService
from chatapi.routing import make_application
from engines.served_models import current_registry

WITHOUT_ROWS = {"head", "options"}
OF_A_FUNCTION = ("get", "post")
"""The methods by which a view is asked that is a function, and does not say which ones it serves."""
ADMIN = "admin/"
_APP_LABEL = re.compile(r"\^\(\?P<app_label>.*\)/\$")


def application() -> ASGIApp:
    """Return the application as it is served."""
    return make_application(get_asgi_application(), CompletionService(current_registry()))


def inner(application: ASGIApp, kind: type) -> Any:
    """Return the application of this class that the middleware is around."""
    while not isinstance(application, kind):
        around = [one for one in vars(application).values() if callable(one) and hasattr(one, "__dict__")]
        [application] = [one for one in around if not isinstance(one, CompletionService)]
    return application


def protocols() -> dict[str, ASGIApp]:
    """Return what the ASGI application serves each protocol with."""
    found: dict[str, ASGIApp] = inner(application(), ProtocolTypeRouter).application_mapping
    return found


def asgi_routes() -> set[str]:
    """Return the routes of the endpoints beside Django."""
    router = inner(protocols()["http"], URLRouter)
    *endpoints, _ = router.routes  # the last is Django
    return {
        f"{method} /{route.pattern}"
        for route in endpoints
        for method in _endpoint_methods(route.callback)
        if method != "HEAD"
    }


def _endpoint_methods(endpoint: Any) -> tuple[str, ...]:
    if hasattr(endpoint, "methods"):
        methods: tuple[str, ...] = endpoint.methods
        return methods
    return _endpoint_methods(next(one for one in vars(endpoint).values() if hasattr(one, "methods")))


def django_routes() -> set[str]:
    """Return the routes of Django's views but for the admin's, and for what the ASGI router serves first."""
    views = _visible_views(get_resolver(), lambda pattern: not pattern.startswith(ADMIN))
    found = {f"{method} /{pattern}" for pattern, view in views.items() for method in _view_methods(view)}
    return found - asgi_routes()


def admin_routes() -> set[str]:
    """Return the patterns of the admin's pages, below `/admin/`."""
    views = _visible_views(get_resolver(), lambda pattern: pattern.startswith(ADMIN))
    # the names of the apps are in no certain order
    return {_APP_LABEL.sub("<app_label>/", pattern.removeprefix(ADMIN)) for pattern in views}


def _visible_views(resolver: URLResolver, is_meant: Any) -> dict[str, Any]:
    views: dict[str, Any] = {}
    for pattern, view in _views(resolver):
        if is_meant(pattern):
            views.setdefault(pattern, view)
    return views


def _views(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield pattern, entry.callback
        else:
            yield from _views(entry, pattern)


def _view_methods(view: Any) -> list[str]:
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    served = [name for name in kind.http_method_names if hasattr(kind, name)] if kind else OF_A_FUNCTION
    return [name.upper() for name in served if name not in WITHOUT_ROWS]

"""Routes as templates, such as `/v1/conversations/{conversation_id}`: a path has ids in it, or anything."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, path, resolve

PATH_LENGTH = 300
"""A longer path is none of ours: no more of it is kept, or looked up."""
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
_endpoints: dict[str, URLPattern] = {}


def add_endpoint_routes(patterns: Iterable[str], view: Callable[..., Any]) -> None:
    """Add the routes of the ASGI endpoints, which Django does not know."""
    for pattern in patterns:
        _endpoints[pattern] = path(pattern, view)
    route_of.cache_clear()


@lru_cache(2048)
def route_of(path: str) -> str:
    """Return the template of the route that serves a path; empty if none does."""
    if len(path) >= PATH_LENGTH:
        return ""
    for pattern, endpoint in _endpoints.items():
        if endpoint.resolve(path.removeprefix("/")):
            return _template(pattern)
    try:
        return _template(resolve(path).route)
    except Resolver404:
        return ""


def path_arguments() -> Iterator[str]:
    """Yield the names of what varies in paths."""
    for pattern in (*_endpoints, *_patterns(get_resolver())):
        yield from _ARGUMENT.findall(pattern)


def _patterns(resolver: URLResolver) -> Iterator[str]:
    for entry in resolver.url_patterns:
        yield str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry)


def _template(pattern: str) -> str:
    return "/" + _ARGUMENT.sub(r"{\1}", pattern)

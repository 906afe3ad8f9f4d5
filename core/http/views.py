"""Base classes of the API's Django views: one renderer, and `OPTIONS` without a key."""

from typing import Any

from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView


class FirstRenderer(BaseContentNegotiation):
    """Negotiation that ignores `Accept`: SDKs and browsers send anything, but there is only one format."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next(iter(parsers), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class ApiView(APIView):
    # no docstring: the API's document would repeat it for every view

    content_negotiation_class = FirstRenderer

    def get_authenticators(self) -> list[Any]:
        return [] if self._is_options_request else super().get_authenticators()

    def get_permissions(self) -> list[Any]:
        return [] if self._is_options_request else list(super().get_permissions())

    @property
    def _is_options_request(self) -> bool:
        return getattr(self.request, "method", None) == "OPTIONS"  # the document's generator has no request

    def options(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(content_type="text/plain")  # `Allow` is set on every response


class PublicView(ApiView):
    authentication_classes = ()
    permission_classes = ()

"""OpenAI's own client, answered by Django in the test's own process and transaction: no socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
from django.test import Client


@contextmanager
def openai_client(**credentials: Any) -> Iterator[openai.OpenAI]:
    with (
        httpx2.Client(transport=httpx2.MockTransport(_answer_with_django)) as http,
        openai.OpenAI(
            **credentials, base_url="http://localhost/v1", http_client=http, max_retries=0
        ) as client,
    ):
        yield client


def _answer_with_django(request: httpx2.Request) -> httpx2.Response:
    address = request.url.raw_path.decode()
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    kind = headers.pop("content-type", "application/octet-stream")
    answer = Client().generic(request.method, address, request.read(), kind, headers=headers)
    return httpx2.Response(answer.status_code, headers=dict(answer.items()), content=answer.content)

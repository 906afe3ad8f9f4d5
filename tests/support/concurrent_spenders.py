"""A thousand calls at once on a balance for a hundred, over several processes."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import httpx2

CALLS, PAID = 1000, 100
TOKENS, RATE = 5, 10_000
COST = TOKENS * RATE
"""Of a call: what it may cost at most is what it does cost."""


def ask_all(urls: Sequence[str], api_key: str) -> Counter[tuple[int, str | None]]:
    """How often each status, and code of an error, came."""
    return asyncio.run(_ask_all(urls, api_key))


async def _ask_all(urls: Sequence[str], api_key: str) -> Counter[tuple[int, str | None]]:
    headers = {"Authorization": f"Bearer {api_key}"}
    limits = httpx2.Limits(max_connections=250)
    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=120) as client:
        told = await asyncio.gather(*(_ask(client, urls[n % len(urls)]) for n in range(CALLS)))
    return Counter(told)


async def _ask(client: httpx2.AsyncClient, url: str) -> tuple[int, str | None]:
    body = {
        "model": "priced-output",
        "max_tokens": TOKENS,
        "messages": [{"role": "user", "content": "[[slow: 0.01]] [[chunks: 50]]"}],
    }
    answer = await client.post(f"{url}/v1/chat/completions", json=body)
    return answer.status_code, answer.json().get("error", {}).get("code")

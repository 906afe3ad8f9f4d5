"""Many concurrent calls, over several processes, on a balance that pays for a few of them."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import httpx2

TOKENS, RATE = 5, 10_000
COST = TOKENS * RATE
"""The cost of a call, which is also the most that it may cost."""


def ask_at_once(calls: int, urls: Sequence[str], api_key: str) -> Counter[tuple[int, str | None]]:
    """Make the calls. Count each pair of status and error code."""
    return asyncio.run(_ask_at_once(calls, urls, api_key))


async def _ask_at_once(calls: int, urls: Sequence[str], api_key: str) -> Counter[tuple[int, str | None]]:
    headers = {"Authorization": f"Bearer {api_key}"}
    limits = httpx2.Limits(max_connections=250)
    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=120) as client:
        outcomes = await asyncio.gather(*(_ask(client, urls[n % len(urls)]) for n in range(calls)))
    return Counter(outcomes)


async def _ask(client: httpx2.AsyncClient, url: str) -> tuple[int, str | None]:
    body = {
        "model": "priced-output",
        "max_tokens": TOKENS,
        "messages": [{"role": "user", "content": "[[slow: 0.01]] [[chunks: 50]]"}],
    }
    answer = await client.post(f"{url}/v1/chat/completions", json=body)
    return answer.status_code, answer.json().get("error", {}).get("code")

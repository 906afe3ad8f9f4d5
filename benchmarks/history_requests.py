"""The requests that are measured: every list, items, search and the pages of the admin site."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlencode

from benchmarks.history_client import Client, signed_in, staff, with_key
from chatapi.demo.texts import Texts

Who = Literal["key", "owner", "member", "staff"]
Group = Literal["lists", "items", "search", "admin"]

LISTS = "/v1/conversations"
COMPLETIONS = "/v1/chat/completions"
MESSAGES = "/admin/conversations/message/"


class Measured(NamedTuple):
    """A request; `path` is None where an empty database has nothing that it could ask for."""

    group: Group
    name: str
    who: Who
    path: str | None


def clients_of(port: int, facts: Mapping[str, Any]) -> dict[Who, Client]:
    """Return the clients that ask, all in the largest workspace."""
    tenant, password = facts["workspaces"][0], facts["password"]
    workspace = f"proj_{tenant['workspace']}"
    member = tenant["owner"].replace("ada0-0", "dora0-3")
    return {
        "key": with_key(port, tenant["key"]),
        "owner": signed_in(port, tenant["owner"], password, workspace),
        "member": signed_in(port, member, password, workspace),
        "staff": staff(port, facts["admin"], password),
    }


def requests_of(clients: Mapping[Who, Client], facts: Mapping[str, Any]) -> Iterator[Measured]:
    """Yield all requests, which name what is in the database."""
    key = clients["key"]
    yield from _conversation_lists(key)
    yield from _items(key, facts)
    yield from _completion_lists(key, facts)
    yield from _other_lists(facts)
    yield from _searches()
    yield from _admin_pages(facts)


def _list(
    name: str, who: Who = "key", base: str = LISTS, metadata: Mapping[str, str] = {}, **parameters: Any
) -> Measured:
    pairs = {f"metadata[{name}]": value for name, value in metadata.items()}
    query = urlencode({**parameters, **pairs}, doseq=True)
    return Measured("lists", name, who, f"{base}?{query}" if query else base)


def _conversation_lists(key: Client) -> Iterator[Measured]:
    yield _list("conversations, newest first")
    yield _list("conversations, 100", limit=100)
    yield _list("conversations, oldest first", order="asc")
    yield _list("conversations by creation", order_by="created_at")
    yield _list("conversations by creation, oldest first", order_by="created_at", order="asc")
    yield _list("conversations of a session: the owner", who="owner")
    yield _list("conversations of a session: a member", who="member")
    yield _list("conversations by creation: the owner", who="owner", order_by="created_at")
    yield _list("conversations by creation: a member", who="member", order_by="created_at")
    yield _list("conversations of the busiest end user", user="customer-00000")
    yield _list("conversations of a rare end user", user="customer-04000")
    yield _list("conversations of nobody", user="")
    yield _list("conversations with a tag", tag="vip")
    yield _list("conversations with two metadata", metadata={"channel": "web", "ticket": "T-1"})
    yield _list("conversations with a common metadatum", metadata={"channel": "web"})
    yield _list("conversations: pinned", pinned="true")
    yield _list("conversations: archived", archived="true")
    yield _list("conversations: deleted", deleted="true")
    yield _list("conversations: deleted, by creation", deleted="true", order_by="created_at")
    yield _list("conversations of a model", model="demo-voice")
    yield _list("conversations of a model that there is not", model="none-such")
    yield _list("conversations: the last answer failed", state="failed")
    yield _list("conversations: the last answer was interrupted", state="interrupted")
    yield _list("conversations: none is in progress", state="in_progress")
    first = key.json(f"{LISTS}?limit=100")
    middle = first.get("next_cursor")
    name = "conversations, a later page"
    yield _list(name, after=middle) if middle else Measured("lists", name, "key", None)
    at = first["data"][0]["created_at"] if first["data"] else 1_700_000_000
    yield _list("conversations of last winter", updated_before=at - 200 * 86_400)
    yield _list("conversations created last winter", created_before=at - 200 * 86_400)


def _items(key: Client, facts: Mapping[str, Any]) -> Iterator[Measured]:
    conversations = key.json(f"{LISTS}?limit=100")["data"]
    usual = conversations[len(conversations) // 2]["id"] if conversations else None
    for name, id in (("a conversation", usual), ("the longest", facts["longest_conversation"])):
        base = f"{LISTS}/{id}/items" if id else None
        yield Measured("items", f"{name}: itself", "key", base and f"{LISTS}/{id}")
        yield Measured("items", f"{name}: items", "key", base)
        yield Measured("items", f"{name}: 100 items", "key", base and f"{base}?limit=100")
        yield Measured("items", f"{name}: items from the start", "key", base and f"{base}?order=asc")
        yield Measured("items", f"{name}: items of all branches", "key", base and f"{base}?branch=all")
        item = _sibling(key, base) if base else None
        yield Measured("items", f"{name}: a branch beside", "key", base and f"{base}?branch={item}")
        yield Measured("items", f"{name}: an item", "key", base and f"{base}/{item}")


def _sibling(key: Client, base: str) -> str:
    """Return an item that has another beside it, or any."""
    items = key.json(f"{base}?branch=all&limit=100")["data"]
    beside = [item for item in items if len(item.get("siblings") or ()) > 1]
    found = (beside or items)[-1]
    return str(found.get("message_id") or found["id"])


def _completion_lists(key: Client, facts: Mapping[str, Any]) -> Iterator[Measured]:
    yield _list("completions", base=COMPLETIONS)
    yield _list("completions, newest first", base=COMPLETIONS, order="desc")
    yield _list("completions of a model", base=COMPLETIONS, model="demo-voice", order="desc")
    yield _list("completions of a model that there is not", base=COMPLETIONS, model="none-such", order="desc")
    yield _list("completions with a metadatum", base=COMPLETIONS, metadata={"channel": "web"})
    yield _list("completions that failed", base=COMPLETIONS, state="failed", order="desc")
    yield _list("completions that were interrupted", base=COMPLETIONS, state="interrupted")
    yield _list("completions of the busiest end user", base=COMPLETIONS, user="customer-00000")
    yield _list("completions of a session: a member", base=COMPLETIONS, who="member", order="desc")
    longest = facts["longest_conversation"]
    name = "completions of the longest conversation"
    if not longest:
        yield Measured("lists", name, "key", None)
        yield Measured("lists", "what a completion answered", "key", None)
        return
    yield _list(name, base=COMPLETIONS, conversation_id=longest)
    last = key.json(f"{COMPLETIONS}?conversation_id={longest}&order=desc&limit=1")["data"][0]["id"]
    yield Measured("lists", "what a completion answered", "key", f"{COMPLETIONS}/{last}/messages")


def _other_lists(facts: Mapping[str, Any]) -> Iterator[Measured]:
    project = f"/v1/organization/projects/proj_{facts['workspaces'][0]['workspace']}"
    usage, costs = "/v1/organization/usage/completions", "/v1/organization/costs"
    month: dict[str, Any] = {"start_time": _ago(30), "limit": 31}
    yield _list("files", base="/v1/files")
    yield _list("files of a session: a member", who="member", base="/v1/files")
    yield _list("usage, a month by day", base=usage, **month)
    yield _list("usage by model", base=usage, **month, group_by="model")
    yield _list("costs, a month by day", base=costs, **month)
    yield _list("costs, half a year by day", base=costs, start_time=_ago(179), limit=180)
    yield _list("transactions", base="/v1/billing/transactions")
    yield _list("the balance", base="/v1/billing/balance")
    yield _list("statements", base="/v1/billing/statements")
    yield _list("members", who="owner", base="/v1/organization/users")
    yield _list("members of the project", who="owner", base=f"{project}/users")
    yield _list("projects", who="owner", base="/v1/organization/projects")
    yield _list("keys", who="owner", base=f"{project}/api_keys")
    yield _list("invitations", who="owner", base="/v1/organization/invites")
    yield _list("end-user tokens", base="/v1/end_user_tokens")


def _ago(days: int) -> int:
    return int(time.time()) // 86_400 * 86_400 - days * 86_400


def _searches() -> Iterator[Measured]:
    texts = Texts("english", 1)
    rare, phrase = texts.names[7], " ".join(texts.words[40:42])
    for name, query in (
        ("a common word", {"q": "order"}),
        ("a rare word", {"q": rare}),
        ("two Chinese characters", {"q": "发票"}),
        ("a prefix", {"q": "deliv"}),
        ("a phrase", {"q": f'"{phrase}"'}),
        ("a common word of one end user", {"q": "order", "user": "customer-00000"}),
        ("a common word with a tag", {"q": "order", "tag": "vip"}),
    ):
        yield Measured("search", f"search: {name}", "key", f"/v1/search?{urlencode(query)}")


def _admin_pages(facts: Mapping[str, Any]) -> Iterator[Measured]:
    for page in (
        *("conversations/conversation", "conversations/message", "conversations/completion"),
        *("billing/charge", "billing/transaction", "billing/usagerollup", "billing/wallet", "billing/price"),
        *("media/asset", "media/rendition", "media/file"),
        *("accounts/user", "accounts/workspace", "accounts/apikey", "accounts/securityevent"),
    ):
        yield _admin(f"{page.partition('/')[2]}s", page)
    yield _admin("conversations, page 10", "conversations/conversation", p="10")
    yield _admin("conversations by update", "conversations/conversation", o="7")
    yield _admin("conversations: deleted", "conversations/conversation", deleted="yes")
    yield _admin("conversations, a title searched", "conversations/conversation", q="invoice")
    yield _admin("conversations, an end user searched", "conversations/conversation", q="customer-00000")
    yield _admin("messages of tools", "conversations/message", role__exact="tool")
    yield _admin("messages, a tool's call searched", "conversations/message", q="call_none")
    yield _admin("messages, page 10", "conversations/message", p="10")
    yield _admin("completions that failed", "conversations/completion", state__exact="failed")
    yield _admin("completions served by a model", "conversations/completion", served_by="demo-scripted")
    yield _admin("completions, a model searched", "conversations/completion", q="demo-voice")
    yield _admin("charges, page 10", "billing/charge", p="10")
    longest = facts["longest_conversation"]
    id = longest.removeprefix("conv_") if longest else ""
    path = f"/admin/conversations/conversation/{quote(id)}/change/" if id else None
    yield Measured("admin", "admin: the longest conversation", "staff", path)
    path = f"{MESSAGES}?conversation__id__exact={quote(id)}" if id else None
    yield Measured("admin", "admin: its messages", "staff", path)


def _admin(name: str, page: str, **parameters: str) -> Measured:
    query = f"?{urlencode(parameters)}" if parameters else ""
    return Measured("admin", f"admin: {name}", "staff", f"/admin/{page}/{query}")

"""The server that is attacked, the upstream of its models, and its operator's hands."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import Permission

from accounts.models import User
from billing.models import Charge, Wallet
from billing.prices import add_price
from billing.tariffs import rates_of
from conversations.models import Completion
from core.money import NANO_PER_USD, format_usd, usd_to_nano
from tests.attacks.checks import check_soon
from tests.support.fake_upstream import Answer, FakeUpstream
from tests.support.people import Person, person
from tests.support.priced_usage import add_credit
from tests.support.run_command import Run, running
from tests.support.running_server import PATHS

SETTINGS = "tests.attacks.settings"
KEY_VARIABLE, UPSTREAM_KEY = "ATTACK_UPSTREAM_KEY", "sk-up-q7Zk2mXv9LtR4wYb8f1230815"

CONTEXT = 128_000
RATES = {"prompt": "5", "cached": "2.5", "completion": "10", "reasoning": "20"}
PROMPT, CACHED, COMPLETION, REASONING = 5_000, 2_500, 10_000, 20_000
"""Nano-USD for a token of what has these rates."""
TIER = 10_000
"""The prompt's tokens from which `tiered` costs a hundred times as much as the USD for a million below."""

MODELS = """
[[models]]
id = "free"
engine = "scripted"
default = true

[[models]]
id = "priced-output"
engine = "scripted"
max_output_tokens = 100
price = {{ prompt = 0, completion = 10 }}
{priced}
"""
PRICED = """
[[models]]
id = "{id}"
engine = "openai_compatible"
base_url = "{base_url}"
retries = 0
context_length = {context}
max_output_tokens = 4096
{more}
"""
PRICE = f"price = {{ {', '.join(f'{unit} = {usd}' for unit, usd in RATES.items())} }}"
PRICED_MODELS = {
    "priced": PRICE,
    "seeing": f'{PRICE}\ninput_modalities = ["text", "image", "audio", "file"]',
    "tiered": "",
    "keyed": f'{PRICE}\napi_key_env = "{KEY_VARIABLE}"',
    "keyed-with-fallback": f'{PRICE}\napi_key_env = "{KEY_VARIABLE}"\nfallbacks = ["free"]',
}


def models_file(base_url: str) -> str:
    priced = (
        PRICED.format(id=id, base_url=base_url, context=CONTEXT, more=more)
        for id, more in PRICED_MODELS.items()
    )
    return MODELS.format(priced="".join(priced))


class Stage:
    """A running server and the upstream behind its models. `data` is the server's data folder."""

    def __init__(self, data: Path, models: Path, upstream: FakeUpstream, server: Run) -> None:
        self.data = data
        self.upstream = upstream
        self.server = server
        self._models = models
        self._numbers = count(1)
        self._staff: tuple[User, httpx2.Client] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What another process of this service needs besides the data folder."""
        return _environment(self._models)

    @property
    def log(self) -> str:
        """All that the server has written."""
        return self.server.output + self.server.error_output

    # --- people -----------------------------------------------------------------------------------

    def newcomer(self, usd: str = "9.71") -> Person:
        """Someone with a workspace, a key, and this much to spend."""
        who = person(f"user-{next(self._numbers)}@example.com")
        if usd_to_nano(usd):
            add_credit(who, usd_to_nano(usd))
        return who

    def client(self, who: Person | None = None) -> httpx2.Client:
        return self.server.client(who.key if who else "")

    @cached_property
    def operator(self) -> httpx2.Client:
        """A browser in which the first administrator is signed in."""
        [password] = re.findall(r"password +(\S+)", self.server.output)
        return self._signed_in("admin@localhost", password)

    def staff(self, *permissions: str) -> tuple[User, httpx2.Client]:
        """Someone who may enter the admin site with these permissions alone, and their browser."""
        if self._staff is None:
            password = "a staff member's own"
            user = User.objects.create_user("staff@example.com", is_staff=True)
            # as the server would: the settings of this process are those of tests
            user.password = make_password(password, hasher=PBKDF2PasswordHasher())
            user.save()
            self._staff = user, self._signed_in(user.email, password)
        user, browser = self._staff
        User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=False, is_active=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        user.groups.clear()
        return user, browser

    def _signed_in(self, email: str, password: str) -> httpx2.Client:
        browser = self.server.client()
        browser.get("/accounts/login/")
        form = {"login": email, "password": password, "next": "/admin/"}
        answer = submit(browser, "/accounts/login/", form)
        assert answer.status_code == 302, answer.text
        return browser

    # --- calls ------------------------------------------------------------------------------------

    def will(self, *answers: Answer) -> int:
        """Script the upstream's answers. Return how many requests it has had until now."""
        self.upstream.will(*answers)
        self.upstream.client_gone_at = 0.0
        return len(self.upstream.requests)

    def ask(self, who: Person, content: Any, dialect: str = "openai", **more: Any) -> httpx2.Response:
        """Ask `priced`, or another model, with one user message."""
        headers = more.pop("headers", {})
        with self.client(who) as client:
            return client.post(PATHS[dialect], json=request_body(content, **more), headers=headers)

    def upload(self, who: Person, data: bytes, filename: str = "notes.txt") -> dict[str, Any]:
        """The file object of an upload."""
        with self.client(who) as client:
            answer = client.post("/v1/files", files={"file": (filename, data)}, data={"purpose": "user_data"})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    # --- the books --------------------------------------------------------------------------------

    def charges(self, who: Person, *, within: float = 10) -> list[Charge]:
        """The person's charges, once none of them is held any more."""
        charges = Charge.objects.filter(workspace_id=who.workspace.id)
        check_soon(
            lambda: not charges.filter(state="held").exists(),
            within,
            f"the call is still not settled after {within:.0f} s",
        )
        return list(charges.order_by("id"))

    def charge(self, who: Person, *, within: float = 10) -> Charge:
        """The person's newest charge, settled."""
        return self.charges(who, within=within)[-1]

    def available(self, who: Person) -> str:
        """What is left to spend, in USD."""
        return format_usd(Wallet.objects.get(pk=who.workspace.id).available or 0)

    def completion(self, who: Person) -> Completion:
        """The person's newest completion."""
        return Completion.objects.filter(workspace=who.workspace).latest("id")


def request_body(content: Any, **more: Any) -> dict[str, Any]:
    return {
        "model": "priced",
        "messages": [{"role": "user", "content": content}],
        "stream": False,
        **more,
    }


def submit(browser: httpx2.Client, path: str, form: dict[str, Any]) -> httpx2.Response:
    """Post a form as a browser does that has seen a page with one."""
    return browser.post(path, data={**form, "csrfmiddlewaretoken": browser.cookies["csrftoken"]})


def usd(nano: int | None) -> str:
    return "nothing" if nano is None else f"{nano / NANO_PER_USD:.6f} USD"


@contextmanager
def raised_stage(folder: Path) -> Iterator[Stage]:
    """Start upstream and server, as an operator would, in a data folder that does not exist yet."""
    data, models = folder / "data", folder / "models.toml"
    with _upstream_in_a_thread() as upstream:
        models.write_text(models_file(upstream.base_url))
        with running(data, **_environment(models)) as server:
            assert server.url
            add_price(
                "tiered", {0: rates_of({"prompt": 1, "completion": 10}), TIER: rates_of({"prompt": 100})}
            )
            add_price("transcription", {0: rates_of({"seconds": "0.0001"})})
            yield Stage(data, models, upstream, server)
            server.stop(within=60)


def _environment(models: Path) -> dict[str, str]:
    # a key as it comes out of a file that ends in a blank
    key = {KEY_VARIABLE: f"{UPSTREAM_KEY} "}
    return {"DJANGO_SETTINGS_MODULE": SETTINGS, "CHATAPI_MODELS_FILE": str(models), **key}


@contextmanager
def _upstream_in_a_thread() -> Iterator[FakeUpstream]:
    loop, upstream = asyncio.new_event_loop(), FakeUpstream()
    thread = threading.Thread(target=loop.run_forever, name="upstream")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result()
        yield upstream
        asyncio.run_coroutine_threadsafe(upstream.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

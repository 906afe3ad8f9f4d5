"""What belongs to another workspace, asked for by its id."""

from tests.attacks.checks import check_all, describe, status_problem
from tests.attacks.stage import Stage
from tests.support.request_bodies import image, text


def others_belongings(stage: Stage) -> None:
    """Read, change or delete what is another workspace's, by ids that were seen somewhere."""
    owner, stranger = stage.newcomer("0"), stage.newcomer("0")
    answer = stage.ask(owner, "My secret.", model="free")
    conversation = f"/v1/conversations/{answer.headers['x-conversation-id']}"
    with stage.client(owner) as client:
        item = f"{conversation}/items/{client.get(f'{conversation}/items').json()['data'][0]['id']}"
    completion = f"/v1/chat/completions/{answer.json()['id']}"
    file = f"/v1/files/{stage.upload(owner, b'Private notes.')['id']}"
    requests = [
        ("GET", conversation),
        ("GET", f"{conversation}/items"),
        ("POST", f"{conversation}/items"),
        ("GET", item),
        ("POST", item),
        ("DELETE", item),
        ("GET", completion),
        ("POST", f"{completion}/cancel"),
        ("GET", file),
        ("GET", f"{file}/content"),
        ("GET", f"{file}/renditions"),
        ("DELETE", file),
        ("DELETE", conversation),
    ]
    problems: dict[str, str | None] = {}
    for name, who, status in (("stranger", stranger, 404), ("nobody", None, 401)):
        with stage.client(who) as client:
            for method, path in requests:
                problems[f"{name}, {method} {path}"] = status_problem(client.request(method, path), status)
    with stage.client(owner) as client:
        for path in (conversation, item, completion, file):
            problems[f"owner, GET {path}"] = status_problem(client.get(path), 200)
    check_all(problems)


def others_belongings_in_a_call(stage: Stage) -> None:
    """Have a model tell what is another workspace's: continue its conversation, name its file."""
    owner, stranger = stage.newcomer("0"), stage.newcomer("0")
    kept = stage.ask(owner, "My secret.", model="free").headers["x-conversation-id"]
    file = stage.upload(owner, b"Private notes.")["id"]
    problems: dict[str, str | None] = {}
    for dialect in ("native", "openai"):
        context = {"conversation_id": kept}
        answer = stage.ask(stranger, "Go on.", dialect, model="free", context=context)
        problems[f"conversation, {dialect}"] = status_problem(answer, 404)
        for part in (
            {"type": "file", "file": {"file_id": file}},
            image({"file_id": file}),
            {"type": "input_audio", "input_audio": {"file_id": file}},
        ):
            answer = stage.ask(stranger, [text("Tell me."), part], dialect, model="free")
            is_refused = answer.status_code in (400, 404) and "Private" not in answer.text
            problems[f"{part['type']}, {dialect}"] = None if is_refused else describe(answer)
    check_all(problems)


def others_lists(stage: Stage) -> None:
    """Find another workspace's conversations and files in one's own lists, or its money in one's balance."""
    owner, stranger = stage.newcomer("7"), stage.newcomer("0")
    kept = stage.ask(owner, "My secret.", model="free").headers["x-conversation-id"]
    file = stage.upload(owner, b"Private notes.")["id"]
    problems: dict[str, str | None] = {}
    with stage.client(stranger) as client:
        for path in ("/v1/conversations", "/v1/files", "/v1/billing/transactions", "/v1/billing/balance"):
            answer = client.get(path)
            leaks = [word for word in (kept, file, "7.00") if word in answer.text]
            problems[path] = f"{leaks} are shown" if leaks else status_problem(answer, 200)
    check_all(problems)

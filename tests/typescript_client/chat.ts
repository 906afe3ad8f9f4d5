/** What a frontend does with the API, written against the types that are generated from our document. */

import createClient from "openapi-fetch";
import type { components, paths } from "./openapi";

type Schemas = components["schemas"];
type Conversation = Schemas["Conversation"];
type Item = Schemas["ConversationItem"];

/** True of two equal types only, so that `unknown` or `any` in the document is an error here. */
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<_ extends true>(): void {}

const api = createClient<paths>({
  baseUrl: "https://chat.example.com",
  headers: { Authorization: "Bearer eut_…" },
});

class Refused extends Error {
  constructor(readonly detail: Schemas["ErrorDetail"]) {
    super(detail.param ? `${detail.param}: ${detail.message}` : detail.message);
  }
}

function answered<T>(answer: { data?: T; error?: Schemas["Error"] }): T {
  if (answer.error) throw new Refused(answer.error.error);
  return answer.data as T;
}

// --- history ------------------------------------------------------------------------------------

export async function allConversations(tag?: string[]): Promise<Conversation[]> {
  const found: Conversation[] = [];
  for (let after: string | undefined; ; ) {
    const query = { limit: 100, archived: "any", pinned: "true", tag, after } as const;
    const page = answered(await api.GET("/v1/conversations", { params: { query } }));
    found.push(...page.data);
    if (page.next_cursor === null) return found;
    after = page.next_cursor;
  }
}

export async function beginConversation(title: string): Promise<Conversation> {
  return answered(
    await api.POST("/v1/conversations", {
      body: {
        title,
        tags: ["demonstration"],
        metadata: { purpose: "demonstration" },
        items: [{ role: "user", content: [{ type: "input_text", text: "Hello?" }] }],
      },
    }),
  );
}

export async function renderConversation(conversation: Conversation): Promise<string> {
  const page = answered(
    await api.GET("/v1/conversations/{conversation_id}/items", {
      params: { path: { conversation_id: conversation.id }, query: { order: "asc" } },
    }),
  );
  return [conversation.title ?? "Untitled", ...page.data.map(renderItem)].join("\n");
}

function renderItem(item: Item): string {
  switch (item.type) {
    case "message":
      return `${item.role}: ${item.content.map(renderContent).join("")}${renderBranches(item)}`;
    case "reasoning":
      return item.content.map((part) => part.text).join("");
    case "function_call":
      return `${item.name}(${item.arguments})`;
    case "function_call_output":
      return `${item.call_id} returned ${JSON.stringify(item.output)}`;
    default:
      return unreachable(item);
  }
}

function renderBranches(item: Item): string {
  const { siblings, message_id, state, feedback } = item;
  const thumbs = feedback.map((given) => given.thumbs ?? "").join("");
  return ` (${siblings.indexOf(message_id) + 1} of ${siblings.length}, ${state ?? "written"}) ${thumbs}`;
}

function renderContent(part: Schemas["ConversationContent"]): string {
  switch (part.type) {
    case "input_text":
    case "output_text":
      return part.text;
    case "refusal":
      return part.refusal;
    case "input_image":
      return `<img src="${part.thumbnail_url ?? part.image_url ?? ""}" alt="${part.text ?? ""}">`;
    case "input_file":
      return `<a href="${part.file_url ?? ""}">${part.filename ?? part.audio?.transcript ?? "file"}</a>`;
    default:
      return unreachable(part);
  }
}

/** Does not compile unless the cases above are all that the document names. */
function unreachable(never: never): never {
  throw new Error(`unknown: ${JSON.stringify(never)}`);
}

export async function showBranch(conversation_id: string, head: string): Promise<Conversation> {
  const path = { conversation_id };
  return answered(
    await api.PATCH("/v1/conversations/{conversation_id}", { params: { path }, body: { head, pinned: true } }),
  );
}

export async function editMessage(conversation_id: string, item_id: string, text: string): Promise<void> {
  const path = { conversation_id, item_id };
  answered(
    await api.POST("/v1/conversations/{conversation_id}/items/{item_id}", {
      params: { path },
      body: { content: text },
    }),
  );
}

export async function deleteConversation(conversation_id: string): Promise<boolean> {
  const path = { conversation_id };
  return answered(await api.DELETE("/v1/conversations/{conversation_id}", { params: { path } })).deleted;
}

export async function restoreConversation(conversation_id: string): Promise<Conversation> {
  const path = { conversation_id };
  return answered(await api.POST("/v1/conversations/{conversation_id}/restore", { params: { path } }));
}

export async function archive(ids: string[]): Promise<number> {
  return answered(await api.POST("/v1/conversations/bulk", { body: { ids, action: "archive" } })).data.length;
}

// --- stored completions -------------------------------------------------------------------------

export async function storedAnswer(completion_id: string): Promise<string> {
  const path = { completion_id };
  const stored = answered(await api.GET("/v1/chat/completions/{completion_id}", { params: { path } }));
  if (stored.error) throw new Refused(stored.error);
  return stored.choices.map((choice) => choice.message.content ?? "").join("\n");
}

export async function questions(completion_id: string): Promise<string[]> {
  const path = { completion_id };
  const page = answered(
    await api.GET("/v1/chat/completions/{completion_id}/messages", { params: { path } }),
  );
  return page.data.filter((message) => message.role === "user").map((message) => message.content ?? "");
}

export async function praise(completion_id: string): Promise<string | null> {
  const path = { completion_id };
  const given = await api.POST("/v1/chat/completions/{completion_id}/feedback", {
    params: { path },
    body: { thumbs: "up", comment: "Well said." },
  });
  return answered(given).comment;
}

export async function answersOf(model: string): Promise<string[]> {
  const page = answered(await api.GET("/v1/chat/completions", { params: { query: { model, limit: 5 } } }));
  return page.data.map((stored) => stored.choices[0]?.message.content ?? stored.state);
}

export async function stop(completion_id: string): Promise<void> {
  const path = { completion_id };
  answered(await api.POST("/v1/chat/completions/{completion_id}/cancel", { params: { path } }));
}

// --- a call in both dialects --------------------------------------------------------------------

export async function ask(question: string): Promise<string> {
  const answer = answered(
    await api.POST("/v1/chat/completions", {
      body: {
        model: "scripted",
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: [{ type: "text", text: question }] },
        ],
        metadata: { purpose: "demonstration" },
      },
    }),
  );
  return answer.object === "chat.completion" ? (answer.choices[0]?.message.content ?? "") : "";
}

export async function* stream(question: string, conversation_id: string): AsyncGenerator<string> {
  const { response } = await api.POST("/v1/chat/completions", {
    body: {
      model: "scripted",
      messages: [{ role: "user", content: question }],
      stream: true,
      stream_options: { include_usage: true },
      context: { conversation_id },
    },
    parseAs: "stream",
  });
  for await (const event of events(response)) {
    const chunk = JSON.parse(event) as Schemas["OpenAIChatCompletionChunk"] | Schemas["Error"];
    if ("error" in chunk) throw new Refused(chunk.error);
    yield chunk.choices[0]?.delta.content ?? "";
  }
}

export async function* streamNatively(question: string, conversation_id: string): AsyncGenerator<string> {
  const { response } = await api.POST("/chat/completions", {
    body: { messages: [{ role: "user", content: question }], context: { conversation_id } },
    parseAs: "stream",
  });
  for await (const event of events(response)) {
    const chunk = JSON.parse(event) as Schemas["ChatCompletionChunk"] | Schemas["Error"];
    if ("error" in chunk) throw new Refused(chunk.error);
    yield chunk.choices?.[0]?.delta?.content ?? "";
  }
}

async function* events(response: Response): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield line.slice("data: ".length);
    }
  }
}

// --- what must not compile ----------------------------------------------------------------------

export async function mistakes(conversation: Conversation): Promise<void> {
  // @ts-expect-error: no such parameter
  await api.GET("/v1/conversations", { params: { query: { sorted: "by title" } } });
  // @ts-expect-error: no such action
  await api.POST("/v1/conversations/bulk", { body: { ids: [], action: "burn" } });
  // @ts-expect-error: which conversation
  await api.GET("/v1/conversations/{conversation_id}/items", {});
  // @ts-expect-error: no such route
  await api.GET("/v1/conversation");
  // @ts-expect-error: no such member
  conversation.name;
  // @ts-expect-error: OpenAI's dialect needs a model
  await api.POST("/v1/chat/completions", { body: { messages: [] } });
  // @ts-expect-error: no such role
  await api.POST("/chat/completions", { body: { messages: [{ role: "owner", content: "Hello" }] } });
  holds<Equal<Item["type"], "message" | "reasoning" | "function_call" | "function_call_output">>();
  holds<Equal<Item["parent_id"], string | null>>();
  holds<Equal<Item["siblings"], string[]>>();
  holds<Equal<Conversation["title"], string | null>>();
  holds<Equal<Conversation["metadata"], { [key: string]: string }>>();
}

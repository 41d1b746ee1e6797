// The official OpenAI SDK for Node against the gateway: one line a check.
"use strict";

const assert = require("node:assert/strict");
const OpenAI = require("openai");

const HELLO = [{ role: "user", content: "Say hello." }];
const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    },
  },
};

const client = new OpenAI({ baseURL: process.env.GATEWAY_URL, apiKey: process.env.CLIENT_KEY });
// The provider itself, to compare with what comes through the gateway.
const provider = new OpenAI({ baseURL: process.env.MOCK_URL, apiKey: "unused" });
const impatient = client.withOptions({ maxRetries: 0 });

const chat = (api, model, options = {}) =>
  api.chat.completions.create({ model, messages: HELLO, ...options });

/** Every chunk of a stream, in the order of arrival. */
async function chunksOf(api, model, options = {}) {
  const chunks = [];
  for await (const chunk of await chat(api, model, { stream: true, ...options })) {
    chunks.push(chunk);
  }
  return chunks;
}

const choicesOf = (chunks) => chunks.flatMap((chunk) => chunk.choices);

/** The error that the SDK raises; it must be of this very kind. */
async function refused(kind, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.constructor.name, kind.name);
    return error;
  }
  assert.fail(`no ${kind.name}`);
}

const checks = {
  async "chat"() {
    const answer = await chat(client, "test/chat");
    const direct = await chat(provider, "ok");
    assert.equal(answer.model, "test/chat");
    assert.ok(answer.choices[0].message.content);
    assert.deepEqual(answer.choices, direct.choices);
    assert.deepEqual(answer.usage, direct.usage);
  },

  async "response headers"() {
    const { data, response } = await chat(client, "test/chat").withResponse();
    assert.equal(response.headers.get("x-overspill-provider"), "mock");
    assert.equal(response.headers.get("x-overspill-model"), "test/chat");
    assert.equal(response.headers.get("x-overspill-attempts"), "1");
    assert.ok(data._request_id);
    assert.equal(data._request_id, response.headers.get("x-request-id"));
  },

  async "stream keeps every delta in order"() {
    const chunks = await chunksOf(client, "test/chat");
    const choices = choicesOf(chunks);
    assert.ok(choices.filter((choice) => choice.delta.content).length > 1);
    assert.deepEqual(choices, choicesOf(await chunksOf(provider, "ok")));
    assert.equal(choices.at(-1).finish_reason, "stop");
    assert.deepEqual(new Set(chunks.map((chunk) => chunk.model)), new Set(["test/chat"]));
  },

  async "stream arrives as it is written"() {
    const times = [];
    for await (const chunk of await chat(client, "test/paced", { stream: true })) {
      if (chunk.choices.length > 0) times.push(performance.now());
    }
    const spread = times.at(-1) - times[0];
    assert.ok(spread > 200, `all within ${spread} ms`);
  },

  async "stream tells its usage when asked"() {
    const options = { stream_options: { include_usage: true } };
    const usages = (await chunksOf(client, "test/chat", options)).filter((chunk) => chunk.usage);
    assert.equal(usages.length, 1);
    assert.ok(usages[0].usage.total_tokens > 0);
  },

  async "a stream that is left early leaves the client usable"() {
    const stream = await chat(client, "test/paced", { stream: true });
    for await (const chunk of stream) {
      assert.equal(chunk.model, "test/paced");
      break;
    }
    assert.ok(stream.controller.signal.aborted);
    assert.equal((await chat(client, "test/chat")).model, "test/chat");
  },

  async "reasoning is kept"() {
    const { message } = (await chat(client, "test/reasoning")).choices[0];
    assert.ok(message.reasoning_content);
    assert.deepEqual(message, (await chat(provider, "ok+reasoning")).choices[0].message);
  },

  async "streamed reasoning is kept and comes first"() {
    const choices = choicesOf(await chunksOf(client, "test/reasoning"));
    assert.deepEqual(choices, choicesOf(await chunksOf(provider, "ok+reasoning")));
    const lastThought = choices.findLastIndex((choice) => choice.delta.reasoning_content);
    const firstWord = choices.findIndex((choice) => choice.delta.content);
    assert.ok(lastThought >= 0 && firstWord > lastThought, `${lastThought}, ${firstWord}`);
  },

  async "tools"() {
    const [choice] = (await chat(client, "test/tools", { tools: [WEATHER] })).choices;
    assert.equal(choice.finish_reason, "tool_calls");
    const [call] = choice.message.tool_calls;
    assert.ok(call.id && call.function.name);
    assert.equal(typeof JSON.parse(call.function.arguments), "object");
  },

  async "streamed tools"() {
    const choices = choicesOf(await chunksOf(client, "test/tools", { tools: [WEATHER] }));
    const direct = await chunksOf(provider, "ok+tools", { tools: [WEATHER] });
    assert.deepEqual(choices, choicesOf(direct));
    const calls = new Map();
    for (const fragment of choices.flatMap((choice) => choice.delta.tool_calls ?? [])) {
      const before = calls.get(fragment.index) ?? "";
      calls.set(fragment.index, before + (fragment.function?.arguments ?? ""));
    }
    assert.ok(calls.size > 0);
    for (const text of calls.values()) assert.equal(typeof JSON.parse(text), "object");
    assert.equal(choices.at(-1).finish_reason, "tool_calls");
  },

  async "embeddings"() {
    const answer = await client.embeddings.create({ model: "test/embed", input: ["one", "two"] });
    assert.deepEqual(answer.data.map((each) => each.index), [0, 1]);
    assert.ok(answer.data.every((each) => typeof each.embedding[0] === "number"));
    assert.equal(answer.model, "test/embed");
  },

  async "models"() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    const wanted = "chat context embed failover limited paced reasoning tools";
    assert.deepEqual(names.sort(), wanted.split(" ").map((name) => `test/${name}`));
    assert.equal((await client.models.retrieve("test/chat")).id, "test/chat");
  },

  async "failover is not noticed"() {
    const { data, response } = await chat(impatient, "test/failover").withResponse();
    assert.equal(data.model, "test/failover");
    assert.equal(response.headers.get("x-overspill-provider"), "spare");
    assert.ok(Number(response.headers.get("x-overspill-attempts")) > 1);
  },

  async "a wrong key"() {
    const stranger = client.withOptions({ apiKey: "sk-test-wrong" });
    const error = await refused(OpenAI.AuthenticationError, () => chat(stranger, "test/chat"));
    assert.equal(error.status, 401);
    assert.equal(error.code, "invalid_api_key");
  },

  async "a budget that is spent is not tried again"() {
    let sent = 0;
    const counted = (...request) => {
      sent += 1;
      return fetch(...request);
    };
    const apiKey = `${process.env.CLIENT_KEY}-poor`;
    const poor = client.withOptions({ apiKey, fetch: counted });
    const once = poor.withOptions({ maxRetries: 0 });
    for (let turn = 0; turn < 100; turn += 1) {
      const error = await chat(once, "test/chat").then(() => null, (error) => error);
      if (error?.headers.get("x-should-retry") === "false") {
        break;
      }
      await new Promise((done) => setTimeout(done, 50));
    }
    sent = 0;
    const error = await refused(OpenAI.APIError, () => chat(poor, "test/chat"));
    assert.equal(error.status, 402);
    assert.equal(error.code, "insufficient_quota");
    assert.equal(sent, 1);
  },

  async "an unknown model"() {
    const error = await refused(OpenAI.NotFoundError, () => chat(client, "test/none"));
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /test\/none/);
  },

  async "a rate limit"() {
    for (const stream of [false, true]) {
      const error = await refused(OpenAI.RateLimitError, () =>
        chat(impatient, "test/limited", { stream }),
      );
      assert.equal(error.code, "rate_limit_exceeded");
      assert.ok(error.headers.get("retry-after"));
    }
  },

  async "too long a context"() {
    const error = await refused(OpenAI.BadRequestError, () => chat(client, "test/context"));
    assert.equal(error.code, "context_length_exceeded");
  },
};

async function main() {
  for (const [name, run] of Object.entries(checks)) {
    try {
      await run();
      console.log(`ok - ${name}`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`not ok - ${name}\n${error.stack}`);
    }
  }
}

main();

"""The official OpenAI SDK for Python against the gateway: one line a check."""

import json
import os
import sys
import time
import traceback

import openai
from openai import OpenAI

KEY = os.environ["CLIENT_KEY"]
HELLO = [{"role": "user", "content": "Say hello."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}

client = OpenAI(base_url=os.environ["GATEWAY_URL"], api_key=KEY)
# The provider itself, to compare with what comes through the gateway.
provider = OpenAI(base_url=os.environ["MOCK_URL"], api_key="unused")
impatient = client.with_options(max_retries=0)

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def refused(kind, call):
    """The error that the SDK raises; it must be of this very kind."""
    try:
        call()
    except openai.APIStatusError as error:
        equal(type(error), kind)
        return error
    raise AssertionError(f"no {kind.__name__}")


def said(api, model, **options):
    """What each chunk of a stream adds, in the order of arrival."""
    stream = api.chat.completions.create(model=model, messages=HELLO, stream=True, **options)
    return [
        choice.model_dump(exclude_unset=True, exclude={"index"})
        for chunk in stream
        for choice in chunk.choices
    ]


@check
def chat():
    answer = client.chat.completions.create(model="test/chat", messages=HELLO)
    direct = provider.chat.completions.create(model="ok", messages=HELLO)
    equal(answer.model, "test/chat")
    assert answer.choices[0].message.content, "no content"
    equal(answer.choices[0].to_dict(), direct.choices[0].to_dict())
    equal(answer.usage.to_dict(), direct.usage.to_dict())


@check
def response_headers():
    raw = client.chat.completions.with_raw_response.create(model="test/chat", messages=HELLO)
    equal(raw.headers["x-overspill-provider"], "mock")
    equal(raw.headers["x-overspill-model"], "test/chat")
    equal(raw.headers["x-overspill-attempts"], "1")
    assert raw.headers["x-request-id"], "no request id"
    equal(raw.parse()._request_id, raw.headers["x-request-id"])


@check
def stream_keeps_every_delta_in_order():
    chunks = said(client, "test/chat")
    assert sum(bool(chunk["delta"].get("content")) for chunk in chunks) > 1, "not in pieces"
    equal(chunks, said(provider, "ok"))
    equal(chunks[-1]["finish_reason"], "stop")


@check
def stream_names_the_model_that_was_asked_for():
    stream = client.chat.completions.create(model="test/chat", messages=HELLO, stream=True)
    equal({chunk.model for chunk in stream}, {"test/chat"})


@check
def stream_arrives_as_it_is_written():
    stream = client.chat.completions.create(model="test/paced", messages=HELLO, stream=True)
    times = [time.monotonic() for chunk in stream if chunk.choices]
    assert times[-1] - times[0] > 0.2, f"all within {times[-1] - times[0]:.3f} s"


@check
def stream_tells_its_usage_when_asked():
    stream = client.chat.completions.create(
        model="test/chat", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    usages = [chunk.usage for chunk in stream if chunk.usage]
    equal(len(usages), 1)
    assert usages[0].total_tokens > 0, "no tokens"


@check
def reasoning_is_kept():
    message = client.chat.completions.create(model="test/reasoning", messages=HELLO).choices[0].message
    direct = provider.chat.completions.create(model="ok+reasoning", messages=HELLO).choices[0].message
    assert message.reasoning_content, "no reasoning"
    equal(message.to_dict(), direct.to_dict())


@check
def streamed_reasoning_is_kept_and_comes_first():
    chunks = said(client, "test/reasoning")
    equal(chunks, said(provider, "ok+reasoning"))
    kinds = [
        kind
        for chunk in chunks
        for kind in ("reasoning_content", "content")
        if chunk["delta"].get(kind)
    ]
    assert {"reasoning_content", "content"} == set(kinds), kinds
    equal(kinds, sorted(kinds, reverse=True))


@check
def tools():
    answer = client.chat.completions.create(model="test/tools", messages=HELLO, tools=[WEATHER])
    choice = answer.choices[0]
    equal(choice.finish_reason, "tool_calls")
    call = choice.message.tool_calls[0]
    assert call.id and call.function.name, call
    assert isinstance(json.loads(call.function.arguments), dict), call.function.arguments


@check
def streamed_tools():
    chunks = said(client, "test/tools", tools=[WEATHER])
    equal(chunks, said(provider, "ok+tools", tools=[WEATHER]))
    calls = {}
    for chunk in chunks:
        for fragment in chunk["delta"].get("tool_calls") or []:
            calls[fragment["index"]] = (
                calls.get(fragment["index"], "") + fragment["function"].get("arguments", "")
            )
    assert calls, "no tool call"
    for arguments in calls.values():
        assert isinstance(json.loads(arguments), dict), arguments
    equal(chunks[-1]["finish_reason"], "tool_calls")


@check
def embeddings():
    answer = client.embeddings.create(model="test/embed", input=["one", "two"])
    equal([each.index for each in answer.data], [0, 1])
    assert all(isinstance(each.embedding[0], float) for each in answer.data), "no numbers"
    equal(answer.model, "test/embed")


@check
def models():
    names = {model.id for model in client.models.list()}
    wanted = "chat paced reasoning tools embed limited context failover"
    equal(names, {f"test/{name}" for name in wanted.split()})
    equal(client.models.retrieve("test/chat").id, "test/chat")


@check
def failover_is_not_noticed():
    raw = impatient.chat.completions.with_raw_response.create(model="test/failover", messages=HELLO)
    equal(raw.parse().model, "test/failover")
    equal(raw.headers["x-overspill-provider"], "spare")
    assert int(raw.headers["x-overspill-attempts"]) > 1, raw.headers["x-overspill-attempts"]


@check
def a_wrong_key():
    stranger = OpenAI(base_url=client.base_url, api_key="sk-test-wrong")
    error = refused(
        openai.AuthenticationError,
        lambda: stranger.chat.completions.create(model="test/chat", messages=HELLO),
    )
    equal(error.status_code, 401)
    equal(error.code, "invalid_api_key")


@check
def an_unknown_model():
    error = refused(
        openai.NotFoundError,
        lambda: client.chat.completions.create(model="test/none", messages=HELLO),
    )
    equal(error.code, "model_not_found")
    assert "test/none" in error.message, error.message


@check
def a_budget_that_is_spent_is_not_tried_again():
    poor = OpenAI(base_url=client.base_url, api_key=f"{KEY}-poor")
    ask = lambda api: api.chat.completions.create(model="test/chat", messages=HELLO)
    for _ in range(100):
        try:
            ask(poor.with_options(max_retries=0))
        except openai.APIStatusError as error:
            if error.response.headers["x-should-retry"] == "false":
                break
        time.sleep(0.05)
    error = refused(openai.APIStatusError, lambda: ask(poor))
    equal((error.status_code, error.code), (402, "insufficient_quota"))
    equal(error.response.request.headers["x-stainless-retry-count"], "0")


@check
def a_rate_limit():
    for stream in (False, True):
        error = refused(
            openai.RateLimitError,
            lambda: impatient.chat.completions.create(
                model="test/limited", messages=HELLO, stream=stream
            ),
        )
        equal(error.code, "rate_limit_exceeded")
        assert error.response.headers["retry-after"], "no retry-after"


@check
def too_long_a_context():
    error = refused(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="test/context", messages=HELLO),
    )
    equal(error.code, "context_length_exceeded")


def main():
    failures = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok - {name}")
        except Exception:
            failures += 1
            print(f"not ok - {name}")
            traceback.print_exc(file=sys.stdout)
    return 1 if failures else 0


sys.exit(main())

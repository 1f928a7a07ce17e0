"""OpenAI-compatible servers: GPT-3 at its maker's, or any other, or a local one for this job."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import openai
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from clipdiff.config.sections import LLM, Generate
from clipdiff.errors import GenerationError
from clipdiff.llm.base import Answer, cut_at_stop
from clipdiff.llm.prompts import Prompt, Turn, as_text
from clipdiff.llm.server import LocalServer

log = logging.getLogger(__name__)

MAX_RETRIES = 8  # of the client: 429, 5xx, lost connections, timeouts; it honours Retry-After
BAD_REPLIES = 4  # replies of status 200 that are none, before it is given up
RETRY_SECONDS = 0.5
TIMEOUT_SECONDS = 120.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class BadReplyError(Exception):
    """A reply with status 200 that is none."""


class ApiWriter:
    """The ``openai`` client on completions or chat; ``batch`` requests are under way at once."""

    def __init__(self, definition: LLM, generate: Generate, prompt: Prompt):
        self.definition, self.generate, self.stop = definition, generate, prompt.stop
        self.key = _key(definition)
        self.server, url = None, definition.base_url
        self.concurrency = definition.batch
        if url is None:
            # The server's random state is shared by all that it decodes, so with sampling only
            # one request at a time has draws of its own.
            greedy = generate.temperature == 0
            self.concurrency = definition.batch if greedy else 1
            self.server = LocalServer(definition.model, greedy, withheld=[definition.key_env])
            url = self.server.base_url
        self.client = openai.OpenAI(
            base_url=url, api_key=self.key, max_retries=MAX_RETRIES, timeout=TIMEOUT_SECONDS
        )
        self.pool = ThreadPoolExecutor(self.concurrency)
        self.failure: Exception | None = None

    def write(self, prompts: Sequence[list[Turn]], seeds: Sequence[int]) -> list[Answer]:
        """Answer each prompt; see :meth:`clipdiff.llm.base.Writer.write`."""
        waiting = [self.pool.submit(self._ask, *row) for row in zip(prompts, seeds, strict=True)]
        try:
            return [future.result() for future in waiting]
        except openai.OpenAIError as error:
            raise GenerationError(self._explain(error)) from None  # its chain may hold the key
        except BadReplyError as error:
            raise GenerationError(f"{self.client.base_url}: {error}") from error
        finally:
            for future in waiting:
                future.cancel()

    def _ask(self, turns: list[Turn], seed: int) -> Answer:
        again = Retrying(
            retry=retry_if_exception_type(BadReplyError),
            wait=wait_random_exponential(RETRY_SECONDS, max=8),
            stop=stop_after_attempt(BAD_REPLIES),
            reraise=True,
        )
        if self.failure:
            raise self.failure
        try:
            return again(self._ask_once, turns, seed)
        except (openai.OpenAIError, BadReplyError) as error:
            self.failure = error  # whatever waits would fail too, and may cost
            raise

    def _ask_once(self, turns: list[Turn], seed: int) -> Answer:
        chat = self.definition.endpoint == "chat"
        try:
            if chat:
                reply = self.client.chat.completions.create(messages=turns, **self._options(seed))
            else:
                reply = self.client.completions.create(prompt=as_text(turns), **self._options(seed))
        except openai.BadRequestError as error:
            if "context" not in str(error) and "maximum" not in str(error):
                raise
            return Answer("", "length", 0, 0)  # as local models do with a prompt that is too long
        except (openai.APIResponseValidationError, ValueError) as error:
            raise BadReplyError(f"the reply is no valid JSON: {type(error).__name__}") from error
        return self._read(reply, chat)

    def _options(self, seed: int) -> dict[str, Any]:
        options: dict[str, Any] = {
            "model": self.definition.model,
            "max_tokens": self.definition.max_new_tokens,
            "temperature": self.generate.temperature,
        }
        if self.stop:
            options["stop"] = self.stop
        if self.generate.temperature > 0:
            options |= {"top_p": self.generate.top_p, "seed": seed}
            if self.server:
                # transformers serve takes a temperature but samples only where this says so
                options["extra_body"] = {"generation_config": '{"do_sample": true, "top_k": 0}'}
        return options

    def _read(self, reply: Any, chat: bool) -> Answer:
        choices = [c for c in getattr(reply, "choices", None) or () if c.index == 0]
        if not choices:
            raise BadReplyError("a reply without an answer (no choice of index 0)")
        text = (choices[0].message.content if chat else choices[0].text) or ""
        whole = cut_at_stop(text, self.stop)
        ran_out = choices[0].finish_reason == "length" and whole == text
        usage = reply.usage
        return Answer(
            whole.strip(),
            "length" if ran_out else "stop",
            usage.prompt_tokens if usage else 0,
            usage.completion_tokens if usage else 0,
        )

    def _explain(self, error: openai.OpenAIError) -> str:
        said = str(error).replace(self.key, "***")
        where = f"{self.client.base_url} (model '{self.definition.model}')"
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return (
                f"{where} refuses the key: {said}; set the environment variable "
                f"{self.definition.key_env} to a valid one. Finished answers are kept."
            )
        if isinstance(error, openai.NotFoundError | openai.BadRequestError):
            return f"{where} refuses the request: {said}; check model, endpoint and base_url"
        return (
            f"{where} failed {MAX_RETRIES + 1} times in a row: {said}. Finished answers are kept: "
            "run again to go on."
        )

    def close(self) -> None:
        """End the requests and stop the local server, if there is one."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.client.close()
        if self.server:
            self.server.stop()


def _key(definition: LLM) -> str:
    """Return the API key; servers on the loopback may need none.

    Raises:
        GenerationError: a remote server needs one and the variable is not set.
    """
    if definition.base_url is None:
        return "local"
    key = os.environ.get(definition.key_env, "")
    if not key and urlsplit(definition.base_url).hostname not in LOOPBACK:
        raise GenerationError(
            f"{definition.base_url}: no API key; set the environment variable "
            f"{definition.key_env}, or name another with key_env"
        )
    return key or "none"

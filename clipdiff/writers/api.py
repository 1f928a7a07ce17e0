"""OpenAI-compatible servers: GPT-3 at its maker's, or any other, or a local one for this job."""

import logging
import os
import stat
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai

from clipdiff.settings import LLM, Generate
from clipdiff.errors import GenerationError
from clipdiff.writers.base import Answer, cut_at_stop
from clipdiff.prompts import Prompt, Turn, as_text
from clipdiff.writers.served.retries import MAX_RETRIES, BadReplyError, Rate, ask_again, quota_is_used_up
from clipdiff.writers.served.server import LocalServer

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 120.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
            base_url=url, api_key=self.key, max_retries=0, timeout=TIMEOUT_SECONDS
        )
        self.pool = ThreadPoolExecutor(self.concurrency)
        self.requests = Rate(definition.requests_per_minute)
        self.tokens = Rate(definition.tokens_per_minute)
        self.failure: Exception | None = None
        self.cancelled = False

    def write(
        self, prompts: Sequence[list[Turn]], seeds: Sequence[int], done: Container[int] = ()
    ) -> Iterator[tuple[int, Answer]]:
        """Answer prompts; see :meth:`clipdiff.writers.base.Writer.write`."""
        places = iter([place for place in range(len(prompts)) if place not in done])
        under_way: dict[Future[Answer | None], int] = {}
        while True:
            # a request is sent only when an answer was taken, so that cancelling is exact
            free = 0 if self.cancelled else self.concurrency - len(under_way)
            for place in islice(places, free):
                under_way[self.pool.submit(self._ask, prompts[place], seeds[place])] = place
            if not under_way:
                break
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                place, answer = under_way.pop(future), future.result()
                if answer is not None:
                    yield place, answer
        if self.failure:
            raise GenerationError(self._explain(self.failure)) from None  # it may hold the key

    def cancel(self) -> None:
        """Send no other request."""
        self.cancelled = True

    def _ask(self, turns: list[Turn], seed: int) -> Answer | None:
        """Return the answer; None once one has failed for good: others would too, and may cost."""
        if self.cancelled:
            return None
        try:
            return ask_again(lambda: self._ask_once(turns, seed))
        except (openai.OpenAIError, BadReplyError) as error:
            self.failure = self.failure or error
            self.cancel()
            return None

    def _ask_once(self, turns: list[Turn], seed: int) -> Answer:
        self.tokens.wait()
        self.requests.take_turn()
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
        used = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        self.tokens.spend(sum(used))
        return Answer(whole.strip(), "length" if ran_out else "stop", *used)

    def _explain(self, error: Exception) -> str:
        said = str(error).replace(self.key, "***")
        where = f"{self.client.base_url} (model '{self.definition.model}')"
        if quota_is_used_up(error):
            return (
                f"{where}: the quota is used up: {said}; add credit, or lower data.pairs. "
                "Finished answers are kept: run again to go on."
            )
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
        GenerationError: a remote server needs one and there is none, or others can read its file.
    """
    if definition.base_url is None:
        return "local"
    if definition.key_file is not None:
        return _read_key(Path(definition.key_file).expanduser())
    key = os.environ.get(definition.key_env, "")
    if not key and urlsplit(definition.base_url).hostname not in LOOPBACK:
        raise GenerationError(
            f"{definition.base_url}: no API key; set the environment variable "
            f"{definition.key_env}, or name another with key_env, or a file with key_file"
        )
    return key or "none"


def _read_key(path: Path) -> str:
    try:
        mode, key = stat.S_IMODE(path.stat().st_mode), path.read_text().strip()
    except OSError as error:
        raise GenerationError(f"key_file: {path}: {error.strerror}; correct the path") from error
    if mode & 0o077:
        raise GenerationError(f"key_file: {path}: others can read it; run `chmod 600 {path}`")
    return key

"""OpenAI-compatible servers: GPT-3 at its maker's, or any other, or a local one for this job."""

import json
import os
import stat
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from clipdiff.errors import GenerationError
from clipdiff.prompts import Prompt, Turn, as_text
from clipdiff.settings import Compute, Generate, Positive, Price, Values
from clipdiff.shipped import path_of
from clipdiff.writers.base import Answer, Finding, ModelName, TokenWriter, cut_at_stop
from clipdiff.writers.local.entry import existing_folder, model_finding, with_weights
from clipdiff.writers.served.rates import Rate
from clipdiff.writers.served.server import LocalServer

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Api(TokenWriter):
    """A model behind an OpenAI-compatible server."""

    kind: Literal["api"] = "api"
    model: ModelName = Field(
        description="the server's name of the model; without base_url a hub name, folder or "
        "demo:NAME to serve"
    )
    endpoint: Literal["completions", "chat"] = "completions"
    base_url: str | None = Field(
        None, description="server; null starts a local one (transformers serve) on `model`"
    )
    price: Price | None = Field(
        None,
        exclude=True,  # it changes no answer; tables and budgets take it
        description="of a million tokens, for estimates and generate.max_cost",
    )

    batch: Compute[Positive] = Field(64, description="requests under way at once")
    timeout: Compute[float] = Field(
        120.0, gt=0, description="seconds without a reply, after which a request is sent again"
    )
    key_env: Compute[str] = Field(
        "OPENAI_API_KEY", description="environment variable that holds the key"
    )
    key_file: Compute[str | None] = Field(
        None, description="file that holds the key instead, readable by its owner only (mode 600)"
    )
    requests_per_minute: Compute[Positive | None] = Field(None, description="most requests sent")
    tokens_per_minute: Compute[Positive | None] = Field(None, description="most tokens, in and out")

    @property
    def token_price(self) -> Price | None:
        """The price."""
        return self.price

    @property
    def folder(self) -> Path | None:
        """The folder that a local server serves."""
        return existing_folder(self.model) if self.runs_here else None

    @property
    def runs_here(self) -> bool:
        """Whether the server is a local one."""
        return self.base_url is None

    def compute(self) -> Values:
        """Return how answers are computed, with the price: a budget counts in it."""
        price = {"price": self.price.model_dump()} if self.price else {}
        return {**super().compute(), **price}

    def identity(self) -> Values:
        """Return the settings, with what its files hold for the name of a locally served model."""
        return with_weights(super().identity(), self.folder)

    def open(self, generate: Generate, prompt: Prompt) -> "ApiWriter":
        """Connect; see :meth:`clipdiff.writers.base.WriterEntry.open`."""
        return ApiWriter(self, generate, prompt)

    def preview(self, turns: list[Turn]) -> str:
        """Return a conversation as its endpoint takes it: messages, or one text."""
        if self.endpoint == "chat":
            return json.dumps(turns, indent=2, ensure_ascii=False)
        return as_text(turns)

    def findings(self) -> Iterator[Finding]:
        """Yield whether there is a key for the server, or a model to serve."""
        if self.base_url is None:
            yield model_finding(self.model)
            return
        there, place = bool(os.environ.get(self.key_env)), f"the variable {self.key_env}"
        if self.key_file is not None:
            there, place = Path(self.key_file).expanduser().is_file(), self.key_file
        yield there, f"{self.base_url}; its key in {place}"

    def key(self) -> str:
        """Return the API key; servers on the loopback may need none.

        Raises:
            GenerationError: a remote server needs one and there is none, or others can read its
                file.
        """
        if self.base_url is None:
            return "local"
        if self.key_file is not None:
            return _read_key(Path(self.key_file).expanduser())
        key = os.environ.get(self.key_env, "")
        if not key and urlsplit(self.base_url).hostname not in LOOPBACK:
            raise GenerationError(
                f"{self.base_url}: no API key; set the environment variable {self.key_env}, or "
                "name another with key_env, or a file with key_file"
            )
        return key or "none"


class ApiWriter:
    """The ``openai`` client on completions or chat; ``batch`` requests are under way at once."""

    def __init__(self, entry: Api, generate: Generate, prompt: Prompt):
        import openai

        self.entry, self.generate, self.stop = entry, generate, prompt.stop
        self.key = entry.key()
        self.model, url = entry.model, entry.base_url
        self.server: LocalServer | None = None
        self.concurrency = entry.batch
        if url is None:
            # The server's random state is shared by all that it decodes, so with sampling only
            # one request at a time has draws of its own.
            greedy = generate.temperature == 0
            self.concurrency = entry.batch if greedy else 1
            self.model = path_of(entry.model)
            self.server = LocalServer(self.model, greedy, withheld=[entry.key_env])
            url = self.server.base_url
        self.client = openai.OpenAI(
            base_url=url, api_key=self.key, max_retries=0, timeout=entry.timeout
        )
        self.pool = ThreadPoolExecutor(self.concurrency)
        self.requests = Rate(entry.requests_per_minute)
        self.tokens = Rate(entry.tokens_per_minute)
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
        from clipdiff.writers.served.retries import FAILURES, ask_again

        if self.cancelled:
            return None
        try:
            return ask_again(lambda: self._ask_once(turns, seed))
        except FAILURES as error:
            self.failure = self.failure or error
            self.cancel()
            return None

    def _ask_once(self, turns: list[Turn], seed: int) -> Answer:
        from clipdiff.writers.served.retries import TooLongError, valid_reply

        self.tokens.wait()
        self.requests.take_turn()
        chat = self.entry.endpoint == "chat"
        try:
            with valid_reply():
                if chat:
                    create: Any = self.client.chat.completions.create
                    reply = create(messages=turns, **self._options(seed))
                else:
                    create = self.client.completions.create
                    reply = create(prompt=as_text(turns), **self._options(seed))
        except TooLongError:
            return Answer("", "length", 0, 0)  # as local models do with a prompt that is too long
        return self._read(reply, chat)

    def _options(self, seed: int) -> dict[str, Any]:
        options: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.entry.max_new_tokens,
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
        from clipdiff.writers.served.retries import BadReplyError

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
        from clipdiff.writers.served.retries import why_for_good

        where = f"{self.client.base_url} (model '{self.model}')"
        said = str(error).replace(self.key, "***")
        return f"{where} {why_for_good(error, said, self.entry.key_env)}"

    def close(self) -> None:
        """End the requests and stop the local server, if there is one."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.client.close()
        if self.server:
            self.server.stop()


def _read_key(path: Path) -> str:
    try:
        mode, key = stat.S_IMODE(path.stat().st_mode), path.read_text().strip()
    except OSError as error:
        raise GenerationError(f"key_file: {path}: {error.strerror}; correct the path") from error
    if mode & 0o077:
        raise GenerationError(f"key_file: {path}: others can read it; run `chmod 600 {path}`")
    return key

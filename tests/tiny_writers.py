"""Fixtures on writers: tiny random models of every kind, and a server that misbehaves on order."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest
import torch

from clipdiff.demo_models.language_models import BUILDERS
from clipdiff.demo_models.train_llm import examples
from clipdiff.writers.base import WRITERS, WriterEntry

ENTRIES = {
    "llama": {"kind": "causal", "prompt": "chat"},
    "gpt2": {"kind": "causal", "prompt": "completion"},
    "t5": {"kind": "seq2seq", "prompt": "task_prefix"},
    "bert": {"kind": "masked", "prompt": "scaffold"},
}
CAPTIONS = [
    ("two small foxes on a red background", "a huge dog in front of a blue wall"),
    ("one big key on white", "three little keys, everything behind is white"),
    ("a picture of a trio of mice on black", "a single pizza (food) on a pink background"),
    ("a green picture with two tiny bells", "two tiny bells on a green background"),
    ("a bus", "an emoji scene: one medium-sized bus, everything behind is yellow, and no more"),
    ("two owls on purple", "one owl on purple"),
    ("a large crown on a pink background", "a large drum on a pink background"),
]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of tiny models of random weights, one a kind, saved with ``save_pretrained``."""
    root = tmp_path_factory.mktemp("models")
    for name, build in BUILDERS.items():
        torch.manual_seed(0)
        corpus = [
            text for _, row in zip(range(300), examples(name, 3), strict=False) for text in row
        ]
        model, tokenizer = build(corpus)
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


@pytest.fixture
def entry(models: Path) -> Callable[..., WriterEntry]:
    """Return a function that makes an ``llm_definitions`` entry on a tiny model."""

    def make(name: str, **changes: object) -> WriterEntry:
        values = {"model": str(models / name), "batch": 3, **ENTRIES[name], **changes}
        if values["kind"] != "masked":
            values.setdefault("max_new_tokens", 8)
        return WRITERS.make(values)

    return make


@pytest.fixture
def asked() -> list[tuple[str, str]]:
    """Caption pairs of different lengths."""
    return CAPTIONS


Reply = tuple[int, dict[str, str], str]
Fault = Literal["reset", "half", "hang"]  # the connection breaks, the reply breaks, there is none


class Server:
    """An HTTP server that follows a script; when it is over, every request is answered well."""

    def __init__(self) -> None:
        self.script: list[Reply | Fault | None] = []  # None is a good answer
        self.bodies: list[dict] = []
        self.keys: list[str] = []
        self.paid: list[str] = []  # prompts with a good answer, sent to its last byte
        self.hang_after: int | None = None  # requests answered before all others wait for ever
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.bodies.append(body)
                    outer.keys.append(self.headers.get("Authorization", ""))
                    scripted = outer.script.pop(0) if outer.script else None
                    hangs = outer.hang_after is not None and len(outer.bodies) > outer.hang_after
                if hangs or scripted == "hang":
                    threading.Event().wait(300 if hangs else 2)
                    return
                if scripted == "reset":
                    linger = struct.pack("ii", 1, 0)  # closing sends RST
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    return
                if scripted == "half":
                    text = good(body)[2]
                    scripted = 200, {"Content-Length": str(len(text))}, text[:-30]
                status, headers, text = scripted or good(body)
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())
                if scripted is None:
                    self.wfile.flush()
                    with outer.lock:
                        outer.paid.append(body.get("prompt") or json.dumps(body["messages"]))

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.block_on_close = False
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


def good(body: dict) -> Reply:
    """Answer with the question, so that a test sees that answers and rows belong together."""
    asked = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    text = f" About {asked.splitlines()[0]}"
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None}
    choice |= (
        {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
    )
    reply = {"id": "1", "object": "x", "created": 0, "model": "m", "choices": [choice]}
    reply["usage"] = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    return 200, {}, json.dumps(reply)


@pytest.fixture
def server() -> Iterator[Server]:
    """A misbehaving server on the loopback."""
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()

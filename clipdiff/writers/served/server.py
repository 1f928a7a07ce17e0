"""A local OpenAI-compatible server, ``transformers serve``, for the time of one job.

It listens on a free port of the loopback, and it ends with the job: stopped on the way out, and
killed by the kernel (Linux) if the job itself is killed.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from clipdiff.errors import GenerationError
from clipdiff.provenance import gpu_names
from clipdiff.writers.local.folders import check_folder

HOST = "127.0.0.1"
START_SECONDS = 300.0
STOP_SECONDS = 10.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Left alone, continuous batching takes nearly all memory of a CPU machine for its cache and is
# three times slower. This holds 32 requests of 1,024 tokens; more wait their turn.
CPU_CACHE = ["--cb-num-blocks", "1024", "--cb-max-batch-tokens", "2048"]


class LocalServer:
    """One running server in front of one model folder."""

    def __init__(self, model: str, batching: bool, withheld: Iterable[str] = ()):
        """Start it and wait until it answers.

        Args:
            model: folder made by ``save_pretrained``, or a hub name.
            batching: decode concurrent requests together (continuous batching).
            withheld: environment variables that it must not see, such as API keys.

        Raises:
            ModelError: the folder holds no model.
            GenerationError: it does not come up; the message ends with what it said.
        """
        check_folder(model)
        port = _free_port()
        self.base_url = f"http://{HOST}:{port}/v1"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        options = ["--host", HOST, "--port", str(port), "--log-level", "error"]
        if batching:
            options += ["--continuous-batching"]
            options += [] if gpu_names() else CPU_CACHE
        environment = {k: v for k, v in os.environ.items() if k not in set(withheld)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(os.getpid()), model, *options],
            env=environment | ({"HF_HUB_OFFLINE": "1"} if Path(model).is_dir() else {}),
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the job, which then stops it in order
        )
        try:
            self._wait(f"http://{HOST}:{port}/health")
        except BaseException:
            self.stop()
            raise

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise GenerationError(
                    f"transformers serve ended with {self._process.returncode}:\n{self._tail()}"
                )
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as reply:
                if reply.status == 200:
                    return
            time.sleep(0.2)
        raise GenerationError(
            f"transformers serve was not up after {START_SECONDS:.0f} s:\n{self._tail()}"
        )

    def _tail(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace")[-2_000:]

    def stop(self) -> None:
        """Stop it: politely, then by force."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._said.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


def _serve(parent: str, *arguments: str) -> None:
    _die_with_parent(int(parent))
    from transformers.cli.transformers import main

    sys.argv = ["transformers", "serve", *arguments]
    main()


if __name__ == "__main__":
    _serve(*sys.argv[1:])

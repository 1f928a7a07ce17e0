"""vLLM in this process: causal models on GPUs, for many prompts. Has an environment of its own."""

from collections.abc import Container, Iterator, Sequence
from typing import Literal

from clipdiff.errors import ModelError
from clipdiff.prompts import Prompt, Turn, as_text
from clipdiff.settings import Generate
from clipdiff.writers.base import Answer, cut_at_stop
from clipdiff.writers.local.decoding import DecodingModel, render_chat


class Vllm(DecodingModel):
    """A causal model under vLLM, with the tokenizer's own chat template where it has one."""

    kind: Literal["vllm"] = "vllm"

    def open(self, generate: Generate, prompt: Prompt) -> "VllmWriter":
        """Load the model; see :meth:`clipdiff.writers.base.WriterEntry.open`."""
        return VllmWriter(self, generate, prompt)

    def preview(self, turns: list[Turn]) -> str:
        """Return a conversation in the chat template."""
        return render_chat(self.tokenizer(), turns)


class VllmWriter:
    """``vllm.LLM`` on all GPUs that the job sees; prompts share the cache of what they begin with.

    vLLM batches by itself, so an answer may differ in rounding with what else is asked, and the
    answers of a shard come together.
    """

    def __init__(self, entry: Vllm, generate: Generate, prompt: Prompt):
        try:
            import torch
            import vllm
        except ImportError as error:
            raise ModelError(
                f"kind 'vllm': {error}; install vLLM into an environment of its own and run this "
                "stage there, or use kind 'causal' (transformers)"
            ) from error
        self.generate, self.stop = generate, prompt.stop
        self.max_new_tokens, self.cancelled = entry.max_new_tokens, False
        self.sampling = vllm.SamplingParams
        try:
            self.engine = vllm.LLM(
                model=entry.checkpoint,
                revision=entry.revision,
                dtype=entry.dtype,
                tensor_parallel_size=max(torch.cuda.device_count(), 1),
                max_num_seqs=entry.batch,
                enable_prefix_caching=True,
                seed=generate.seed,
            )
        except Exception as error:  # vLLM, the hub and CUDA share no base class
            raise ModelError(f"'{entry.model}' can't be loaded by vLLM: {error}") from error

    def write(
        self, prompts: Sequence[list[Turn]], seeds: Sequence[int], done: Container[int] = ()
    ) -> Iterator[tuple[int, Answer]]:
        """Answer prompts; see :meth:`clipdiff.writers.base.Writer.write`."""
        places = [place for place in range(len(prompts)) if place not in done]
        if self.cancelled or not places:
            return
        settings = [self._sampling(seeds[place]) for place in places]
        asked = [prompts[place] for place in places]
        if self.engine.get_tokenizer().chat_template is None:
            outputs = self.engine.generate([as_text(turns) for turns in asked], settings)
        else:
            outputs = self.engine.chat(asked, settings)
        for place, output in zip(places, outputs, strict=True):
            completion = output.outputs[0]
            text = cut_at_stop(completion.text, self.stop).strip()
            ran_out = completion.finish_reason == "length"
            used = len(output.prompt_token_ids), len(completion.token_ids)
            yield place, Answer(text, "length" if ran_out else "stop", *used)

    def _sampling(self, seed: int) -> object:
        return self.sampling(
            temperature=self.generate.temperature,
            top_p=self.generate.top_p,
            max_tokens=self.max_new_tokens,
            stop=self.stop or None,
            seed=seed,
        )

    def cancel(self) -> None:
        """Begin no other shard."""
        self.cancelled = True

    def close(self) -> None:
        """Drop the model."""
        del self.engine

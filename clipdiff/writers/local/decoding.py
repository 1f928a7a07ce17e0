"""Batched decoding with ``generate``, shared by causal and encoder-decoder models."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from clipdiff.prompts import Prompt, Turn, as_text
from clipdiff.settings import Generate
from clipdiff.writers.base import Answer, TokenWriter, cut_at_stop
from clipdiff.writers.local.batch_writer import BatchWriter
from clipdiff.writers.local.entry import LocalModel

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


class DecodingModel(LocalModel, TokenWriter):
    """Settings of a model in this process that writes token by token."""


class DecodingWriter(BatchWriter):
    """A model in this process that writes token by token."""

    auto: ClassVar[str]
    """Name of the Auto class of ``transformers``."""
    padding_side: ClassVar[str]

    def __init__(self, entry: DecodingModel, generate: Generate, prompt: Prompt):
        import transformers

        from clipdiff.writers.local.checkpoints import load_checkpoint

        self.model, self.tokenizer = load_checkpoint(getattr(transformers, self.auto), entry)
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.generate, self.batch, self.stop = generate, entry.batch, prompt.stop
        self.max_new_tokens = entry.max_new_tokens
        own = self.model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else self.tokenizer.eos_token_id
        self.ends = set(ends if isinstance(ends, list) else [ends]) - {None}
        self.config = transformers.GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=sorted(self.ends) or None,
            decoder_start_token_id=own.decoder_start_token_id,
            bos_token_id=own.bos_token_id,
        )

    @abstractmethod
    def prompt_columns(self, width: int) -> int:
        """Return how many columns of ``generate``'s output come before the answer."""

    def inputs(self, encoded: list[list[int]]) -> dict[str, Any]:
        """Return padded ids (N, L) and their mask, both int64, for ``generate``."""
        padded = self.tokenizer.pad(
            {"input_ids": encoded}, padding_side=self.padding_side, return_tensors="pt"
        ).to(self.model.device)
        return {"input_ids": padded.input_ids, "attention_mask": padded.attention_mask}

    def answer(self, encoded: list[list[int]], seeds: list[int]) -> list[Answer]:
        """Answer one batch of encoded prompts."""
        import torch

        from clipdiff.writers.local.sampling import sampler

        with torch.inference_mode():
            inputs = self.inputs(encoded)
            before = self.prompt_columns(inputs["input_ids"].shape[1])
            output = self.model.generate(
                **inputs,
                generation_config=self.config,
                logits_processor=sampler(self.generate, seeds, before),
                **({"stop_strings": self.stop, "tokenizer": self.tokenizer} if self.stop else {}),
            )
        return self._read(encoded, output[:, before:])

    def _read(self, encoded: list[list[int]], output: "Tensor") -> list[Answer]:
        """Decode (N, L) answer ids: each row up to its end token or stop string."""
        own, ended = [], []
        for ids in output.tolist():
            end = next((place for place, token in enumerate(ids) if token in self.ends), None)
            own.append(ids[:end])
            ended.append(end is not None)
        answers = []
        texts = self.tokenizer.batch_decode(own, skip_special_tokens=True)
        for prompt, ids, text, has_end in zip(encoded, own, texts, ended, strict=True):
            whole = cut_at_stop(text, self.stop)
            reason: Literal["stop", "length"] = "stop" if has_end or whole != text else "length"
            answers.append(Answer(whole.strip(), reason, len(prompt), len(ids)))
        return answers

    def context(self) -> int:
        """Return how many tokens the model can look at."""
        from clipdiff.writers.local.checkpoints import max_positions

        return max_positions(self.model, self.tokenizer)


def render_chat(tokenizer: "PreTrainedTokenizerBase", turns: list[Turn]) -> str:
    """Return a conversation in the tokenizer's own chat template, or as plain text without one."""
    if tokenizer.chat_template is None:
        return as_text(turns)
    messages: list[Any] = [*turns]
    template = tokenizer.apply_chat_template
    return str(template(messages, tokenize=False, add_generation_prompt=True))

"""Batched decoding with ``generate``, shared by causal and encoder-decoder models."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import GenerationConfig

from clipdiff.settings import LLM, Generate
from clipdiff.writers.base import Answer, cut_at_stop
from clipdiff.writers.local.batches import BatchWriter
from clipdiff.writers.local.checkpoints import load_checkpoint, max_positions
from clipdiff.prompts import Prompt
from clipdiff.writers.local.sampling import sampler


class DecodingWriter(BatchWriter):
    """A model in this process that writes token by token."""

    auto: ClassVar[Any]
    padding_side: ClassVar[str]

    def __init__(self, definition: LLM, generate: Generate, prompt: Prompt):
        self.model, self.tokenizer = load_checkpoint(self.auto, definition)
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.generate, self.batch, self.stop = generate, definition.batch, prompt.stop
        self.max_new_tokens = definition.max_new_tokens
        own = self.model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else self.tokenizer.eos_token_id
        self.ends = set(ends if isinstance(ends, list) else [ends]) - {None}
        self.config = GenerationConfig(
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

    @torch.inference_mode()
    def answer(self, encoded: list[list[int]], seeds: list[int]) -> list[Answer]:
        """Answer one batch of encoded prompts."""
        inputs = self.inputs(encoded)
        before = self.prompt_columns(inputs["input_ids"].shape[1])
        output = self.model.generate(
            **inputs,
            generation_config=self.config,
            logits_processor=sampler(self.generate, seeds, before),
            **({"stop_strings": self.stop, "tokenizer": self.tokenizer} if self.stop else {}),
        )
        return self._read(encoded, output[:, before:])

    def _read(self, encoded: list[list[int]], output: Tensor) -> list[Answer]:
        """Decode (N, L) answer ids: each row up to its end token or stop string."""
        cut, ended = [], []
        for ids in output.tolist():
            end = next((place for place, token in enumerate(ids) if token in self.ends), None)
            cut.append(ids[:end])
            ended.append(end is not None)
        answers = []
        texts = self.tokenizer.batch_decode(cut, skip_special_tokens=True)
        for prompt, ids, text, has_end in zip(encoded, cut, texts, ended, strict=True):
            whole = cut_at_stop(text, self.stop)
            reason = "stop" if has_end or whole != text else "length"
            answers.append(Answer(whole.strip(), reason, len(prompt), len(ids)))
        return answers


def context_room(writer: DecodingWriter, reserved: int) -> int:
    """Return the model's positions less ``reserved``."""
    return max_positions(writer.model, writer.tokenizer) - reserved

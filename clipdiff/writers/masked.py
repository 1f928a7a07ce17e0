"""Masked models such as BERT: the slots of a scaffold are filled over several rounds.

Mask-predict (Ghazvininejad et al. 2019, section 3): all slots are predicted at once; then, for a
number of rounds, the least confident are masked again and predicted given the others.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from clipdiff import prompts
from clipdiff.errors import ModelError
from clipdiff.prompts import MASK, Prompt, Turn, as_text
from clipdiff.settings import Generate, Positive
from clipdiff.writers.base import Answer
from clipdiff.writers.local.batch_writer import BatchWriter
from clipdiff.writers.local.entry import LocalModel

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


class Masked(LocalModel):
    """A masked model: it fills the slots of its prompt, so it can't reword captions."""

    rewrites: ClassVar[bool] = False

    kind: Literal["masked"] = "masked"
    rounds: Positive = Field(4, description="mask-predict rounds")

    @property
    def expected_tokens(self) -> float:
        """One word a slot."""
        return prompts.load(self.prompt).scaffold.count(MASK)

    def open(self, generate: Generate, prompt: Prompt) -> "MaskedWriter":
        """Load the model; see :meth:`clipdiff.writers.base.WriterEntry.open`."""
        return MaskedWriter(self, generate, prompt)

    def preview(self, turns: list[Turn]) -> str:
        """Return a conversation as one text, with the model's own mask in the slots."""
        return as_text(turns).replace(MASK, str(self.tokenizer().mask_token))


class MaskedWriter(BatchWriter):
    """``AutoModelForMaskedLM``; the answer is the filled scaffold without the captions."""

    def __init__(self, entry: Masked, generate: Generate, prompt: Prompt):
        from transformers import AutoModelForMaskedLM

        from clipdiff.writers.local.checkpoints import load_checkpoint

        self.model, self.tokenizer = load_checkpoint(AutoModelForMaskedLM, entry)
        if self.tokenizer.mask_token is None:
            raise ModelError(f"'{entry.model}' has no mask token; kind 'masked' needs one")
        self.generate, self.batch, self.rounds = generate, entry.batch, entry.rounds
        scaffold = prompt.scaffold.replace(MASK, self.tokenizer.mask_token)
        self.scaffold = self.tokenizer(scaffold, add_special_tokens=False).input_ids
        mask = self.tokenizer.mask_token_id
        self.slots = [place for place, token in enumerate(self.scaffold) if token == mask]
        if not self.slots:
            raise ModelError(f"prompt {prompt.version}: has no {MASK} slots; kind 'masked' needs")
        self.banned = banned_tokens(self.tokenizer, self.model.config.vocab_size)

    def encode(self, prompts: Sequence[list[Turn]]) -> list[list[int]]:
        """Return token ids, with the model's own mask token in the slots."""
        mask = self.tokenizer.mask_token
        return self.tokenizer([as_text(turns).replace(MASK, mask) for turns in prompts]).input_ids

    def room(self) -> int:
        """The answer stands within the prompt."""
        from clipdiff.writers.local.checkpoints import max_positions

        return max_positions(self.model, self.tokenizer)

    def answer(self, encoded: list[list[int]], seeds: list[int]) -> list[Answer]:
        """Answer one batch of encoded prompts."""
        import torch

        with torch.inference_mode():
            texts, count = self._fill(encoded, seeds), len(self.slots)
        return [
            Answer(text, "stop", len(ids), count) for text, ids in zip(texts, encoded, strict=True)
        ]

    def _fill(self, encoded: list[list[int]], seeds: list[int]) -> list[str]:
        import torch

        padded = self.tokenizer.pad(
            {"input_ids": encoded}, padding_side="right", return_tensors="pt"
        ).to(self.model.device)
        ids, mask = padded.input_ids, self.tokenizer.mask_token_id
        count = len(self.slots)
        places = torch.stack([(row == mask).nonzero()[-count:, 0] for row in ids])  # (N, slots)
        confidence = torch.zeros(places.shape, device=ids.device)
        hidden = torch.ones_like(places, dtype=torch.bool)
        for turn in range(self.rounds):
            if turn:
                again = count * (self.rounds - turn) // self.rounds
                hidden = least_confident(confidence, again)
                ids.scatter_(1, places, ids.gather(1, places).masked_fill(hidden, mask))
            words, probability = self._predict(ids, padded.attention_mask, places, seeds, turn)
            words = torch.where(hidden, words, ids.gather(1, places))
            ids.scatter_(1, places, words)
            confidence = torch.where(hidden, probability, confidence)
        starts = (places[:, -1] - self.slots[-1]).tolist()
        answers = [
            row[start : start + len(self.scaffold)]
            for row, start in zip(ids.tolist(), starts, strict=True)
        ]
        return [sentence_case(text) for text in self.tokenizer.batch_decode(answers)]

    def _predict(
        self, ids: "Tensor", attention: "Tensor", places: "Tensor", seeds: list[int], turn: int
    ) -> "tuple[Tensor, Tensor]":
        """Return token (N, slots) int64 and its probability (N, slots) for every slot."""
        import torch

        from clipdiff.writers.local.sampling import sampler

        logits = self.model(input_ids=ids, attention_mask=attention).logits
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        scores = logits[rows, places].float()  # (N, slots, V)
        scores[..., self.banned.to(scores.device)] = -torch.inf
        probability = scores.softmax(-1)
        noisy = scores
        if self.generate.temperature > 0:
            count, size = len(self.slots), scores.shape[-1]
            drawn = [seed + 7919 * slot for seed in seeds for slot in range(count)]
            draw = sampler(self.generate, drawn, ids.shape[1] - turn)
            flat: Any = ids.repeat_interleave(count, 0)
            flat_scores: Any = scores.reshape(-1, size)
            noisy = draw(flat, flat_scores).view(scores.shape)
        words = noisy.argmax(-1)
        return words, probability.gather(-1, words[..., None])[..., 0]


def least_confident(confidence: "Tensor", count: int) -> "Tensor":
    """Mark the ``count`` smallest of each row of confidence (N, slots); (N, slots) bool."""
    import torch

    places = confidence.topk(count, dim=1, largest=False).indices
    return torch.zeros_like(confidence, dtype=torch.bool).scatter_(1, places, True)


def banned_tokens(tokenizer: "PreTrainedTokenizerBase", size: int) -> "Tensor":
    """Return (V,) bool: tokens that are no word of their own: special, pieces, punctuation."""
    import torch

    names = tokenizer.convert_ids_to_tokens([*range(min(size, len(tokenizer)))])
    special = set(tokenizer.all_special_tokens)
    banned = torch.ones(size, dtype=torch.bool)
    for token, name in enumerate(names):
        word = not name.startswith("##") and any(c.isalnum() for c in name)
        banned[token] = name in special or not word
    return banned


def sentence_case(text: str) -> str:
    """Join punctuation to its word, and begin sentences with a capital."""
    text = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(text.split()))
    return re.sub(r"(^|[.!?] )([a-z])", lambda match: match[1] + match[2].upper(), text)

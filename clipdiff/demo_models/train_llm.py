"""Train one of the demo's LLMs: ``python -m clipdiff.demo_models.train_llm llama FOLDER``.

They learn, from captions of train scenes only, to write differences (and caption rewrites) when
asked with exactly the prompts that the generate stage sends. Three to six minutes each on two
cores.
"""

import logging
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from clipdiff.demo.corpus import EASY_PAIRS, REAL_PAIRS, difference_examples, draw_scene
from clipdiff.demo.scenes import caption
from clipdiff.demo_models.language_models import BUILDERS
from clipdiff.prompts import render

log = logging.getLogger(__name__)

BATCH = 64
# Steps, peak learning rate and kind of pairs of each rise and fall of the learning rate.
CYCLES = {
    "llama": ((1_500, 3e-3, EASY_PAIRS), (700, 2e-3, REAL_PAIRS)),
    "gpt2": ((1_400, 3e-3, EASY_PAIRS),),
    "t5": ((1_500, 3e-3, EASY_PAIRS), (700, 2e-3, REAL_PAIRS)),
    "bert": ((1_200, 3e-3, EASY_PAIRS),),
}
BUCKET = 16  # batches made at once and sorted by length, so that little is padding
PROMPTS = {"llama": "chat", "gpt2": "completion", "t5": "task_prefix", "bert": "scaffold"}
REWRITE_SHARE = 0.15


def rewrite_examples(count: int, seed: int) -> list[tuple[str, str]]:
    """Return ``count`` pairs (caption, another wording of the same scene)."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        scene = draw_scene(rng, "train")
        rows.append((caption(scene), caption(scene._replace(seed=rng.randrange(2**31)))))
    return rows


def examples(kind: str, seed: int, shared: Sequence[int] = EASY_PAIRS) -> Iterator[tuple[str, str]]:
    """Yield (prompt, answer) for ever."""
    prompt, rng = PROMPTS[kind], random.Random(seed)
    while True:
        chunk = 1_024
        differences = difference_examples(chunk, rng.randrange(2**31), shared)
        rewrites = iter(rewrite_examples(chunk, rng.randrange(2**31)))
        for first, second, difference, scaffold in differences:
            if prompt == "scaffold":
                yield render(prompt, "difference", first, second), scaffold
                continue
            yield render(prompt, "difference", first, second), difference
            if rng.random() < REWRITE_SHARE:
                old, new = next(rewrites)
                yield render(prompt, "rewrite", old), new


def encode_causal(
    tokenizer: PreTrainedTokenizerFast, rows: list[tuple[str, str]]
) -> dict[str, Tensor]:
    """Encode prompt and answer as one sequence; the loss is on the answer."""
    chat = tokenizer.chat_template is not None
    prompts, wholes = [], []
    for prompt, answer in rows:
        turns = [{"role": "user", "content": prompt}]
        question = tokenizer.apply_chat_template(turns, tokenize=False) if chat else prompt
        prompts.append(question)
        wholes.append(f"{question} {answer}{tokenizer.eos_token}")
    lengths = [len(ids) for ids in tokenizer(prompts).input_ids]
    whole = tokenizer(wholes, padding=True, padding_side="right", return_tensors="pt")
    labels = whole.input_ids.masked_fill(whole.attention_mask == 0, -100)
    for row, length in enumerate(lengths):
        labels[row, :length] = -100
    return {
        "input_ids": whole.input_ids,
        "attention_mask": whole.attention_mask,
        "labels": labels,
    }


def encode_seq2seq(
    tokenizer: PreTrainedTokenizerFast, rows: list[tuple[str, str]]
) -> dict[str, Tensor]:
    """Encode prompts as encoder input and answers as decoder labels."""
    question = tokenizer([prompt for prompt, _ in rows], padding=True, return_tensors="pt")
    answers = tokenizer([answer for _, answer in rows], padding=True, return_tensors="pt")
    labels = answers.input_ids.masked_fill(answers.attention_mask == 0, -100)
    return {
        "input_ids": question.input_ids,
        "attention_mask": question.attention_mask,
        "labels": labels,
    }


def encode_masked(
    tokenizer: PreTrainedTokenizerFast, rows: list[tuple[str, str]]
) -> dict[str, Tensor]:
    """Encode prompts whose slots are filled by the answers; a random part of the slots is masked.

    The scaffold is the tail of the prompt, one token a word, so slots align from the right.
    """
    question = tokenizer([prompt for prompt, _ in rows], padding=False).input_ids
    fillings = tokenizer([answer for _, answer in rows], add_special_tokens=False).input_ids
    truth = []
    for ids, answer in zip(question, fillings, strict=True):
        slots = [place for place, token in enumerate(ids) if token == tokenizer.mask_token_id]
        tail = slots[0] - _first_difference(ids[slots[0] - 1 :: -1], answer)
        truth.append(ids[:tail] + answer + [tokenizer.sep_token_id])
    batch = tokenizer.pad({"input_ids": question}, return_tensors="pt")
    whole = tokenizer.pad({"input_ids": truth}, return_tensors="pt").input_ids
    is_slot = batch["input_ids"] == tokenizer.mask_token_id
    visible = is_slot & (torch.rand(is_slot.shape) < torch.rand(len(rows), 1) * 0.9)
    batch["input_ids"] = torch.where(visible, whole, batch["input_ids"])
    batch["labels"] = whole.masked_fill(~is_slot | visible, -100)
    return dict(batch)


def _first_difference(backwards: list[int], answer: list[int]) -> int:
    """Return how many tokens before the first slot belong to the scaffold."""
    for length in range(len(answer), 0, -1):
        if backwards[:length][::-1] == answer[:length]:
            return length
    return 0


def batches(stream: Iterator[tuple[str, str]], seed: int) -> Iterator[list[tuple[str, str]]]:
    """Yield batches of rows of like length, for ever."""
    rng = random.Random(seed)
    while True:
        rows = [next(stream) for _ in range(BUCKET * BATCH)]
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        bucket = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        rng.shuffle(bucket)
        yield from bucket


ENCODERS = {
    "llama": encode_causal,
    "gpt2": encode_causal,
    "t5": encode_seq2seq,
    "bert": encode_masked,
}


def make_optimizers(model: nn.Module, peak_lr: float) -> list[torch.optim.Optimizer]:
    """Return Muon (Jordan 2024) for the hidden matrices and AdamW for embeddings and the rest."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    hidden = [p for p in model.parameters() if p.ndim == 2 and id(p) not in tables]
    hidden_ids = {id(p) for p in hidden}
    rest = [p for p in model.parameters() if id(p) not in hidden_ids]
    muon = torch.optim.Muon(hidden, lr=peak_lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, lr=peak_lr, weight_decay=0.0, betas=(0.9, 0.98))]


def train(kind: str, folder: Path) -> None:
    """Train one model from scratch and write it with ``save_pretrained``."""
    torch.manual_seed(0)
    stream = examples(kind, 3, EASY_PAIRS)
    corpus = [text for _, row in zip(range(20_000), stream, strict=False) for text in row]
    model, tokenizer = BUILDERS[kind](corpus)
    log.info("%s: %d parameters, %d tokens", kind, model.num_parameters(), len(tokenizer))
    for seed, (steps, peak_lr, shared) in enumerate(CYCLES[kind], start=4):
        rows = batches(examples(kind, seed, shared), seed)
        train_cycle(model, lambda r: ENCODERS[kind](tokenizer, r), rows, steps, peak_lr)
    scratch = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def train_cycle(
    model: nn.Module,
    encode: Callable[[list[tuple[str, str]]], dict[str, Tensor]],
    rows: Iterator[list[tuple[str, str]]],
    steps: int,
    peak_lr: float,
) -> None:
    """Train with one rise and fall of the learning rate; changes the model in place."""
    optimizers = make_optimizers(model, peak_lr)
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, peak_lr, steps, pct_start=0.1, cycle_momentum=False
        )
        for optimizer in optimizers
    ]
    model.train()
    began = time.monotonic()
    for step, batch in zip(range(steps), rows, strict=False):
        loss = model(**encode(batch)).loss
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        for schedule in schedules:
            schedule.step()
        if step % 100 == 0 or step == steps - 1:
            log.info("step %d loss %.3f, %.0f s", step, loss.item(), time.monotonic() - began)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(sys.argv[1], Path(sys.argv[2]))

"""Pairs a second of the causal writer against a plain loop of ``generate``, one pair at a time.

``pytest tests/benchmarks --benchmark-only -k generate -s`` measures the demo's Llama;
``CLIPDIFF_BENCH_LLM=/folder/of/a/chat/model`` another, with the few-shot prompt for real models.
Both sides are greedy and must give the same texts before a ratio is given.
"""

import os
import sys
import time
from collections.abc import Callable

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from clipdiff import prompts
from clipdiff.demo.corpus import difference_examples
from clipdiff.settings import Generate
from clipdiff.shipped import path_of
from clipdiff.writers.base import cut_at_stop
from clipdiff.writers.causal import Causal
from clipdiff.writers.local.decoding import render_chat

MODEL = path_of(os.environ.get("CLIPDIFF_BENCH_LLM", "demo:llama"))
PROMPT = "llama2_chat" if "CLIPDIFF_BENCH_LLM" in os.environ else "chat"
PAIRS = int(os.environ.get("CLIPDIFF_BENCH_LLM_PAIRS", "128"))
NEW_TOKENS = 48


def test_bench_generate_against_a_plain_loop(benchmark) -> None:
    """Time both sides on the same pairs; print the ratio."""
    entry = Causal(model=MODEL, prompt=PROMPT, batch=32, max_new_tokens=NEW_TOKENS)
    prompt = prompts.load(PROMPT)
    writer = entry.open(Generate(), prompt)
    pairs = [row[:2] for row in difference_examples(PAIRS, seed=5)]
    turns = [prompt.turns("difference", *pair) for pair in pairs]
    batched, seconds = timed(lambda: dict(writer.write(turns, [0] * PAIRS)))
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype="float32").eval()
    texts, plain_seconds = timed(lambda: plain_loop(model, turns, prompt.stop))
    assert [batched[place].text for place in range(PAIRS)] == texts
    benchmark.pedantic(lambda: dict(writer.write(turns, [0] * PAIRS)), rounds=1)
    ratio = plain_seconds / seconds
    benchmark.extra_info |= {"model": MODEL, "pairs": PAIRS, "against_plain_loop": round(ratio, 2)}
    sys.stdout.write(
        f"\n{MODEL}: {PAIRS / seconds:.1f} pairs/s, plain loop {PAIRS / plain_seconds:.1f}, "
        f"{ratio:.1f}x\n"
    )


def timed(run: Callable[[], object]) -> tuple[object, float]:
    """Return what a function returns, and its seconds."""
    began = time.perf_counter()
    made = run()
    return made, time.perf_counter() - began


@torch.inference_mode()
def plain_loop(
    model: PreTrainedModel, conversations: list[list[prompts.Turn]], stop: list[str]
) -> list[str]:
    """Answer one prompt after another with ``generate``, as a script would."""
    tokenizer, texts = AutoTokenizer.from_pretrained(MODEL), []
    for turns in conversations:
        special = tokenizer.chat_template is None
        text = render_chat(tokenizer, turns)
        ids = tokenizer(text, add_special_tokens=special, return_tensors="pt").input_ids
        output = model.generate(ids, do_sample=False, max_new_tokens=NEW_TOKENS)
        answer = tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        texts.append(cut_at_stop(answer, stop).strip())
    return texts

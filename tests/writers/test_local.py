"""Local models of every kind: what they answer depends on the question alone."""

from importlib.util import find_spec

import pytest
import torch

from clipdiff import prompts
from clipdiff.errors import ModelError
from clipdiff.settings import Generate
from clipdiff.writers import causal
from clipdiff.writers.base import Answer, row_seed
from clipdiff.writers.masked import banned_tokens, least_confident, sentence_case

KINDS = ["llama", "gpt2", "t5", "bert"]


@pytest.fixture
def ask(asked):
    """Return a function that asks about the pairs in some order and returns answers by pair."""

    def answers(definition, order=range(7), **generate) -> dict[int, Answer]:
        prompt = prompts.load(definition.prompt)
        writer = definition.open(Generate(**generate), prompt)
        turns = [prompt.turns("difference", *asked[row]) for row in order]
        written = dict(writer.write(turns, [row_seed(0, row) for row in order]))
        writer.close()
        return {row: written[place] for place, row in enumerate(order)}

    return answers


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_answers_do_not_depend_on_the_batch(ask, entry, name, temperature) -> None:
    together = ask(entry(name, batch=7), temperature=temperature, top_p=0.95)
    alone = ask(entry(name, batch=1), temperature=temperature, top_p=0.95)
    part = ask(entry(name, batch=2), order=[5, 1, 2], temperature=temperature, top_p=0.95)
    assert together == alone
    assert part == {row: together[row] for row in (5, 1, 2)}
    assert all(answer.prompt_tokens > 0 for answer in together.values())
    assert len({answer.text for answer in together.values()}) > (1 if temperature else 0)


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_batches_stay_the_same_whatever_is_done(entry, asked, name) -> None:
    """Seven prompts in batches of three: the batch that lacks one is answered whole."""
    definition = entry(name, batch=3)
    prompt = prompts.load(definition.prompt)
    writer = definition.open(Generate(), prompt)
    turns, seeds = [prompt.turns("difference", *pair) for pair in asked], list(range(7))
    whole = dict(writer.write(turns, seeds))
    first = list(whole)[:3]  # in the order of the batches
    again = dict(writer.write(turns, seeds, done=set(range(7)) - {first[1]}))
    assert again == {place: whole[place] for place in first}
    assert list(writer.write(turns, seeds, done=range(7))) == []
    writer.cancel()
    assert list(writer.write(turns, seeds)) == []


@pytest.mark.parametrize("name", KINDS)
def test_sampling_follows_the_seed(ask, entry, name) -> None:
    drawn = ask(entry(name), temperature=1.0)
    greedy = ask(entry(name))
    assert drawn == ask(entry(name), temperature=1.0)
    assert drawn != greedy


def test_greedy_equals_a_plain_loop(ask, asked, entry) -> None:
    """Left padding, length sorting and batching change nothing against the simplest decoding."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    definition = entry("gpt2")
    model = AutoModelForCausalLM.from_pretrained(definition.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(definition.model)
    answers = ask(definition)
    for row, captions in enumerate(asked):
        ids = tokenizer(prompts.render("completion", "difference", *captions)).input_ids
        begin = len(ids)
        for _ in range(definition.max_new_tokens):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        text = tokenizer.decode(ids[begin:]).split("\n")[0].split("<|endoftext|>")[0]
        assert answers[row].text == text.strip()


def test_a_shared_prefix_changes_no_answer(entry, asked, monkeypatch) -> None:
    """Examples before every question are read once; answers stay those of whole prompts."""
    definition = entry("llama", batch=7, max_new_tokens=12)
    examples = [{"caption_1": a, "caption_2": b, "answer": "They differ."} for a, b in asked[:2]]
    prompt = prompts.load("chat").model_copy(
        update={"examples": {"difference": [prompts.Example(**each) for each in examples]}}
    )
    turns = [prompt.turns("difference", *pair) for pair in asked]
    writer = definition.open(Generate(), prompt)
    shared = dict(writer.write(turns, list(range(7))))
    assert len(writer.prefix) > 40
    monkeypatch.setattr(causal, "SHORTEST_PREFIX", 10**6)
    assert dict(writer.write(turns, list(range(7)))) == shared


def test_chat_template_goes_around_the_question(entry) -> None:
    prompt = prompts.load("chat")
    writer = entry("llama").open(Generate(), prompt)
    (ids,) = writer.encode([prompt.turns("difference", "a dog", "a cat")])
    text = "[INST] How do they differ? First: a dog. Second: a cat. [/INST]"
    assert writer.tokenizer.decode(ids) == text
    assert ids == writer.tokenizer(text).input_ids  # as in training


def test_prompt_longer_than_the_context_gives_an_empty_answer(entry, asked) -> None:
    for name in ("llama", "bert"):
        prompt = prompts.load(entry(name).prompt)
        writer = entry(name).open(Generate(), prompt)
        questions = ("zebra q " * 300, "a dog"), asked[1]
        turns = [prompt.turns("difference", *pair) for pair in questions]
        answers = dict(writer.write(turns, [0, 0]))
        long, short = answers[0], answers[1]
        assert (long.text, long.finish_reason, long.completion_tokens) == ("", "length", 0)
        assert short.completion_tokens > 0


def test_masked_answer_is_the_filled_scaffold(ask, entry) -> None:
    answer = ask(entry("bert"))[0]
    assert answer.text.startswith("The first shows ")
    assert " objects, they are " in answer.text
    assert "[MASK]" not in answer.text
    assert "foxes on a" not in answer.text
    assert answer.completion_tokens == 6


def test_masked_slots_stay_their_own_when_a_caption_names_the_mask(entry) -> None:
    prompt = prompts.load("scaffold")
    writer = entry("bert").open(Generate(), prompt)
    turns = [prompt.turns("difference", "[MASK] [MASK]", "a cat")]
    ((_, answer),) = writer.write(turns, [0])
    assert answer.text.startswith("The first shows ")


def test_least_confident_slots_are_masked_again() -> None:
    confidence = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.3]])
    expected = [[False, True, True], [True, False, True]]
    assert least_confident(confidence, 2).tolist() == expected
    assert not least_confident(confidence, 0).any()


def test_slots_take_whole_words_only(entry) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(entry("bert").model)
    banned = banned_tokens(tokenizer, len(tokenizer))
    allowed = [tokenizer.decode([i]) for i in range(len(tokenizer)) if not banned[i]]
    assert "the" in allowed
    assert not {"[MASK]", "[SEP]", ".", ","} & set(allowed)
    assert not any(word.startswith("##") for word in allowed)


def test_vllm_says_what_it_wants_where_it_is_not(entry) -> None:
    if find_spec("vllm"):
        pytest.skip("vLLM is here")
    with pytest.raises(ModelError, match=r"kind 'vllm': .*environment of its own"):
        entry("llama", kind="vllm").open(Generate(), prompts.load("chat"))


def test_sentence_case() -> None:
    assert sentence_case("the first has a , b . it is red .") == "The first has a, b. It is red."


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gpt2", {"model": "/nowhere/at/all"}, "no such folder"),
        ("gpt2", {"model": "tests/writers"}, "lacks config.json"),
        ("bert", {"kind": "seq2seq"}, "kind 'seq2seq'"),
        ("gpt2", {"kind": "masked"}, "can't be loaded as a model of kind 'masked'"),
    ],
)
def test_a_model_that_is_none(entry, name, changes, message) -> None:
    definition = entry(name, **changes)
    with pytest.raises(ModelError, match=message):
        definition.open(Generate(), prompts.load(definition.prompt))

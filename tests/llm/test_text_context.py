"""Tokens of a text as open_clip counts them, with and without open_clip."""

import json
import logging
import shutil
import subprocess
import sys

import open_clip
import pytest

from clipdiff.demo.corpus import difference_examples
from clipdiff.errors import ClipdiffError
from clipdiff.llm.text_context import TextContext, clip_folder, open_clip_tokenizer, plain_tokenizer
from clipdiff.settings import Clip

DEMO = Clip(model="demo:clip")
ODD = [
    "",
    "café &amp; naïve “quotes” &lt;b&gt;",
    "CafÃ© ﬁne",
    "<start_of_text> in <end_of_text> a text <pad>",
    "It's the dog's, they're 12 345!",
    "a\u00a0b\u2003c  d",
    "两只小狐狸 и собака 🦊",
    "word " * 100,
]
COUNT = """
import sys
from clipdiff.llm.text_context import TextContext
from clipdiff.settings import Clip
print(TextContext(Clip(model=sys.argv[1])).count("two foxes"), "torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [text for row in difference_examples(300, seed=1) for text in row] + ODD


@pytest.fixture
def folder(tmp_path):
    """A copy of the demo's CLIP without its weights, to be changed."""
    source = clip_folder(DEMO)
    for name in ("open_clip_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, tmp_path / name)
    return tmp_path


def change(path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def tokens(tokenizer, texts: list[str], limit: int) -> list[list[int]]:
    """Return what open_clip makes of texts for the text tower, padding included."""
    return tokenizer(texts, context_length=limit).tolist()


def test_a_folder_counts_as_open_clip_does(texts) -> None:
    folder = clip_folder(DEMO)
    count, limit = plain_tokenizer(folder)
    slow, slow_limit = open_clip_tokenizer(DEMO)
    assert limit == slow_limit == 64
    assert [count(text) for text in texts] == [slow(text) for text in texts]
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    end = tokenizer.tokenizer.convert_tokens_to_ids("<end_of_text>")
    for text in texts:
        ids = tokens(tokenizer, [text], 300 if text != ODD[-1] else 400)[0]
        assert count(text) == len(ids) - ids[::-1].index(end), text


def test_openais_byte_pairs_count_as_open_clip_does(texts) -> None:
    context = TextContext(Clip(model="ViT-B-32", pretrained="openai"))
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    assert context.limit == 77
    for text in texts:
        (ids,) = tokens(tokenizer, [text], 400)
        assert context.count(text) == len(ids) - ids[::-1].index(tokenizer.eot_token_id), text


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer"}),
        ("tokenizer_config.json", {"add_eos_token": True}),
        ("tokenizer_config.json", {"mask_token": "<mask>"}),
        ("tokenizer_config.json", {"extra_special_tokens": ["fox"]}),
        ("open_clip_config.json", {"model_cfg": {"text_cfg": {"context_length": 64}}}),
        (
            "open_clip_config.json",
            {
                "model_cfg": {
                    "text_cfg": {
                        "hf_tokenizer_name": "x",
                        "tokenizer_kwargs": {"clean": "canonicalize"},
                    }
                }
            },
        ),
    ],
)
def test_what_more_than_a_file_says_is_left_to_open_clip(folder, file, values) -> None:
    assert plain_tokenizer(folder) is not None
    change(folder / file, **values)
    assert plain_tokenizer(folder) is None


def test_a_cleaning_of_its_own_is_open_clips(folder) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"clean": "canonicalize"}
    change(folder / "open_clip_config.json", **config)
    context, usual = TextContext(Clip(model=f"local-dir:{folder}")), TextContext(DEMO)
    assert context.count("foxes!!! dogs???") == context.count("foxes dogs")
    assert usual.count("foxes!!! dogs???") > usual.count("foxes dogs")


def test_a_folder_needs_neither_torch_nor_open_clip() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, "demo:clip"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[1] == "False"


def test_open_clips_commentary_stays_out_and_the_log_goes_on(caplog) -> None:
    caplog.set_level(logging.INFO)
    TextContext(Clip(model="ViT-B-32"))
    assert not caplog.records
    logging.getLogger("clipdiff").info("still here")
    assert "still here" in caplog.text
    assert not logging.root.filters


@pytest.mark.parametrize("model", ["local-dir:clipdiff/nowhere", "demo:clop"])
def test_a_clip_that_is_none(model) -> None:
    with pytest.raises(ClipdiffError, match=r"no tokenizer|no such model is shipped"):
        TextContext(Clip(model=model))


def test_a_text_is_cut_at_a_sentence() -> None:
    context = TextContext(DEMO)
    short, long = "The first has two foxes.", "It is red " + "and red " * 60 + "too."
    assert context.fits(short)
    assert context.cut(f"{short} {long}") == short
    assert context.cut(long) == ""

"""Entries of llm_definitions: each kind has its own keys, words and identity; none is heavy."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
from pydantic import ValidationError

from clipdiff.errors import ConfigError, ModelError
from clipdiff.settings import Price
from clipdiff.writers.api import Api
from clipdiff.writers.base import WRITERS, WriterEntry
from clipdiff.writers.causal import Causal
from clipdiff.writers.file import File
from clipdiff.writers.masked import Masked
from clipdiff.writers.reuse import Reuse
from clipdiff.writers.seq2seq import Seq2Seq
from clipdiff.writers.vllm import Vllm

OWN = {"kind", "model", "filter"}
ASKED = OWN | {"prompt", "batch"}
LOCAL = ASKED | {"revision", "dtype"}
FIELDS = {
    "causal": LOCAL | {"max_new_tokens"},
    "seq2seq": LOCAL | {"max_new_tokens"},
    "vllm": LOCAL | {"max_new_tokens"},
    "masked": LOCAL | {"rounds"},
    "api": ASKED
    | {"max_new_tokens", "endpoint", "base_url", "price", "timeout"}
    | {"key_env", "key_file", "requests_per_minute", "tokens_per_minute"},
    "file": OWN,
    "reuse": OWN,
}
HEAVY = ("torch", "transformers", "openai", "httpx", "tenacity", "vllm", "open_clip", "sklearn")


def entry_of(kind: str, **values: object) -> WriterEntry:
    return WRITERS.make({"kind": kind, "model": "m", **values})


def test_every_kind_has_its_own_keys() -> None:
    assert {kind: set(WRITERS.of(kind).model_fields) for kind in WRITERS.kinds} == FIELDS


@pytest.mark.parametrize(
    ("kind", "key"),
    [("causal", "rounds"), ("causal", "base_url"), ("masked", "max_new_tokens"), ("api", "dtype")],
)
def test_a_key_of_another_kind_is_refused(kind: str, key: str) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        entry_of(kind, **{key: 3})


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_a_kind_is_checked_without_heavy_libraries(kind: str) -> None:
    code = f"import sys, clipdiff.writers.{kind}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_is_asked_and_who_rewords() -> None:
    kinds = {kind: WRITERS.of(kind) for kind in WRITERS.kinds}
    assert {kind for kind in kinds if not kinds[kind].is_asked} == {"file", "reuse"}
    assert {kind for kind in kinds if not kinds[kind].rewrites} == {"file", "reuse", "masked"}
    assert Reuse(model="llama2").answers_of == "llama2"
    for entry in (File(model="x.csv"), Reuse(model="llama2")):
        assert entry.prompt_name is None
        with pytest.raises(ConfigError, match="asks nothing"):
            entry.preview([])
        with pytest.raises(ConfigError, match="is not asked"):
            entry.open(None, None)
    with pytest.raises(ConfigError, match="kind 'causal' has no texts of its own"):
        Causal(model="m").own_answers(None)


def test_of_a_shipped_model_its_files_count_and_not_its_name() -> None:
    facts = Causal(model="demo:llama").identity()
    assert "model" not in facts
    assert set(facts["weights"]) >= {"model.safetensors", "tokenizer.json", "config.json"}
    assert "prompt" not in facts
    assert facts["weights"] == Api(model="demo:llama").identity()["weights"]
    served = Api(model="demo:llama", base_url="http://127.0.0.1:1")
    assert served.identity()["model"] == "demo:llama"
    assert "weights" not in served.identity()
    with pytest.raises(ValidationError, match="did you mean 'llama'"):
        Causal(model="demo:lama")


def test_what_a_check_finds(tmp_path, monkeypatch) -> None:
    (tmp_path / "key").touch()
    (tmp_path / "mine.csv").touch()
    monkeypatch.setenv("THERE", "x")
    monkeypatch.delenv("GONE", raising=False)
    remote = {"model": "m", "base_url": "https://api.example.org/v1"}
    findings = {
        Causal(model="demo:llama"): (True, "demo:llama"),
        Vllm(model="org/name"): (True, "org/name, fetched from the hub if absent"),
        Masked(model="a/b/c"): (False, "a/b/c: no such folder"),
        Seq2Seq(model="./t5"): (False, "./t5: no such folder"),
        Api(model="demo:gpt2"): (True, "demo:gpt2"),
        Api(**remote, key_env="THERE"): (True, f"{remote['base_url']}; its key in the variable"),
        Api(**remote, key_env="GONE"): (False, f"{remote['base_url']}; its key in the variable"),
        Api(**remote, key_file=str(tmp_path / "key")): (True, str(tmp_path / "key")),
        File(model=str(tmp_path / "mine.csv")): (True, "mine.csv"),
        File(model=str(tmp_path / "gone.csv")): (False, "gone.csv"),
    }
    for entry, (fine, words) in findings.items():
        ((is_fine, text),) = entry.findings()
        assert is_fine == fine, entry
        assert words in text


def test_what_an_estimate_needs(entry, models) -> None:
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(models / "bert")
    stored = {id(p): p.numel() for p in model.parameters()}
    assert entry("bert").parameters() == sum(stored.values())
    assert entry("bert").expected_tokens == 6
    assert entry("llama", max_new_tokens=50).expected_tokens == 25
    remote = Api(model="m", base_url="http://127.0.0.1:1", price={"input": 1, "output": 2})
    assert not remote.runs_here
    assert remote.parameters() is None
    assert remote.token_price == Price(input=1, output=2)
    assert Api(model="demo:gpt2").runs_here
    assert Api(model="demo:gpt2").parameters() == Causal(model="demo:gpt2").parameters()
    assert Causal(model="org/name").parameters() is None


def test_a_price_is_no_result_and_reaches_the_budget() -> None:
    priced = Api(model="m", price={"input": 1, "output": 2}, batch=3)
    assert "price" not in priced.result()
    told = Api.model_validate(priced.result()).computed_by(priced.compute())
    assert (told.token_price, told.batch) == (priced.price, 3)


def test_a_tokenizer_that_is_not_there(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(ModelError, match="its tokenizer can't be loaded"):
        Causal(model=str(tmp_path)).preview([])


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is here")
def test_vllm_shows_its_prompt_without_vllm(models) -> None:
    turns = [{"role": "user", "content": "Hello"}]
    assert Vllm(model=str(models / "llama")).preview(turns) == "[INST] Hello [/INST]"

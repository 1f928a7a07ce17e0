"""LLMs, how they are asked, and which of their texts are kept."""

from typing import Literal

from pydantic import ConfigDict, Field

from clipdiff.config.sections.base import Fraction, Positive, Section, without_defaults


class Price(Section):
    """What a server takes for a million tokens, in whatever currency ``generate.max_cost`` is."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return the price of so many tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


class Filter(Section):
    """Which differences are kept; every dropped row keeps its reason."""

    enabled: bool = True
    min_words: Positive = 4
    max_repeat: Fraction = Field(0.5, description="largest share of repeated 3-grams")
    min_compression: Fraction = Field(0.25, description="smallest zlib size / text size")
    require_both: bool = Field(True, description="drop texts that mention one picture only")


class FilterChanges(Filter):
    """What an entry changes of the section ``filter``: the keys that are set."""

    model_config = ConfigDict(json_schema_extra=without_defaults)


class LLM(Section):
    """One entry of ``llm_definitions``: a model that writes differences."""

    kind: Literal["causal", "vllm", "api", "seq2seq", "masked", "file", "reuse"]
    model: str = Field(
        description="hub name, folder, or the server's name of the model; a table for `file`; "
        "for `reuse` the entry whose answers are filtered again"
    )
    revision: str | None = None
    prompt: str = Field("plain", description="a file of clipdiff/llm/prompts, without .yaml")
    batch: Positive = Field(
        64, description="prompts decoded at once; concurrent requests for `api`"
    )
    max_new_tokens: Positive = 96
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    rounds: Positive = Field(4, description="`masked`: mask-predict rounds")
    endpoint: Literal["completions", "chat"] = Field("completions", description="`api` only")
    base_url: str | None = Field(
        None, description="`api`: server; null starts a local one on `model`"
    )
    key_env: str = Field("OPENAI_API_KEY", description="environment variable that holds the key")
    key_file: str | None = Field(
        None, description="file that holds the key instead, readable by its owner only (mode 600)"
    )
    requests_per_minute: Positive | None = Field(None, description="`api`: most requests sent")
    tokens_per_minute: Positive | None = Field(None, description="`api`: most tokens, in and out")
    price: Price | None = Field(None, description="`api`: for estimates and generate.max_cost")
    filter: FilterChanges = Field(
        default_factory=FilterChanges,
        exclude=True,  # it does not change what the model is asked
        description="keys of the section filter that differ for this entry's answers",
    )


class Generate(Section):
    """How LLMs are asked."""

    temperature: float = Field(0.0, ge=0, description="0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = 0
    shard_rows: Positive = Field(512, description="answers a file")
    swapped: int = Field(
        0, ge=0, description="pairs asked about in the other order too: does the text turn round?"
    )
    jobs: Positive = Field(1, description="jobs that share one LLM's questions")
    max_cost: float | None = Field(
        None, gt=0, description="an LLM stops here, in the currency of its price"
    )
    max_tokens_total: Positive | None = Field(
        None, description="an LLM stops here, prompts and answers together, over all runs"
    )

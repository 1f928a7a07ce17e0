"""How LLMs are asked, and what they cost."""

from pydantic import Field

from clipdiff.settings.base import Compute, Positive, Section


class Price(Section):
    """What a server takes for a million tokens, in whatever currency ``generate.max_cost`` is."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return the price of so many tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


class Generate(Section):
    """How LLMs are asked."""

    temperature: float = Field(0.0, ge=0, description="0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = 0
    swapped: int = Field(
        0, ge=0, description="pairs asked about in the other order too: does the text turn round?"
    )

    shard_rows: Compute[Positive] = Field(
        512,
        description="answers a file; a local model's batches end there, which changes its answers "
        "by rounding only",
    )
    jobs: Compute[Positive] = Field(1, description="jobs that share one LLM's questions")
    max_cost: Compute[float | None] = Field(
        None, gt=0, description="an LLM stops here, in the currency of its price"
    )
    max_tokens_total: Compute[Positive | None] = Field(
        None, description="an LLM stops here, prompts and answers together, over all runs"
    )

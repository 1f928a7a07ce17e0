"""What an LLM's answers may cost, in tokens and money, over all runs together."""

from clipdiff.errors import GenerationError
from clipdiff.settings import Generate
from clipdiff.writers.base import WriterEntry


class Budget:
    """Counts tokens and money; what earlier runs paid counts too.

    Args:
        llm: name of the entry, for the message.
        entry: has the price.
        generate: has the limits.
    """

    def __init__(self, llm: str, entry: WriterEntry, generate: Generate):
        self.llm, self.price = llm, entry.token_price
        self.max_cost, self.max_tokens = generate.max_cost, generate.max_tokens_total
        self.prompt_tokens, self.completion_tokens = 0, 0

    def spend(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count an answer, or many."""
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens

    @property
    def cost(self) -> float:
        """Money spent, in the price's currency; 0 without a price."""
        return self.price.cost(self.prompt_tokens, self.completion_tokens) if self.price else 0.0

    @property
    def is_spent(self) -> bool:
        """Whether a limit is reached."""
        tokens = self.prompt_tokens + self.completion_tokens
        too_many = self.max_tokens is not None and tokens >= self.max_tokens
        return too_many or (self.max_cost is not None and self.cost >= self.max_cost)

    def stop(self, missing: int) -> GenerationError:
        """Return the error that ends a run whose budget is spent with ``missing`` answers to go."""
        tokens = self.prompt_tokens + self.completion_tokens
        return GenerationError(
            f"{self.llm}: {tokens} tokens and {self.cost:.2f} spent, {missing} answers still "
            f"missing, and generate.max_tokens_total is {self.max_tokens}, generate.max_cost "
            f"{self.max_cost}. All answers are kept: raise the limit and run again to go on"
        )

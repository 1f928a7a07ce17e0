"""Asking one LLM what it has not answered yet, and keeping each answer the moment it comes."""

import logging
from collections.abc import Sequence
from contextlib import closing

import pandas as pd

from clipdiff.config.stages import GenerateSettings
from clipdiff.llm.answer_store import AnswerStore, Question
from clipdiff.llm.budget import Budget
from clipdiff.llm.meter import Meter
from clipdiff.prompts import Prompt
from clipdiff.writers.base import Writer

log = logging.getLogger(__name__)


class Asking:
    """Questions, and which of them have an answer.

    Args:
        settings: the LLM, how to ask, the budget.
        prompt: the LLM's.
        shards: all that have to be answered, in runs that are asked and kept together.
        store: where answers are kept.
    """

    def __init__(
        self,
        settings: GenerateSettings,
        prompt: Prompt,
        shards: Sequence[Sequence[Question]],
        store: AnswerStore,
    ):
        self.settings, self.prompt, self.shards, self.store = settings, prompt, shards, store
        self.keys = [[store.key(question) for question in shard] for shard in shards]
        self.total = sum(map(len, shards))
        self.budget = Budget(settings.llm, settings.definition, settings.generate)
        self.answered: set[str] = set()

    @property
    def missing(self) -> int:
        """How many questions have no answer."""
        return sum(key not in self.answered for keys in self.keys for key in keys)

    def answers(self) -> pd.DataFrame:
        """Return the answers, one row a question with its ``row_id``.

        A writer is opened only if one is missing.

        Raises:
            ModelError: the model can't be loaded.
            GenerationError: its server can't answer, or the budget is spent; answers are kept.
        """
        stored, keys = self.store.load(), [key for keys in self.keys for key in keys]
        kept = stored[stored.index.isin(keys)]
        self.budget.spend(int(kept["prompt_tokens"].sum()), int(kept["completion_tokens"].sum()))
        self.answered, name = set(kept.index), self.settings.llm
        if self.answered:
            log.info("%s: %d of %d rows were there already", name, len(kept), self.total)
        if self.missing:
            self._ask_all()
            stored = self.store.load()
        answers = stored.loc[keys].reset_index(drop=True)
        answers.insert(0, "row_id", [each.row_id for shard in self.shards for each in shard])
        return answers

    def _ask_all(self) -> None:
        settings, total = self.settings, self.total
        with (
            closing(settings.definition.open(settings.generate, self.prompt)) as writer,
            Meter(settings.llm, total, total - self.missing) as meter,
        ):
            for shard, keys in zip(self.shards, self.keys, strict=True):
                if not self.budget.is_spent:
                    self._ask(writer, shard, keys, meter)
        if self.missing:
            raise self.budget.stop(self.missing)

    def _ask(
        self, writer: Writer, shard: Sequence[Question], keys: Sequence[str], meter: Meter
    ) -> None:
        """Ask what a shard lacks; once the budget is spent, only await what is under way."""
        done = {place for place, key in enumerate(keys) if key in self.answered}
        if len(done) == len(shard):
            return
        turns = [self.prompt.turns(each.task, *each.captions) for each in shard]
        with self.store.journaling() as journal:
            for place, answer in writer.write(turns, [each.seed for each in shard], done):
                if place in done:
                    continue
                journal.add(keys[place], answer)
                self.answered.add(keys[place])
                self.budget.spend(answer.prompt_tokens, answer.completion_tokens)
                meter.add(1, answer.completion_tokens)
                if self.budget.is_spent:
                    writer.cancel()

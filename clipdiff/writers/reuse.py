"""The answers of another entry, under a filter of its own."""

from typing import ClassVar, Literal

from pydantic import Field

from clipdiff.settings import EntryName
from clipdiff.writers.base import WriterEntry


class Reuse(WriterEntry):
    """Takes what another entry has answered; that one is asked."""

    is_asked: ClassVar[bool] = False
    rewrites: ClassVar[bool] = False

    kind: Literal["reuse"] = "reuse"
    model: EntryName = Field(description="the entry whose answers are filtered again")

    @property
    def answers_of(self) -> str:
        """The entry that is asked."""
        return self.model

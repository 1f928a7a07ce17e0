"""What is measured, and what the report compares. Tasks have settings of their own."""

from pydantic import Field

from clipdiff.settings.base import Compute, EntryName, Fraction, Positive, Section

LLM_TEXTS = "llm"  # in place of a table of texts: an LLM of this run writes them


class SplitSettings(Section):
    """How one split is measured, where that differs from the others."""

    tasks: list[EntryName] | None = None
    templates: str | None = None
    pair_differences: str | None = None
    prompt: str | None = None
    validation: str | None = None


class Evaluate(Section):
    """What is measured, once a cell, and what the tasks share."""

    tasks: list[EntryName] = Field(
        description="names of kinds, or entries of task_definitions where their settings differ"
    )
    splits: list[str] = Field(min_length=1)
    per_split: dict[str, SplitSettings] = Field(
        default_factory=dict, description="what single splits are measured by, if not as all are"
    )
    wise_alphas: list[Fraction] = Field(description="weights: 0 pretrained, 1 finetuned (WiSE-FT)")
    draws: Positive = Field(5, description="draws of difference pairs")
    images_per_draw: Positive = 100
    pairs_per_draw: Positive = 200
    templates: str = Field(
        "scenes",
        description="difference texts: a file of clipdiff/tasks/texts/templates, a path, or `none`",
    )
    pair_differences: str | None = Field(
        None,
        description="difference task `written`: `llm`: texts of `writer` on captions; or a Parquet "
        "table image_id_1, image_id_2, difference",
    )
    prompt: str = Field(
        "This is a photo of a {label}",
        description="class prompt: a text, a set of clipdiff/tasks/texts/prompts, `imagenet80` or "
        "`imagenet7` of open_clip, or a path",
    )
    validation: str = Field(
        "validation", description="split of the same classes on which a task makes its choices"
    )
    class_differences: str | None = Field(
        None,
        description="`llm`: texts of the cell's LLM; or a Parquet table class_1, class_2, "
        "difference, `{llm}` in its path is that LLM; null: texts of the templates",
    )
    class_descriptions: str | None = Field(
        None,
        description="comparative prompting is compared with these: `llm`, or a Parquet table "
        "class, description, likewise",
    )
    writer: EntryName | None = Field(
        None,
        description="LLM whose texts test all cells alike, and who writes class texts for rows "
        "without an LLM of their own; null: controls.llm",
    )
    resamples: Positive = Field(1000, description="bootstrap resamples over images")
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 0

    threads: Compute[Positive] = Field(
        1, description="CPU threads; fixed, as they change numbers by rounding"
    )

    def for_split(self, split: str) -> "Evaluate":
        """Return the section as it holds for one split."""
        own = self.per_split.get(split, SplitSettings()).model_dump(exclude_none=True)
        return self.model_copy(update=own)

    @property
    def reads_pair_texts(self) -> bool:
        """Whether some split is measured by texts of held-out pairs."""
        return any(self.for_split(name).pair_differences for name in self.splits)

    @property
    def reads_class_texts(self) -> bool:
        """Whether texts of classes are read."""
        return bool(self.class_differences or self.class_descriptions)

    @property
    def asks_about_pairs(self) -> bool:
        """Whether ``writer`` writes about held-out pairs of some split."""
        return any(self.for_split(name).pair_differences == LLM_TEXTS for name in self.splits)

    @property
    def asks_about_classes(self) -> bool:
        """Whether each cell's LLM writes about classes."""
        return LLM_TEXTS in (self.class_differences, self.class_descriptions)


class Gather(Section):
    """Statistics and what the report compares."""

    alpha: float = Field(0.05, gt=0, lt=1, description="level after Holm")
    example_pairs: Positive = 8
    seed: int = 0

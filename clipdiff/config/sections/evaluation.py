"""What is measured, and what the report compares."""

from typing import Literal

from pydantic import Field

from clipdiff.config.sections.base import EntryName, Fraction, Positive, Section
from clipdiff.grid import LLM_TEXTS

TaskName = Literal[
    "difference_classification",
    "zero_shot",
    "clip_score",
    "comparative_prompting",
    "geometry",
    "linear_probe",
]


class SplitSettings(Section):
    """What one split is measured by, where that is not what the others are."""

    tasks: list[TaskName] | None = None
    templates: str | None = None
    pair_differences: str | None = None
    prompt: str | None = None
    validation: str | None = None


class Unclip(Section):
    """The decoder that turns edited embeddings into pictures.

    It fits the CLIP whose image embeddings it was trained on, and no other.
    """

    model: str = Field(
        description="folder or hub name of a diffusers StableUnCLIPImg2ImgPipeline, trained on the "
        "image embeddings of clip.model: stable-diffusion-2-1-unclip on ViT-H-14 "
        "laion2b_s32b_b79k, its -small on ViT-L-14-quickgelu openai"
    )
    revision: str | None = Field(None, description="of a hub name: a commit, branch or tag")
    edits: Positive = Field(50, description="the first so many of the split's edits")
    steps: Positive = Field(20, description="denoising steps a picture")
    guidance: float = Field(10.0, ge=1, description="classifier-free guidance; 1 is none")
    noise_level: int = Field(0, ge=0, description="noise on the embedding, of the decoder's steps")
    batch: Positive = Field(8, description="pictures decoded at once")
    shown: int = Field(12, ge=0, description="pictures kept to look at, a split and weights")


class Evaluate(Section):
    """What is measured, once a cell."""

    tasks: list[TaskName]
    splits: list[str]
    per_split: dict[str, SplitSettings] = Field(
        default_factory=dict, description="what single splits are measured by, if not as all are"
    )
    wise_alphas: list[Fraction] = Field(description="weights: 0 pretrained, 1 finetuned (WiSE-FT)")
    draws: Positive = Field(5, description="draws of difference pairs")
    images_per_draw: Positive = 100
    pairs_per_draw: Positive = 200
    templates: str = Field(
        "scenes",
        description="difference tasks: a file of clipdiff/evaluate/templates, a path, or `none`",
    )
    pair_differences: str | None = Field(
        None,
        description="difference task `written`: `llm`: texts of `writer` on captions; or a Parquet "
        "table image_id_1, image_id_2, difference",
    )
    prompt: str = Field(
        "This is a photo of a {label}",
        description="class prompt: a text, a set of clipdiff/evaluate/prompts, `imagenet80` or "
        "`imagenet7` of open_clip, or a path",
    )
    validation: str = Field(
        "validation", description="split of the same classes on which a task makes its choices"
    )
    confusions: Positive = Field(
        3, description="comparative prompting: most classes that one is told apart from"
    )
    prompt_alphas: list[Fraction] = Field(
        default=[0.8, 0.85, 0.9],
        min_length=1,
        description="comparative prompting: shares of the plain prompt, one is chosen",
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
    class_pairs: Positive = Field(500, description="geometry: pairs of classes a split")
    shots: Positive = Field(16, description="linear probe: training pictures a class")
    score_prefix: str = Field("", description="text before a caption in CLIP-Score")
    edits: Positive = Field(500, description="edit CLIP-Score items a split")
    unclip: Unclip | None = Field(
        None, description="edit CLIP-Score of pictures that unCLIP makes too; null: found ones only"
    )
    resamples: Positive = Field(1000, description="bootstrap resamples over images")
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 0
    threads: Positive = 1

    def for_split(self, split: str) -> "Evaluate":
        """Return the section as it holds for one split."""
        own = self.per_split.get(split, SplitSettings()).model_dump(exclude_none=True)
        return self.model_copy(update=own)

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

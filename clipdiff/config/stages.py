"""What each stage is told: a slice of the configuration, so that a stage reruns for its own only.

Raise a stage's ``version`` when its code changes what it writes: Snakemake then remakes it.
"""

from typing import Any, Literal

from clipdiff.config import sections as s
from clipdiff.config.entries import answers_of, asked_llm, filter_of, text_llm, train_of, writer
from clipdiff.errors import ConfigError
from clipdiff.grid import Variant


class PrepareSettings(s.Section):
    """Settings of ``clipdiff prepare``."""

    version: int = 2
    data: s.Data


class EmbedSettings(s.Section):
    """Settings of ``clipdiff embed``."""

    version: int = 1
    clip: s.Clip


class GenerateSettings(s.Section):
    """Settings of ``clipdiff generate``: one LLM, writing differences or caption rewrites."""

    version: int = 1
    llm: str
    task: Literal["difference", "rewrite"]
    definition: s.LLM
    generate: s.Generate


class FilterSettings(s.Section):
    """Settings of ``clipdiff filter``; ``llm`` is a row name of the table.

    ``answers`` names the generations that its texts are made of; None for ``captions``.
    """

    version: int = 2
    llm: str
    answers: str | None
    filter: s.Filter
    clip: s.Clip
    seed: int


class TrainSettings(s.Section):
    """Settings of ``clipdiff train``: one cell."""

    version: int = 1
    llm: str
    loss_name: str
    seed: int
    clip: s.Clip
    loss: s.Loss
    train: s.Train


class QuestionsSettings(s.Section):
    """Settings of ``clipdiff questions``: what the evaluation asks LLMs."""

    version: int = 1
    clip: s.Clip
    evaluate: s.Evaluate


class EvaluateSettings(s.Section):
    """Settings of ``clipdiff evaluate``: one cell; ``pretrained`` has loss and seed ``none``.

    ``text_llm`` writes about classes for this cell, ``writer`` about pairs for all of them.
    """

    version: int = 3
    llm: str
    loss_name: str
    seed: str
    text_llm: str
    writer: str
    image_tower_trained: bool
    clip: s.Clip
    reference_clip: s.Clip
    evaluate: s.Evaluate


class GatherSettings(s.Section):
    """Settings of ``clipdiff gather``.

    ``prices`` are those of the entries that have one; ``answers`` says who was asked for the texts
    of each of ``llms``.
    """

    version: int = 2
    llms: list[str]
    losses: list[str]
    seeds: list[int]
    controls: s.Controls
    evaluate: s.Evaluate
    gather: s.Gather
    prices: dict[str, s.Price]
    answers: dict[str, str]


def prepare_settings(config: s.Config) -> PrepareSettings:
    """Slice for ``prepare``."""
    return PrepareSettings(data=config.data)


def embed_settings(config: s.Config) -> EmbedSettings:
    """Slice for ``embed``."""
    return EmbedSettings(clip=config.clip)


def generate_settings(config: s.Config, llm: str) -> GenerateSettings:
    """Slice for ``generate``; ``llm`` is an entry name or ``rewritten-<entry>``.

    Raises:
        ConfigError: nothing is asked for that row, as it takes what others have answered.
    """
    entry, answers = llm.removeprefix("rewritten-"), answers_of(config, llm)
    if answers != llm:
        whose = f"; it takes the answers of '{answers}': name that" if answers else ""
        raise ConfigError(f"--llm: no LLM is asked for '{llm}' itself{whose}")
    return GenerateSettings(
        llm=llm,
        task="difference" if entry == llm else "rewrite",
        definition=config.llm_definitions[entry],
        generate=config.generate,
    )


def filter_settings(config: s.Config, llm: str) -> FilterSettings:
    """Slice for ``filter``."""
    return FilterSettings(
        llm=llm,
        answers=answers_of(config, llm),
        filter=filter_of(config, llm),
        clip=config.clip,
        seed=config.data.seed,
    )


def train_settings(config: s.Config, variant: Variant) -> TrainSettings:
    """Slice for ``train``."""
    return TrainSettings(
        llm=variant.llm,
        loss_name=variant.loss,
        seed=int(variant.seed),
        clip=config.clip,
        loss=config.loss_definitions[variant.loss],
        train=train_of(config, variant.loss),
    )


def questions_settings(config: s.Config) -> QuestionsSettings:
    """Slice for ``questions``; what only measuring takes is left out."""
    unused = {
        "wise_alphas": [1.0], "resamples": 1, "confidence": 0.5, "threads": 1, "unclip": None,
        "prompt_alphas": [1.0], "shots": 1, "score_prefix": "", "writer": None,
    }  # fmt: skip
    return QuestionsSettings(clip=config.clip, evaluate=config.evaluate.model_copy(update=unused))


def evaluate_settings(config: s.Config, variant: Variant) -> EvaluateSettings:
    """Slice for ``evaluate``."""
    trained = not variant.is_pretrained and train_of(config, variant.loss).trains_images
    return EvaluateSettings(
        llm=variant.llm,
        loss_name=variant.loss,
        seed=variant.seed,
        text_llm=text_llm(config, variant.llm),
        writer=writer(config),
        image_tower_trained=trained,
        clip=config.clip,
        reference_clip=config.reference_clip,
        evaluate=config.evaluate,
    )


def gather_settings(config: s.Config) -> GatherSettings:
    """Slice for ``gather``."""
    axes: dict[str, Any] = {name: getattr(config, name) for name in ("llms", "losses", "seeds")}
    entries = {name: config.llm_definitions[name] for name in config.llms}
    return GatherSettings(
        **axes,
        controls=config.controls,
        evaluate=config.evaluate,
        gather=config.gather,
        prices={name: entry.price for name, entry in entries.items() if entry.price},
        answers={name: asked_llm(config, name) or name for name in config.llms},
    )

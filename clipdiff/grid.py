"""The grid: which cells there are, and the file names that stand for them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipdiff.errors import ConfigError

if TYPE_CHECKING:
    from clipdiff.config.sections import Config, Evaluate

NONE = "none"
LLM_TEXTS = "llm"  # in place of a table of texts: an LLM of this run writes them
TEXT_TABLES = {  # tables of texts, and the tasks that read them
    "class_differences": {"comparative_prompting", "geometry"},
    "class_descriptions": {"comparative_prompting"},
    "pair_differences": {"difference_classification", "clip_score"},
}


@dataclass(frozen=True)
class Variant:
    """One row of the table: whose texts, which loss, which seed.

    ``llm`` is an entry of ``llm_definitions``, ``captions``, ``rewritten-<llm>``,
    ``shuffled-<llm>`` or ``pretrained`` (whose loss and seed are ``none``).
    """

    llm: str
    loss: str
    seed: str

    @property
    def is_pretrained(self) -> bool:
        """True for the model before any finetuning."""
        return self.llm == "pretrained"

    @property
    def cell(self) -> str:
        """The cell as a path: ``bert/hinge/seed0``."""
        return f"{self.llm}/{self.loss}/seed{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "Variant":
        """Read ``llm=bert,loss=hinge,seed=0``; ``llm=pretrained`` needs no more.

        Raises:
            ConfigError: a part is missing or has another name.
        """
        parts = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
        if parts.get("llm") == "pretrained":
            parts = {"llm": "pretrained", "loss": NONE, "seed": NONE}
        if set(parts) != {"llm", "loss", "seed"}:
            raise ConfigError(f"--variant: got '{text}', expected llm=NAME,loss=NAME,seed=NUMBER")
        return cls(**parts)


PRETRAINED = Variant("pretrained", NONE, NONE)


def control_llms(config: "Config") -> list[str]:
    """Return the row names of the controls that finetune."""
    llm = config.controls.llm
    names = {"captions": "captions", "rewritten": f"rewritten-{llm}", "shuffled": f"shuffled-{llm}"}
    return [names[row] for row in config.controls.rows]


def trained_variants(config: "Config") -> list[Variant]:
    """Return every cell to train: LLMs x losses x seeds, then the controls."""
    axes = [(config.llms, config.seeds), (control_llms(config), config.controls.seeds)]
    return [
        Variant(llm, loss, str(seed))
        for llms, seeds in axes
        for llm in llms
        for loss in config.losses
        for seed in seeds
    ]


def all_variants(config: "Config") -> list[Variant]:
    """Return every row of the table, ``pretrained`` first."""
    return [PRETRAINED, *trained_variants(config)]


def text_tables(section: "Evaluate", text_llm: str, writer: str, folder: Path) -> dict[str, Path]:
    """Return the tables of texts that a split's tasks read, by the name of their setting.

    Args:
        section: as it holds for the split.
        text_llm: who writes about classes.
        writer: who writes about held-out pairs.
        folder: ``evaluation_texts``, what LLMs of this run wrote.
    """
    tables = {}
    for name, tasks in TEXT_TABLES.items():
        if tasks.isdisjoint(section.tasks):
            continue
        llm = writer if name == "pair_differences" else text_llm
        named = getattr(section, name)
        if named == LLM_TEXTS:
            tables[name] = folder / llm / f"{name}.parquet"
        elif named:
            tables[name] = Path(named.replace("{llm}", llm))
    return tables


@dataclass(frozen=True)
class Results:
    """Where every file between stages lies under one results folder (docs/output.md)."""

    root: Path

    @property
    def captions(self) -> Path:
        """Pictures, captions, splits."""
        return self.root / "data/captions.parquet"

    @property
    def pairs(self) -> Path:
        """Training pairs."""
        return self.root / "data/pairs.parquet"

    @property
    def image_embeds(self) -> Path:
        """Embeddings of all pictures under the CLIP to finetune."""
        return self.root / "embeds/image_embeds.safetensors"

    def generations(self, llm: str) -> Path:
        """Raw answers of one LLM."""
        return self.root / f"generations/{llm}.parquet"

    def swaps(self, llm: str) -> Path:
        """Answers of one LLM about some pairs in the other order."""
        return self.root / f"generations/swaps/{llm}.parquet"

    @property
    def questions(self) -> Path:
        """What the evaluation asks LLMs."""
        return self.root / "data/questions.parquet"

    def answers(self, llm: str) -> Path:
        """Raw answers of one LLM to these."""
        return self.root / f"generations/questions/{llm}.parquet"

    @property
    def evaluation_texts(self) -> Path:
        """Folder with one folder an LLM: the same after the filter, as ``TEXT_TABLES``."""
        return self.root / "evaluation_texts"

    def differences(self, llm: str) -> Path:
        """Training texts of one row of the table, after the filter."""
        return self.root / f"differences/{llm}.parquet"

    def model(self, variant: Variant) -> Path:
        """Folder of an exported model."""
        return self.root / "models" / variant.cell

    def checkpoints(self, variant: Variant) -> Path:
        """Folder of a cell's checkpoints; not an output, so that a failed job keeps it."""
        return self.root / "models/.checkpoints" / variant.cell

    def metrics(self, variant: Variant) -> Path:
        """Metrics of one cell."""
        return self.root / f"metrics/{variant.cell}.json"

    def items(self, variant: Variant) -> Path:
        """Per-item outcomes of one cell."""
        return self.root / f"metrics/{variant.cell}.items.parquet"

"""The grid: which cells there are, and the file names that stand for them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipdiff.errors import ConfigError

if TYPE_CHECKING:
    from clipdiff.config.sections import Config

NONE = "none"


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
    def model_folder(self) -> str:
        """Folder of the exported model, relative to the results."""
        return f"models/{self.llm}/{self.loss}/seed{self.seed}"

    @property
    def metrics_stem(self) -> str:
        """Metric files without their endings, relative to the results."""
        return f"metrics/{self.llm}/{self.loss}/seed{self.seed}"

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

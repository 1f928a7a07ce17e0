"""Where every file between stages lies (docs/output.md)."""

from dataclasses import dataclass
from pathlib import Path

from clipdiff.grid.cells import Cell, Row

WEIGHTS = "open_clip_model.safetensors"
CLIP_CONFIG = "open_clip_config.json"
TRAIN_LOG = "train_log.jsonl"
PROVENANCE = "provenance.json"
TEXT_TABLES = ("class_differences", "class_descriptions", "pair_differences")
"""What LLMs write for the evaluation, a table each."""


@dataclass(frozen=True)
class Layout:
    """The files under one results folder. A name may be a pattern: rules pass ``{llm}``."""

    root: Path

    @property
    def captions(self) -> Path:
        """Images, captions, splits."""
        return self.root / "data/captions.parquet"

    @property
    def pairs(self) -> Path:
        """Training pairs."""
        return self.root / "data/pairs.parquet"

    @property
    def questions(self) -> Path:
        """What the evaluation asks LLMs."""
        return self.root / "data/questions.parquet"

    @property
    def image_embeds(self) -> Path:
        """Embeddings of all images under the CLIP to finetune."""
        return self.root / "embeds/image_embeds.safetensors"

    def generations(self, row: Row | str) -> Path:
        """Raw answers of one LLM."""
        return self.root / f"generations/{row}.parquet"

    def generation_part(self, row: Row | str, part: str) -> Path:
        """What one of several jobs reports about its share of an LLM's answers."""
        return self.root / f"generations/{row}.parts/{part}.json"

    def parts_record(self, row: Row | str) -> Path:
        """Note of the shares that one LLM's answers came in; beside the answers as they came."""
        return self.root / f"generations/.answers/{row}/parts.json"

    def swaps(self, row: Row | str) -> Path:
        """Answers of one LLM about some pairs in the other order."""
        return self.root / f"generations/swaps/{row}.parquet"

    def answers(self, row: Row | str) -> Path:
        """Raw answers of one LLM to the evaluation's questions."""
        return self.root / f"generations/questions/{row}.parquet"

    @property
    def evaluation_texts(self) -> Path:
        """Folder with one folder an LLM: its answers after the filter, as ``TEXT_TABLES``."""
        return self.root / "evaluation_texts"

    def evaluation_text(self, row: Row | str, table: str) -> Path:
        """One table of one LLM's texts for the evaluation."""
        return self.evaluation_texts / str(row) / f"{table}.parquet"

    def differences(self, row: Row | str) -> Path:
        """Training texts of one row, after the filter."""
        return self.root / f"differences/{row}.parquet"

    def model(self, cell: Cell | str) -> Path:
        """Folder of an exported model."""
        return self.root / "models" / str(cell)

    def weights(self, cell: Cell | str) -> Path:
        """Weights of an exported model."""
        return self.model(cell) / WEIGHTS

    def clip_config(self, cell: Cell | str) -> Path:
        """open_clip's configuration of an exported model."""
        return self.model(cell) / CLIP_CONFIG

    def provenance(self, cell: Cell | str) -> Path:
        """Settings, code and machine of a training."""
        return self.model(cell) / PROVENANCE

    def train_log(self, cell: Cell | str) -> Path:
        """One line a logged step of a training."""
        return self.model(cell) / TRAIN_LOG

    def checkpoints(self, cell: Cell | str) -> Path:
        """Folder of a cell's checkpoints; not an output, so that a failed job keeps it."""
        return self.root / "models/.checkpoints" / str(cell)

    def metrics(self, cell: Cell | str) -> Path:
        """Metrics of one cell."""
        return self.root / f"metrics/{cell}.json"

    def items(self, cell: Cell | str) -> Path:
        """Per-item outcomes of one cell."""
        return self.root / f"metrics/{cell}.items.parquet"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.root / "tables"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.root / "figures"

    @property
    def report(self) -> Path:
        """The report, one page."""
        return self.root / "report.html"

    @property
    def benchmarks(self) -> Path:
        """Folder of Snakemake's benchmark files: time and memory of every job."""
        return self.root / "benchmarks"

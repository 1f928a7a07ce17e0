# The configuration check, the grid, and what each rule is told of the configuration.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from clipdiff.config import check_config, stages
from clipdiff.config.entries import answers_of, asked_llm, text_llm, train_of, writer
from clipdiff.errors import ClipdiffError
from clipdiff.grid import (
    PRETRAINED,
    TEXT_TABLES,
    Variant,
    all_variants,
    text_tables,
)

try:
    CONFIG = check_config(config)
except ClipdiffError as error:
    raise WorkflowError(str(error))

VARIANTS = all_variants(CONFIG)
ASKED = sorted({asked_llm(CONFIG, llm) for llm in CONFIG.llms})
ROWS = list(dict.fromkeys(v.llm for v in VARIANTS if not v.is_pretrained))


wildcard_constraints:
    llm=r"[A-Za-z0-9_.]+|(rewritten|shuffled)-[A-Za-z0-9_.]+",
    loss=r"[A-Za-z0-9_.]+",
    seed=r"\d+|none",


def settings_of(stage):
    """Return a params function: the JSON of this stage's slice of the configuration."""
    cut = getattr(stages, f"{stage}_settings")

    def settings(wc):
        if "seed" in wc.keys():
            return cut(CONFIG, Variant(wc.llm, wc.loss, wc.seed)).model_dump_json()
        if "llm" in wc.keys():
            return cut(CONFIG, wc.llm).model_dump_json()
        return cut(CONFIG).model_dump_json()

    return settings


def generation_parts(wc):
    """Return one file a job that shares an LLM's questions; none where one job asks them all."""
    jobs = CONFIG.generate.jobs
    entry = CONFIG.llm_definitions[asked_llm(CONFIG, wc.llm)]
    if jobs == 1 or entry.kind == "file":
        return []
    pattern = "results/generations/{llm}.parts/{part}of{jobs}.json"
    return [
        pattern.format(llm=wc.llm, part=part, jobs=jobs) for part in range(1, jobs + 1)
    ]


def filter_source(wc):
    """Return what a row's training texts are made of."""
    if wc.llm.startswith("shuffled-"):
        return f"results/differences/{wc.llm.removeprefix('shuffled-')}.parquet"
    answers = answers_of(CONFIG, wc.llm)
    return f"results/generations/{answers}.parquet" if answers else []


def training_threads(wc):
    """Return the CPUs that a training takes, on one machine."""
    train = train_of(CONFIG, wc.loss)
    return train.ranks * train.threads


def model_weights(wc):
    """Return the weights to evaluate: none for the pretrained row."""
    if wc.llm == PRETRAINED.llm:
        return []
    return (
        f"results/models/{wc.llm}/{wc.loss}/seed{wc.seed}/open_clip_model.safetensors"
    )


def written_texts(wc):
    """Return the tables of texts that a row is evaluated with: LLMs' of this run, or a user's."""
    told = (text_llm(CONFIG, wc.llm), writer(CONFIG), Path("results/evaluation_texts"))
    sections = [CONFIG.evaluate.for_split(split) for split in CONFIG.evaluate.splits]
    tables = [text_tables(section, *told).values() for section in sections]
    return sorted({str(path) for paths in tables for path in paths})


def all_cells(pattern, pretrained=True):
    """Return one file a row of the table."""
    chosen = [v for v in VARIANTS if pretrained or not v.is_pretrained]
    return [pattern.format(cell=v.cell) for v in chosen]

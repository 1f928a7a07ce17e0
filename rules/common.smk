# The configuration check, the grid, where results lie, and what each rule is told.
import json
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from clipdiff.config import check_config, entries, stages
from clipdiff.config.parts import part_names
from clipdiff.config.text_tables import text_table_paths
from clipdiff.errors import ClipdiffError
from clipdiff.grid import Cell, Control, Layout, Row
from clipdiff.grid.layout import TEXT_TABLES

try:
    CONFIG = check_config(config)
except ClipdiffError as error:
    raise WorkflowError(str(error))

RESULTS = Layout(Path(CONFIG.results))
CELL = "{llm}/{loss}/seed{seed}"
CELLS = entries.all_cells(CONFIG)
TRAINED = entries.trained_cells(CONFIG)
ROWS = list(dict.fromkeys(cell.row for cell in TRAINED))
ASKED = sorted({entries.asked_llm(CONFIG, row) for row in entries.grid_rows(CONFIG)})

# What decides numbers is a rule's params, and a change of it makes the rule's files again. How they
# are computed, and where they lie, is in every job's environment: no change of it ever does.
HOW = {
    "CLIPDIFF_RESULTS": CONFIG.results,
    "CLIPDIFF_COMPUTE": json.dumps(CONFIG.compute()),
}
EXPORTED = " ".join(f"{name}={shlex.quote(value)}" for name, value in HOW.items())
shell.prefix("set -euo pipefail; export {EXPORTED}; ")  # the first is Snakemake's own


wildcard_constraints:
    llm=r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    loss=r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    seed=r"\d+|none",


def settings_of(stage):
    """Return a params function: the JSON of what decides the numbers of this stage."""
    cut = getattr(stages, f"{stage}_settings")

    def settings(wc):
        names = []
        if "seed" in wc.keys():
            names = [Cell.of(wc.llm, wc.loss, wc.seed)]
        elif "llm" in wc.keys():
            names = [Row.parse(wc.llm)]
        return json.dumps(cut(CONFIG, *names).result())

    return settings


def generation_parts(wc):
    """Return one file a job that shares an LLM's questions; none where one job asks them all."""
    settings = stages.generate_settings(CONFIG, Row.parse(wc.llm))
    names = part_names(settings, RESULTS.parts_record(wc.llm))
    return [RESULTS.generation_part(wc.llm, name) for name in names]


def filter_source(wc):
    """Return what a row's training texts are made of."""
    row = Row.parse(wc.llm)
    if row.control == Control.SHUFFLED:
        return RESULTS.differences(row.llm)
    answers = entries.answers_of(CONFIG, row)
    return RESULTS.generations(answers) if answers else []


def training_threads(wc):
    """Return the CPUs that a training takes, on one machine."""
    train = entries.train_of(CONFIG, wc.loss)
    return train.ranks * train.threads


def model_weights(wc):
    """Return the weights to evaluate: none for the pretrained row."""
    cell = Cell.of(wc.llm, wc.loss, wc.seed)
    return [] if cell.is_pretrained else RESULTS.weights(cell)


def written_texts(wc):
    """Return the tables of texts that a row is evaluated with: LLMs' of this run, or a user's."""
    row, tasks = Row.parse(wc.llm), entries.task_entries(CONFIG)
    sources = (tasks, entries.text_llm(CONFIG, row), entries.writer(CONFIG), RESULTS)
    sections = [CONFIG.evaluate.for_split(split) for split in CONFIG.evaluate.splits]
    tables = [text_table_paths(section, *sources).values() for section in sections]
    return sorted({str(path) for paths in tables for path in paths})

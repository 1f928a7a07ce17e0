"""What a study can start from."""

from dataclasses import dataclass

LOCAL = "snakemake --profile profiles/local"
SLURM = "snakemake --profile slurm"


@dataclass(frozen=True)
class Preset:
    """One start of a study.

    Args:
        config: a whole configuration, in :mod:`clipdiff.workflow`.
        about: what the study is, one sentence.
        run: the command that runs it.
        first: what its user does before, as Markdown; empty: nothing.
    """

    config: str
    about: str
    run: str
    first: str = ""


PRESETS = {
    "demo": Preset(
        config="config.yaml",
        about="The demo: the whole grid on emoji scenes with small models, on a laptop.",
        run=LOCAL,
    ),
    "paper": Preset(
        config="config/paper.yaml",
        about="The paper's setting: ViT-L-14, COCO captions, 499,500 pairs, real LLMs.",
        run=SLURM,
        first="""
Before: `clipdiff data check` says which data sets to download, from where, and where to unpack
them; `clipdiff estimate` what the run takes. The lines marked `EDIT` in
`profiles/slurm/config.yaml` are your cluster's. Start with one cell: one name in `llms` and
`losses`, one seed, and `controls: {rows: [], llm: llama2_13b_chat, seeds: []}`.
""",
    ),
    "own": Preset(
        config="config/own.yaml",
        about="Images and captions of your own, with a real CLIP and open LLMs.",
        run=LOCAL,
        first="""
Before: write the table that `data.table` names, CSV or Parquet, with the columns `image` (a path
relative to the table), `caption`, `split` (`train`, `validation`, `test`) and, if you have them,
`label` (its class) and `attributes` (a JSON object a row). Then set the numbers under `data`, and
name the CLIP and the LLMs that you want. They are fetched from the hub when they are first used.
""",
    ),
}

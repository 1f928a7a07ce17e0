# clipdiff: captions and images go in; pairs, differences, finetuned models and metrics are made
# by stages that meet only through files; a table comes out.
import os

from snakemake.utils import min_version

from clipdiff.workflow import PIP_VARIABLES

min_version("9.0")

# for envs/clipdiff.yaml; values that a user has set win
os.environ.update(PIP_VARIABLES | os.environ)


configfile: "config.yaml"


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/prepare.smk"
include: "rules/generate.smk"
include: "rules/questions.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/gather.smk"
include: "rules/demo.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        RESULTS.tables / "summary.csv",
        RESULTS.report,

from clipdiff.tables.figures.names import figure_names

FIGURES = figure_names(stages.gather_settings(CONFIG))


rule gather:
    input:
        [RESULTS.metrics(cell) for cell in CELLS],
        [RESULTS.items(cell) for cell in CELLS],
        [RESULTS.train_log(cell) for cell in TRAINED],
        [RESULTS.differences(row) for row in ROWS],
        [RESULTS.swaps(llm) for llm in ASKED],
        RESULTS.captions,
        RESULTS.pairs,
    output:
        page=report(RESULTS.report, caption="report/page.rst", category="Report"),
        summary=report(
            RESULTS.tables / "summary.csv",
            caption="report/summary.rst",
            category="Tables",
        ),
        tests=report(
            RESULTS.tables / "tests.csv", caption="report/tests.rst", category="Tables"
        ),
        llms=report(
            RESULTS.tables / "llms.csv", caption="report/llms.rst", category="Tables"
        ),
        texts=[RESULTS.tables / f"summary.{suffix}" for suffix in ("md", "tex")],
        metrics=RESULTS.tables / "metrics.csv",
        figures=report(
            [RESULTS.figures / f"{name}.svg" for name in FIGURES],
            caption="report/figures.rst",
            category="Figures",
        ),
        rasters=[RESULTS.figures / f"{name}.png" for name in FIGURES],
    log:
        "logs/gather.log",
    benchmark:
        RESULTS.benchmarks / "gather.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("gather"),
    message:
        "Gathering all cells into tables, figures and the report"
    shell:
        "clipdiff gather --settings {params.settings:q} 2> {log}"

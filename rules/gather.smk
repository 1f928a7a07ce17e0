from clipdiff.tables.measures import figure_names

FIGURES = figure_names(CONFIG.evaluate)


rule gather:
    input:
        all_cells("results/metrics/{cell}.json"),
        all_cells("results/metrics/{cell}.items.parquet"),
        all_cells("results/models/{cell}/train_log.jsonl", pretrained=False),
        expand("results/differences/{llm}.parquet", llm=ROWS),
        expand("results/generations/swaps/{llm}.parquet", llm=ASKED),
        "results/data/captions.parquet",
        "results/data/pairs.parquet",
    output:
        page=report("results/report.html", caption="report/page.rst", category="Report"),
        summary=report(
            "results/tables/summary.csv",
            caption="report/summary.rst",
            category="Tables",
        ),
        tests=report(
            "results/tables/tests.csv",
            caption="report/tests.rst",
            category="Tables",
        ),
        llms=report(
            "results/tables/llms.csv", caption="report/llms.rst", category="Tables"
        ),
        texts=expand("results/tables/summary.{suffix}", suffix=["md", "tex"]),
        metrics="results/tables/metrics.csv",
        figures=report(
            expand("results/figures/{name}.svg", name=FIGURES),
            caption="report/figures.rst",
            category="Figures",
        ),
        rasters=expand("results/figures/{name}.png", name=FIGURES),
    log:
        "logs/gather.log",
    benchmark:
        "results/benchmarks/gather.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("gather"),
    message:
        "Gathering all cells into tables, figures and the report"
    shell:
        "clipdiff gather --settings {params.settings:q} 2> {log}"

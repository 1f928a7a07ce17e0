rule gather:
    input:
        all_cells("results/metrics/{cell}.json"),
        all_cells("results/metrics/{cell}.items.parquet"),
        all_cells("results/models/{cell}/train_log.jsonl", pretrained=False),
        expand("results/differences/{llm}.parquet", llm=ROWS),
        "results/data/captions.parquet",
        "results/data/pairs.parquet",
    output:
        metrics="results/tables/metrics.csv",
        summary=report(
            "results/tables/summary.csv",
            caption="report/summary.rst",
            category="Tables",
        ),
        page="results/report.html",
    log:
        "logs/gather.log",
    benchmark:
        "results/benchmarks/gather.tsv"
    conda:
        "../envs/clipdiff.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=settings_of("gather"),
    message:
        "Gathering all cells into tables, figures and the report"
    shell:
        "clipdiff gather --settings {params.settings:q} 2> {log}"

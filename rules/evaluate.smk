rule evaluate:
    input:
        RESULTS.captions,
        RESULTS.image_embeds,
        model_weights,
        written_texts,
    output:
        metrics=RESULTS.metrics(CELL),
        item_table=RESULTS.items(CELL),
    log:
        f"logs/evaluate/{CELL}.log",
    benchmark:
        RESULTS.benchmarks / f"evaluate/{CELL}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    threads: CONFIG.evaluate.threads
    params:
        settings=settings_of("evaluate"),
    message:
        "Evaluating {wildcards.llm}, {wildcards.loss}, seed {wildcards.seed}"
    shell:
        "clipdiff evaluate --settings {params.settings:q} 2> {log}"

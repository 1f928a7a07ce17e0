rule evaluate:
    input:
        "results/data/captions.parquet",
        "results/embeds/image_embeds.safetensors",
        model_weights,
        written_texts,
    output:
        metrics="results/metrics/{llm}/{loss}/seed{seed}.json",
        outcomes="results/metrics/{llm}/{loss}/seed{seed}.items.parquet",
    log:
        "logs/evaluate/{llm}/{loss}/seed{seed}.log",
    benchmark:
        "results/benchmarks/evaluate/{llm}/{loss}/seed{seed}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    threads: CONFIG.evaluate.threads
    params:
        settings=settings_of("evaluate"),
    message:
        "Evaluating {wildcards.llm}, {wildcards.loss}, seed {wildcards.seed}"
    shell:
        "clipdiff evaluate --settings {params.settings:q} 2> {log}"

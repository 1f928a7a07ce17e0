rule prepare:
    output:
        captions="results/data/captions.parquet",
        pairs="results/data/pairs.parquet",
    log:
        "logs/prepare.log",
    benchmark:
        "results/benchmarks/prepare.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("prepare"),
    message:
        "Reading pictures with captions, drawing pairs"
    shell:
        "clipdiff prepare --settings {params.settings:q} 2> {log}"


rule embed:
    input:
        "results/data/captions.parquet",
    output:
        "results/embeds/image_embeds.safetensors",
    log:
        "logs/embed.log",
    benchmark:
        "results/benchmarks/embed.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("embed"),
    message:
        "Embedding every picture once"
    shell:
        "clipdiff embed --settings {params.settings:q} 2> {log}"

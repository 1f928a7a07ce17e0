rule prepare:
    output:
        captions=RESULTS.captions,
        pairs=RESULTS.pairs,
    log:
        "logs/prepare.log",
    benchmark:
        RESULTS.benchmarks / "prepare.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("prepare"),
    message:
        "Reading images with captions, drawing pairs"
    shell:
        "clipdiff prepare --settings {params.settings:q} 2> {log}"


rule embed:
    input:
        RESULTS.captions,
    output:
        RESULTS.image_embeds,
    log:
        "logs/embed.log",
    benchmark:
        RESULTS.benchmarks / "embed.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("embed"),
    message:
        "Embedding every image once"
    shell:
        "clipdiff embed --settings {params.settings:q} 2> {log}"

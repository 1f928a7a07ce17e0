# With generate.jobs > 1 the parts answer, and `generate` finds all answers there.
rule generate_part:
    input:
        "results/data/captions.parquet",
        "results/data/pairs.parquet",
    output:
        "results/generations/{llm}.parts/{part}.json",
    log:
        "logs/generate/{llm}.{part}.log",
    benchmark:
        "results/benchmarks/generate_part/{llm}.{part}.tsv"
    wildcard_constraints:
        part=r"\d+of\d+",
    priority: 1
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("generate"),
    message:
        "{wildcards.llm} writes how the pictures differ, part {wildcards.part}"
    shell:
        "clipdiff generate --part {wildcards.part} --settings {params.settings:q} 2> {log}"


rule generate:
    input:
        "results/data/captions.parquet",
        "results/data/pairs.parquet",
        generation_parts,
    output:
        texts="results/generations/{llm}.parquet",
        swaps="results/generations/swaps/{llm}.parquet",
    log:
        "logs/generate/{llm}.log",
    benchmark:
        "results/benchmarks/generate/{llm}.tsv"
    # the longest chains begin here: texts, then all the cells they train
    priority: 1
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("generate"),
    message:
        "{wildcards.llm} writes how the pictures differ"
    shell:
        "clipdiff generate --settings {params.settings:q} 2> {log}"


rule filter:
    input:
        "results/data/captions.parquet",
        "results/data/pairs.parquet",
        filter_source,
    output:
        "results/differences/{llm}.parquet",
    log:
        "logs/filter/{llm}.log",
    benchmark:
        "results/benchmarks/filter/{llm}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("filter"),
    message:
        "Filtering the texts of {wildcards.llm}"
    shell:
        "clipdiff filter --settings {params.settings:q} 2> {log}"

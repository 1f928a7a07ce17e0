# What the evaluation asks LLMs, where `evaluate` names `llm` for a table of texts.
rule questions:
    input:
        "results/data/captions.parquet",
        "results/embeds/image_embeds.safetensors",
    output:
        "results/data/questions.parquet",
    log:
        "logs/questions.log",
    benchmark:
        "results/benchmarks/questions.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("questions"),
    message:
        "Choosing the classes and held-out pictures that LLMs are asked about"
    shell:
        "clipdiff questions --settings {params.settings:q} 2> {log}"


rule answer:
    input:
        "results/data/questions.parquet",
    output:
        "results/generations/questions/{llm}.parquet",
    log:
        "logs/answer/{llm}.log",
    benchmark:
        "results/benchmarks/answer/{llm}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("generate"),
    message:
        "{wildcards.llm} answers what the evaluation asks"
    shell:
        "clipdiff generate --questions --settings {params.settings:q} 2> {log}"


rule filter_answers:
    input:
        "results/data/questions.parquet",
        "results/generations/questions/{llm}.parquet",
    output:
        expand("results/evaluation_texts/{{llm}}/{table}.parquet", table=TEXT_TABLES),
    log:
        "logs/filter_answers/{llm}.log",
    benchmark:
        "results/benchmarks/filter_answers/{llm}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("filter"),
    message:
        "Filtering the answers of {wildcards.llm}"
    shell:
        "clipdiff filter --questions --settings {params.settings:q} 2> {log}"

# With generate.jobs > 1 the parts answer, and `generate` finds all answers there.
rule generate_part:
    input:
        RESULTS.captions,
        RESULTS.pairs,
    output:
        RESULTS.generation_part("{llm}", "{part}"),
    log:
        "logs/generate/{llm}.{part}.log",
    benchmark:
        RESULTS.benchmarks / "generate_part/{llm}.{part}.tsv"
    wildcard_constraints:
        part=r"\d+of\d+",
    priority: 1
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("generate"),
    message:
        "{wildcards.llm} writes how the images differ, part {wildcards.part}"
    shell:
        "clipdiff generate --part {wildcards.part} --settings {params.settings:q} 2> {log}"


rule generate:
    input:
        RESULTS.captions,
        RESULTS.pairs,
        generation_parts,
    output:
        texts=RESULTS.generations("{llm}"),
        swaps=RESULTS.swaps("{llm}"),
    log:
        "logs/generate/{llm}.log",
    benchmark:
        RESULTS.benchmarks / "generate/{llm}.tsv"
    # the longest chains begin here: texts, then all the cells they train
    priority: 1
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("generate"),
    message:
        "{wildcards.llm} writes how the images differ"
    shell:
        "clipdiff generate --settings {params.settings:q} 2> {log}"


rule filter:
    input:
        RESULTS.captions,
        RESULTS.pairs,
        filter_source,
    output:
        RESULTS.differences("{llm}"),
    log:
        "logs/filter/{llm}.log",
    benchmark:
        RESULTS.benchmarks / "filter/{llm}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("filter"),
    message:
        "Filtering the texts of {wildcards.llm}"
    shell:
        "clipdiff filter --settings {params.settings:q} 2> {log}"

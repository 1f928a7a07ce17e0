# What the evaluation asks LLMs, where `evaluate` names `llm` for a table of texts.
rule questions:
    input:
        RESULTS.captions,
        RESULTS.image_embeds,
    output:
        RESULTS.questions,
    log:
        "logs/questions.log",
    benchmark:
        RESULTS.benchmarks / "questions.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("questions"),
    message:
        "Choosing the classes and held-out images that LLMs are asked about"
    shell:
        "clipdiff questions --settings {params.settings:q} 2> {log}"


rule answer:
    input:
        RESULTS.questions,
    output:
        RESULTS.answers("{llm}"),
    log:
        "logs/answer/{llm}.log",
    benchmark:
        RESULTS.benchmarks / "answer/{llm}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("answer"),
    message:
        "{wildcards.llm} answers what the evaluation asks"
    shell:
        "clipdiff generate --questions --settings {params.settings:q} 2> {log}"


rule filter_answers:
    input:
        RESULTS.questions,
        RESULTS.answers("{llm}"),
    output:
        [RESULTS.evaluation_text("{llm}", table) for table in TEXT_TABLES],
    log:
        "logs/filter_answers/{llm}.log",
    benchmark:
        RESULTS.benchmarks / "filter_answers/{llm}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    params:
        settings=settings_of("filter"),
    message:
        "Filtering the answers of {wildcards.llm}"
    shell:
        "clipdiff filter --questions --settings {params.settings:q} 2> {log}"

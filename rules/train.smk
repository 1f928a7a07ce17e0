rule train:
    input:
        RESULTS.captions,
        RESULTS.image_embeds,
        RESULTS.differences("{llm}"),
    output:
        weights=RESULTS.weights(CELL),
        config=RESULTS.clip_config(CELL),
        log=RESULTS.train_log(CELL),
        provenance=RESULTS.provenance(CELL),
    log:
        f"logs/train/{CELL}.log",
    benchmark:
        RESULTS.benchmarks / f"train/{CELL}.tsv"
    conda:
        "../envs/clipdiff.yaml"
    threads: training_threads
    resources:
        launch="",  # what starts a process on each of several nodes: the profile says
    params:
        settings=settings_of("train"),
    message:
        "Finetuning on {wildcards.llm} with the {wildcards.loss} loss, seed {wildcards.seed}"
    # exec: a scheduler's SIGTERM would end the shell, and with it the job, before training has saved
    shell:
        "exec {resources.launch} clipdiff train --settings {params.settings:q} 2> {log}"

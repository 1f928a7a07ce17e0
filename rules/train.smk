rule train:
    input:
        "results/data/captions.parquet",
        "results/embeds/image_embeds.safetensors",
        "results/differences/{llm}.parquet",
    output:
        weights="results/models/{llm}/{loss}/seed{seed}/open_clip_model.safetensors",
        config="results/models/{llm}/{loss}/seed{seed}/open_clip_config.json",
        log="results/models/{llm}/{loss}/seed{seed}/train_log.jsonl",
        provenance="results/models/{llm}/{loss}/seed{seed}/provenance.json",
    log:
        "logs/train/{llm}/{loss}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{llm}/{loss}/seed{seed}.tsv"
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

# The embedded default's models are shipped; `snakemake demo_models` trains them again.
DEMO_MODELS = ("clip", "llama", "gpt2", "t5", "bert")


rule demo_models:
    input:
        [RESULTS.root / "demo_models" / kind for kind in DEMO_MODELS],


rule demo_clip:
    output:
        directory(RESULTS.root / "demo_models/clip"),
    log:
        "logs/demo_models/clip.log",
    benchmark:
        RESULTS.benchmarks / "demo_models/clip.tsv"
    conda:
        "../envs/clipdiff.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=90,
    message:
        "Pretraining the demo's CLIP"
    shell:
        "python -m clipdiff.demo_models.train_clip {output} 2> {log}"


rule demo_llm:
    output:
        directory(RESULTS.root / "demo_models/{kind}"),
    log:
        "logs/demo_models/{kind}.log",
    benchmark:
        RESULTS.benchmarks / "demo_models/{kind}.tsv"
    wildcard_constraints:
        kind="llama|gpt2|t5|bert",
    conda:
        "../envs/clipdiff.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=60,
    message:
        "Training the demo's {wildcards.kind}"
    shell:
        "python -m clipdiff.demo_models.train_llm {wildcards.kind} {output} 2> {log}"

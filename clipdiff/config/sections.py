"""The sections of ``config.yaml``, one model each; ``schema.json`` is generated from them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

EntryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are not guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Clip(Section):
    """A CLIP as open_clip names it: an architecture and its tag, or ``local-dir:FOLDER``."""

    model: str = Field(description="open_clip name, `local-dir:FOLDER` or `hf-hub:ORG/NAME`")
    pretrained: str | None = Field(None, description="open_clip tag of the weights")
    batch: Positive = Field(256, description="pictures embedded at once")


SetName = Literal[
    "coco",
    "awa2",
    "cub200",
    "cifar10",
    "cifar100",
    "flowers102",
    "eurosat",
    "sun397",
    "food101",
    "folder",
    "webdataset",
]


class EvaluationSet(Section):
    """A data set that is evaluated on and never trained on."""

    root: str = Field(description="folder into which its archives were unpacked")
    kind: SetName | None = Field(None, description="how it is laid out; null: as its name says")

    def layout(self, name: str) -> str:
        """Return the layout of an entry of this name."""
        return self.kind or name


class Data(Section):
    """Pictures with captions, their splits, and how many training pairs to draw."""

    source: Literal["demo", "table", "coco"] = Field(
        description="`demo`: emoji scenes; `table`: a CSV or Parquet of your own; `coco`: COCO "
        "captions"
    )
    root: str | None = Field(None, description="for `coco`: folder of its unpacked archives")
    table: str | None = Field(
        None,
        description="for `table`: file with columns image, caption, split[, label, attributes]",
    )
    train_images: Positive = 1000
    validation_images: Positive = 500
    test_images: Positive = 1000
    pairs: Positive = Field(4000, description="training pairs; at most M(M-1)/2")
    evaluation: dict[EntryName, EvaluationSet] = Field(
        default_factory=dict,
        description="sets to evaluate on; NAME adds the splits NAME and NAME_validation",
    )
    seed: int = 0


class Controls(Section):
    """Rows beside the grid that show what the differences themselves contribute."""

    rows: list[Literal["captions", "rewritten", "shuffled"]]
    llm: EntryName = Field(description="whose rewrites and whose shuffled differences")
    seeds: list[int]


class Price(Section):
    """What a server takes for a million tokens, in whatever currency ``generate.max_cost`` is."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return the price of so many tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


class LLM(Section):
    """One entry of ``llm_definitions``: a model that writes differences."""

    kind: Literal["causal", "vllm", "api", "seq2seq", "masked", "file"]
    model: str = Field(
        description="hub name, folder, or the server's name of the model; a table for `file`"
    )
    revision: str | None = None
    prompt: str = Field("plain", description="a file of clipdiff/llm/prompts, without .yaml")
    batch: Positive = Field(
        64, description="prompts decoded at once; concurrent requests for `api`"
    )
    max_new_tokens: Positive = 96
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    rounds: Positive = Field(4, description="`masked`: mask-predict rounds")
    endpoint: Literal["completions", "chat"] = Field("completions", description="`api` only")
    base_url: str | None = Field(
        None, description="`api`: server; null starts a local one on `model`"
    )
    key_env: str = Field("OPENAI_API_KEY", description="environment variable that holds the key")
    key_file: str | None = Field(
        None, description="file that holds the key instead, readable by its owner only (mode 600)"
    )
    requests_per_minute: Positive | None = Field(None, description="`api`: most requests sent")
    tokens_per_minute: Positive | None = Field(None, description="`api`: most tokens, in and out")
    price: Price | None = Field(None, description="`api`: for estimates and generate.max_cost")


class Generate(Section):
    """How LLMs are asked."""

    temperature: float = Field(0.0, ge=0, description="0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = 0
    shard_rows: Positive = Field(512, description="answers a file")
    swapped: int = Field(
        0, ge=0, description="pairs asked about in the other order too: does the text turn round?"
    )
    jobs: Positive = Field(1, description="jobs that share one LLM's questions")
    max_cost: float | None = Field(
        None, gt=0, description="an LLM stops here, in the currency of its price"
    )
    max_tokens_total: Positive | None = Field(
        None, description="an LLM stops here, prompts and answers together, over all runs"
    )


class Filter(Section):
    """Which differences are kept; every dropped row keeps its reason."""

    enabled: bool = True
    min_words: Positive = 4
    max_repeat: Fraction = Field(0.5, description="largest share of repeated 3-grams")
    min_compression: Fraction = Field(0.25, description="smallest zlib size / text size")
    require_both: bool = Field(True, description="drop texts that mention one picture only")


class Loss(Section):
    """One entry of ``loss_definitions``."""

    kind: Literal["contrastive", "squared", "hinge"]
    logit_scale: float = Field(1.0, gt=0, le=100, description="contrastive: inverse temperature")
    learn_logit_scale: bool = False
    normalize: bool = Field(False, description="squared: compare with the normalised difference")
    margin: float = Field(0.2, gt=0, description="hinge")
    negatives: Literal["all", "hardest", "reversed"] = Field("all", description="hinge")
    mask_duplicates: bool = Field(True, description="equal texts in a batch are no negatives")


class Train(Section):
    """Finetuning of one cell."""

    trainable: Literal["transformer", "text", "image", "both"] = "transformer"
    batch: Positive = Field(128, description="pairs a step over all ranks; negatives are global")
    micro_batch: Positive | None = Field(None, description="null: the share of a rank")
    epochs: Positive = 4
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    gamma: float = Field(0.9, gt=0, le=1, description="exponential: factor an epoch")
    warmup: Fraction = Field(0.1, description="share of the steps")
    clip_grad: float = Field(1.0, ge=0, description="gradient norm; 0 is off")
    ranks: Positive = Field(1, description="processes (GPUs) under torchrun, over all nodes")
    zero_stage: Literal[0, 1, 2, 3] = 0
    offload: bool = Field(False, description="optimizer state in CPU memory")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    checkpoint_every: Positive = Field(50, description="steps")
    keep_checkpoints: Positive = 1
    log_every: Positive = 10
    threads: Positive = Field(1, description="CPU threads a rank; fixed, so that runs repeat")


TaskName = Literal[
    "difference_classification",
    "zero_shot",
    "clip_score",
    "comparative_prompting",
    "geometry",
    "linear_probe",
]


class SplitSettings(Section):
    """What one split is measured by, where that is not what the others are."""

    tasks: list[TaskName] | None = None
    templates: str | None = None
    pair_differences: str | None = None
    prompt: str | None = None
    validation: str | None = None


class Evaluate(Section):
    """What is measured, once a cell."""

    tasks: list[TaskName]
    splits: list[str]
    per_split: dict[str, SplitSettings] = Field(
        default_factory=dict, description="what single splits are measured by, if not as all are"
    )
    wise_alphas: list[Fraction] = Field(description="weights: 0 pretrained, 1 finetuned (WiSE-FT)")
    draws: Positive = Field(5, description="draws of difference pairs")
    images_per_draw: Positive = 100
    pairs_per_draw: Positive = 200
    templates: str = Field(
        "scenes", description="difference tasks: a file of clipdiff/evaluate/templates, or a path"
    )
    pair_differences: str | None = Field(
        None,
        description="difference task `written`: Parquet table image_id_1, image_id_2, difference",
    )
    prompt: str = Field(
        "This is a photo of a {label}",
        description="class prompt: a text, a set of clipdiff/evaluate/prompts, `imagenet80` or "
        "`imagenet7` of open_clip, or a path",
    )
    validation: str = Field(
        "validation", description="split of the same classes on which a task makes its choices"
    )
    confusions: Positive = Field(
        3, description="comparative prompting: most classes that one is told apart from"
    )
    prompt_alphas: list[Fraction] = Field(
        default=[0.8, 0.85, 0.9],
        min_length=1,
        description="comparative prompting: shares of the plain prompt, one is chosen",
    )
    class_differences: str | None = Field(
        None,
        description="Parquet table class_1, class_2, difference, with `{llm}` in its path",
    )
    class_descriptions: str | None = Field(
        None,
        description="to compare with: Parquet table class, description, with `{llm}` in its path",
    )
    class_pairs: Positive = Field(500, description="geometry: pairs of classes a split")
    shots: Positive = Field(16, description="linear probe: training pictures a class")
    score_prefix: str = Field("", description="text before a caption in CLIP-Score")
    edits: Positive = Field(500, description="edit CLIP-Score items a split")
    resamples: Positive = Field(1000, description="bootstrap resamples over images")
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 0
    threads: Positive = 1

    def for_split(self, split: str) -> "Evaluate":
        """Return the section as it holds for one split."""
        own = self.per_split.get(split, SplitSettings()).model_dump(exclude_none=True)
        return self.model_copy(update=own)


class Gather(Section):
    """Statistics and what the report compares."""

    alpha: float = Field(0.05, gt=0, lt=1, description="level after Holm")
    example_pairs: Positive = 8
    seed: int = 0


class Config(Section):
    """The whole configuration: grid axes, definitions of their entries, and one section a stage."""

    llms: list[EntryName] = Field(min_length=1)
    losses: list[EntryName] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    controls: Controls
    data: Data
    clip: Clip
    reference_clip: Clip
    generate: Generate
    filter: Filter
    train: Train
    evaluate: Evaluate
    gather: Gather
    llm_definitions: dict[EntryName, LLM]
    loss_definitions: dict[EntryName, Loss]

"""One question of the evaluation to an LLM: about two classes, one class, or two images."""

from dataclasses import dataclass

from clipdiff.tasks.measuring.splits import Split

CAPTION = "a photo of a {}"  # what an LLM reads of a class, whatever the class prompts


@dataclass(frozen=True)
class EvaluationQuestion:
    """One row of ``data/questions.parquet``; ``table`` is that of the texts it asks for.

    An LLM reads ``caption_1`` and, where it has to tell a difference, ``caption_2``.
    """

    table: str
    task: str
    caption_1: str
    caption_2: str | None = None
    class_1: str | None = None
    class_2: str | None = None
    image_id_1: int | None = None
    image_id_2: int | None = None


def about_classes(split: Split, first: int, second: int) -> EvaluationQuestion:
    """Ask how one class differs from another (ids)."""
    class_1, class_2 = (split.class_names[place] for place in (first, second))
    return EvaluationQuestion(
        "class_differences",
        "difference",
        CAPTION.format(class_1),
        CAPTION.format(class_2),
        class_1=class_1,
        class_2=class_2,
    )


def about_a_class(name: str) -> EvaluationQuestion:
    """Ask what a class looks like."""
    return EvaluationQuestion("class_descriptions", "describe", name, class_1=name)


def about_images(split: Split, first: int, second: int) -> EvaluationQuestion:
    """Ask how the image in one row of a split differs from that in another, by their captions."""
    return EvaluationQuestion(
        "pair_differences",
        "difference",
        split.captions[first],
        split.captions[second],
        image_id_1=int(split.image_ids[first]),
        image_id_2=int(split.image_ids[second]),
    )

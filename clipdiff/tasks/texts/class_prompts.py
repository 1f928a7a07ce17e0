"""Class prompts: sets of templates, and the embedding of a class under all of them.

The sets are data: ``prompts/NAME.txt``, one text with ``{label}`` a line, ``#`` for comments.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdiff.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

PROMPTS = Path(__file__).parent / "prompts"
OPEN_CLIP_SETS = {
    "imagenet80": "OPENAI_IMAGENET_TEMPLATES",
    "imagenet7": "SIMPLE_IMAGENET_TEMPLATES",
}
PLACE = "{label}"

Template = Callable[[str], str]


def class_prompts(prompt: str, class_names: Sequence[str]) -> list[str]:
    """Return C * T texts: all T templates of the first of C classes, then of the second, ...

    Args:
        prompt: ``evaluate.prompt``, see ``load_prompts``.
        class_names: C names.
    """
    templates = load_prompts(prompt)
    return [template(name) for name in class_names for template in templates]


def load_prompts(prompt: str) -> Sequence[Template]:
    """Return the templates that a setting names.

    Args:
        prompt: a text with ``{label}``, a set of open_clip's (``imagenet80``, ``imagenet7``), a
            file of ``clipdiff/tasks/texts/prompts`` without ``.txt``, or the path of one.

    Raises:
        ConfigError: it is none of them, or a line of the file has no ``{label}``.
    """
    if PLACE in prompt:
        return [_template(prompt)]
    if prompt in OPEN_CLIP_SETS:
        import open_clip

        templates: Sequence[Template] = getattr(open_clip, OPEN_CLIP_SETS[prompt])
        return templates
    path = Path(prompt) if prompt.endswith(".txt") else PROMPTS / f"{prompt}.txt"
    if not path.is_file():
        names = [*sorted(file.stem for file in PROMPTS.glob("*.txt")), *OPEN_CLIP_SETS]
        raise ConfigError(
            f"evaluate.prompt: got {prompt!r}{did_you_mean(prompt, names)}; expected a text with "
            f"{PLACE} in it, one of the sets {', '.join(names)}, or the path of a .txt file"
        )
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if odd := [line for line in lines if PLACE not in line] or ([] if lines else ["no line"]):
        raise ConfigError(f"{path}: {odd[0]!r}, expected texts with {PLACE} in each line")
    return [_template(line) for line in lines]


def class_embeds(text_embeds: "Tensor", classes: int) -> "Tensor":
    """Return (C, D) L2-normalised means over the T prompts of each class (Radford 2021, 3.1.4).

    The arithmetic is that of open_clip's ``build_zero_shot_classifier``, to the last bit.

    Args:
        text_embeds: (C * T, D), L2-normalised, in the order of ``class_prompts``.
        classes: C.
    """
    means = text_embeds.reshape(classes, -1, text_embeds.shape[1]).mean(dim=1)
    return means / means.norm(dim=1, keepdim=True)


def _template(text: str) -> Template:
    return lambda label: text.replace(PLACE, label)

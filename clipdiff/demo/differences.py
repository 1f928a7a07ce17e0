"""How two scenes differ, in words: the examples the small language models learn from.

``describe`` writes one of many wordings of every attribute in which two scenes differ;
``fill_scaffold`` writes the fixed scaffold that a masked model learns to fill.
"""

import random

from clipdiff.demo.scenes import Scene, noun, objects

NUMBER = {1: "one", 2: "two", 3: "three"}
SIZE_RANK = {"small": 0, "medium": 1, "large": 2}

OBJECT_CLAUSES = (
    "the first shows {a}, the second shows {b}",
    "the first picture shows {a} while the second shows {b}",
    "the first has {a} instead of {b}",
)
COUNT_CLAUSES = (
    "the first has {more} objects than the second",
    "there are {more} objects in the first",
    "the first has {n} and the second has {m}",
)
SIZE_CLAUSES = (
    "the objects in the first are {larger} than in the second",
    "the first shows {larger} objects",
    "they are {larger} in the first",
)
BACKGROUND_CLAUSES = (
    "the background of the first is {p}, of the second {q}",
    "the first is on a {p} background, the second on a {q} one",
    "the background is {p} instead of {q}",
)
SCAFFOLD = (
    "the first shows {a} , the second shows {b} . the first has {more} objects , "
    "they are {larger} , and the background is {p} instead of {q} ."
)


def article(name: str) -> str:
    """Return the name with its indefinite article."""
    return f"{'an' if name[0] in 'aeiou' and not name.startswith('uni') else 'a'} {name}"


def phrase(scene: Scene) -> str:
    """Return the object of a scene as a noun phrase in its number."""
    return article(noun(scene)) if scene.count == 1 else noun(scene)


def comparative(first: int, second: int, words: tuple[str, str, str]) -> str:
    """Return the word for less, same or more."""
    return words[1 + (first > second) - (first < second)]


def describe(first: Scene, second: Scene, rng: random.Random) -> str:
    """Say in one or two sentences how ``first`` differs from ``second``; empty if it does not."""
    clauses = []
    if first.name != second.name:
        clauses.append(rng.choice(OBJECT_CLAUSES).format(a=phrase(first), b=phrase(second)))
    if first.count != second.count:
        more = comparative(first.count, second.count, ("fewer", "", "more"))
        numbers = {"n": NUMBER[first.count], "m": NUMBER[second.count]}
        clauses.append(rng.choice(COUNT_CLAUSES).format(more=more, **numbers))
    if first.size != second.size:
        ranks = SIZE_RANK[first.size], SIZE_RANK[second.size]
        larger = comparative(*ranks, ("smaller", "", "larger"))
        clauses.append(rng.choice(SIZE_CLAUSES).format(larger=larger))
    if first.background != second.background:
        colours = {"p": first.background, "q": second.background}
        clauses.append(rng.choice(BACKGROUND_CLAUSES).format(**colours))
    if not clauses:
        return ""
    rng.shuffle(clauses)
    sentences = [", and ".join(clauses[:2]), ", and ".join(clauses[2:])]
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in sentences if text)


def fill_scaffold(first: Scene, second: Scene) -> str:
    """Return the masked model's scaffold with every slot filled truly, one word a slot."""
    ranks = SIZE_RANK[first.size], SIZE_RANK[second.size]
    return SCAFFOLD.format(
        a=head_word(first.name),
        b=head_word(second.name),
        more=comparative(first.count, second.count, ("fewer", "equal", "more")),
        larger=comparative(*ranks, ("smaller", "alike", "larger")),
        p=first.background,
        q=second.background,
    )


def head_word(name: str) -> str:
    """Return the one word that names an object in the scaffold ("palm tree" -> "tree")."""
    return objects()[name].name.split()[-1]

"""Loops and paths in assembly: one reading for PTX and for SASS.

Both are lists of instructions with labels. A loop is a branch to an earlier label. Of the ways
through a piece of code the one taken here passes the most *marked* instructions (the products, the
stores) and, of those, has the fewest instructions in all: a skipped epilogue of a persistent
kernel, a rare slow branch or a wait that goes round are not counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``target`` is the place that a branch goes to, ``maybe`` a condition."""

    opcode: str
    operands: str
    target: int | None = None
    maybe: bool = False


Listing = list[Instruction]
Marked = Callable[[Instruction], bool]

_SASS = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
_SASS_LABEL = re.compile(r"^(\.L_\w+):")
_SASS_BRANCH = re.compile(r"(BRA|CALL\.REL\.NOINC)\b")
_SASS_TARGET = re.compile(r"`\((\.L_\w+)\)")
_PTX = re.compile(r"^\s*(?:\{\s*)?(@!?%?\w+\s+)?([a-z][\w.:]*)\s*(.*?)\s*;")
_PTX_LABEL = re.compile(r"^\s*([\w$]+):\s*(?://.*)?$")
_PTX_BRANCH = re.compile(r"bra\b")
_PTX_TARGET = re.compile(r"([\w$]+)$")


def read_sass(text: str) -> Listing:
    """The instructions that nvdisasm lists.

    ptxas leaves some loops by ``CALL.REL.NOINC`` to a label of the kernel: a jump, nothing returns.
    """
    return _read(text, _SASS, _SASS_LABEL, _SASS_BRANCH, _SASS_TARGET)


def read_ptx(text: str) -> Listing:
    """The instructions of PTX, inline assembly included."""
    return _read(text, _PTX, _PTX_LABEL, _PTX_BRANCH, _PTX_TARGET)


def _read(
    text: str,
    instruction: re.Pattern[str],
    label: re.Pattern[str],
    branch: re.Pattern[str],
    target: re.Pattern[str],
) -> Listing:
    lines: list[tuple[str, str, str]] = []
    labels: dict[str, list[int]] = {}
    for line in text.splitlines():
        if match := label.match(line):
            labels.setdefault(match[1], []).append(len(lines))
        elif match := instruction.match(line):
            lines.append((match[1] or "", match[2], match[3]))
    listing = []
    for place, (predicate, opcode, operands) in enumerate(lines):
        goal = target.search(operands) if branch.match(opcode) else None
        if goal is None or goal[1] not in labels:
            listing.append(Instruction(opcode, operands, maybe=bool(predicate)))
            continue
        # A label of inline assembly comes once a use, each in its own braces: the nearest is meant.
        nearest = min(labels[goal[1]], key=lambda at: abs(at - place))
        maybe = bool(predicate) or bool(re.match(r"!?U?P\w+\s*,", operands))
        listing.append(Instruction(opcode, operands, nearest, maybe))
    return listing


def loops(listing: Listing) -> list[tuple[int, int]]:
    """First and last place of every loop, the shortest first."""
    ends = [
        (each.target, place)
        for place, each in enumerate(listing)
        if each.target is not None and each.target <= place
    ]
    return sorted(ends, key=lambda span: span[1] - span[0])


def path(listing: Listing, first: int, stops: Sequence[int], marked: Marked) -> Listing:
    """The instructions from ``first`` to one of ``stops``, both included, as the module says.

    Backward branches are not taken. Empty where no way leads there.
    """
    last = max(stops)
    best: dict[int, tuple[int, int, int]] = {first: (0, 0, first)}  # -marked, count, from where
    for place in range(first, last + 1):
        if place not in best:
            continue
        here = listing[place]
        cost = (best[place][0] - marked(here), best[place][1] + 1, place)
        for after in _next(here, place):
            if place < after <= last + 1 and cost < best.get(after, (1, 0, 0)):
                best[after] = cost
    ends = [
        ((best[stop][0] - marked(listing[stop]), best[stop][1]), stop)
        for stop in stops
        if stop in best
    ]
    if not ends:
        return []
    place, taken = min(ends)[1], []
    while place != first:
        taken.append(listing[place])
        place = best[place][2]
    return [listing[first], *reversed(taken)]


def _next(here: Instruction, place: int) -> list[int]:
    if here.target is None:
        leaves = here.opcode in ("EXIT", "ret") and not here.maybe
        return [] if leaves else [place + 1]
    return [place + 1, here.target] if here.maybe else [here.target]

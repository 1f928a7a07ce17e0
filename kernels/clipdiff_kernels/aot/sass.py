"""What compiled code does in a step of its main loop: read from SASS and PTX.

The main loop is the innermost one that holds tensor-core products: HGMMA on sm_90, HMMA on sm_80,
UTCHMMA (tcgen05) on sm_100. Without products it is the innermost loop with the most exponentials,
then reads of global memory; without a loop, the whole program is one step. The compiler may have
unrolled it: numbers are of one step as the configuration counts steps, by its FLOP or exponentials.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from .listing import Instruction, Listing, Marked, loops, path, read_ptx, read_sass
from .spec import Configuration

WARP = 32
_PRODUCT = re.compile(r"(HGMMA|HMMA|UTC\w*MMA)\b|(wgmma\.mma_async|mma\.sync|tcgen05\.mma)\b")
_STORE = re.compile(r"(STG|UTMASTG|RED|REDG|ATOMG|ATOM)\b")
_READ = re.compile(r"(LDG|LDGSTS|UTMALDG)\b|ld\.global|cp\.async\.(c[ag]|bulk\.tensor)\.")
_SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
# Bytes a value of these PTX types takes.
_TYPE_BYTES = {"b8": 1, "b16": 2, "b32": 4, "b64": 8, "b128": 16}


@dataclass(frozen=True)
class Step:
    """A step of the main loop of one program, and what a program does outside of the loop.

    ``instructions``: SASS that a warp issues; ``products``: tensor-core instructions among them, of
    ``shape`` (PTX; "" on sm_100, whose PTX does not name it); ``flop``: of a program.
    ``copied_bytes``: asked of L2 by asynchronous copies (the bytes that each stage's barrier
    expects, or the sizes of ``cp.async`` times the threads), ``loaded_bytes``: by plain loads.
    ``stages``: steps whose copies are in flight while a product runs. ``waits_for``: groups of
    products that may still run after the loop's wait (1: the copy engine is fed while the tensor
    cores work; None: the loop waits for none). ``exps``: MUFU.EX2 a thread; ``loads``: from
    global memory, by their width in bits ("128 async": to shared memory). ``rest_instructions``,
    ``rest_exps``: before and after the loop, once a program.
    """

    instructions: float
    products: float
    shape: str
    flop: float
    copied_bytes: float
    loaded_bytes: float
    stages: float
    waits_for: int | None
    exps: float
    loads: dict[str, float]
    logits: float
    threads: int
    rest_instructions: int
    rest_exps: int

    @property
    def per_four_products(self) -> float:
        """SASS instructions for every 4 tensor-core instructions."""
        return 4 * self.instructions / self.products

    @property
    def flop_a_byte(self) -> float:
        """FLOP of products for a byte asked of L2: P R / (P + R) for tiles of P x R in 16 bits.

        0 where no load is recognised in the loop: then no bound on it may hold.
        """
        asked = self.copied_bytes + self.loaded_bytes
        return self.flop / asked if asked else 0.0

    @property
    def per_logit(self) -> float:
        """Instructions of single threads for each logit."""
        return self.instructions * self.threads / self.logits


def analyse(sass: str, ptx: str, configuration: Configuration) -> Step:
    """The main loop of a kernel, from nvdisasm's listing and Triton's PTX."""
    machine, virtual = read_sass(sass), read_ptx(ptx)
    threads = _threads(ptx)
    span, body = _main_loop(machine)
    virtual_span, virtual_body = _main_loop(virtual)
    steps, virtual_steps = _unrolled(body, virtual_body, configuration, threads)
    exits = _ends(machine)
    whole = path(machine, 0, exits, lambda each: _product(each) or bool(_STORE.match(each.opcode)))
    outside = [] if span is None else whole
    inside = body if span is not None else []
    widths = Counter(_width(each) for each in body if each.opcode.startswith("LDG"))
    before = virtual[: virtual_span[0]] if virtual_span else []
    flop = _flop(virtual_body, threads) or configuration.flop * virtual_steps
    return Step(
        instructions=len(body) / steps,
        products=_count(body, _product) / steps,
        shape=_shape(virtual_body),
        flop=flop / virtual_steps,
        copied_bytes=_copied(virtual_body, threads) / virtual_steps,
        loaded_bytes=_loaded(virtual_body, threads) / virtual_steps,
        stages=_stages(before, virtual_body),
        waits_for=_waits_for(virtual_body, "wgmma.wait_group"),
        exps=_count(body, _exp) / steps,
        loads={width: count / steps for width, count in sorted(widths.items())},
        logits=configuration.logits,
        threads=threads,
        rest_instructions=max(0, len(outside) - len(inside)),
        rest_exps=max(0, _count(outside, _exp) - _count(inside, _exp)),
    )


def _product(each: Instruction) -> bool:
    return bool(_PRODUCT.match(each.opcode))


def _exp(each: Instruction) -> bool:
    return each.opcode.startswith(("MUFU.EX2", "ex2."))


def _read(each: Instruction) -> bool:
    """Asks for global memory, by a plain load or by an asynchronous copy."""
    return bool(_READ.match(each.opcode))


def _load(each: Instruction) -> bool:
    return each.opcode.startswith(("LDG.", "ld.global"))


def _count(listing: Listing, which: Marked) -> int:
    return sum(map(which, listing))


def _main_loop(listing: Listing) -> tuple[tuple[int, int] | None, Listing]:
    """Where the main loop is, and the instructions of one turn."""
    spans = loops(listing)
    for first, last in spans:
        body = path(listing, first, [last], _product)
        if any(map(_product, body)):
            return (first, last), body
    inner = [
        (first, last)
        for first, last in spans
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in spans)
    ]
    turns = [(span, path(listing, span[0], [span[1]], _read)) for span in inner]
    turns = [(span, body) for span, body in turns if any(map(_read, body))]
    if turns:
        return max(turns, key=lambda t: (_count(t[1], _exp), _count(t[1], _read), len(t[1])))
    return None, path(listing, 0, _ends(listing), _read)


def _ends(listing: Listing) -> list[int]:
    """Where a program ends: the unconditional exits or, where it has none, the others."""
    ends = [i for i, each in enumerate(listing) if each.opcode in ("EXIT", "ret")]
    return [i for i in ends if not listing[i].maybe] or ends


def _unrolled(
    body: Listing, virtual: Listing, configuration: Configuration, threads: int
) -> tuple[float, float]:
    """Steps in a turn of the loop, in SASS and in PTX; 1 where nothing tells."""
    made = _flop(virtual, threads)
    if configuration.flop and made:
        steps = made / configuration.flop
        return steps * _count(body, _product) / _count(virtual, _product), steps
    if configuration.logits and configuration.exps:
        one = configuration.logits * configuration.exps / threads
        return max(1, round(_count(body, _exp) / one)), max(1, round(_count(virtual, _exp) / one))
    return 1, 1


def _threads(ptx: str) -> int:
    match = re.search(r"\.(?:reqntid|maxntid)\s+(\d+)", ptx)
    if match is None:
        raise ValueError("the PTX names no number of threads (.reqntid); is it a newer Triton?")
    return int(match[1])


def _shape(virtual: Listing) -> str:
    shapes = {m[0] for each in virtual if _product(each) and (m := _SHAPE.search(each.opcode))}
    return " ".join(sorted(shapes))


def _flop(virtual: Listing, threads: int) -> float:
    """FLOP of a program: wgmma is issued by four warps together, mma.sync by each."""
    total = 0.0
    for each in virtual:
        if _product(each) and (match := _SHAPE.search(each.opcode)):
            m, n, k = map(int, match.groups())
            together = 4 * WARP if each.opcode.startswith("wgmma") else WARP
            total += 2 * m * n * k * threads / together
    return total


def _copied(virtual: Listing, threads: int) -> float:
    total = 0
    for each in virtual:
        if each.opcode.startswith("mbarrier.arrive.expect_tx"):
            total += int(each.operands.rsplit(",", 1)[1])
        elif each.opcode.startswith("cp.async.c") and ".global" in each.opcode:
            total += threads * int(re.split(r",\s*", each.operands)[2].split()[0], 0)
    return total


def _loaded(virtual: Listing, threads: int) -> float:
    total = 0
    for each in filter(_load, virtual):
        kinds = each.opcode.split(".")
        vector = next((int(k[1:]) for k in kinds if re.fullmatch(r"v\d", k)), 1)
        kind = re.sub("[suf]", "b", kinds[-1])
        total += threads * vector * _TYPE_BYTES[kind]
    return total


def _stages(before: Listing, virtual: Listing) -> float:
    """Steps whose copies are in flight while a product runs.

    Bulk copies: those started before the loop, less those that products peeled off before the loop
    have used, by those of a step. cp.async: the groups that the loop's wait leaves open, by those
    of a step, and the one that is started after the wait.
    """
    bulk = _count(virtual, _bulk)
    if bulk:
        used = _count(before, _product) / max(_count(virtual, _product), 1)
        return _count(before, _bulk) / bulk - used
    groups = _count(virtual, lambda each: each.opcode == "cp.async.commit_group")
    left = _waits_for(virtual, "cp.async.wait_group")
    return left / groups + 1 if groups and left is not None else 0.0


def _bulk(each: Instruction) -> bool:
    return bool(re.match(r"cp\.async\.bulk\.tensor\.\dd\.shared::", each.opcode))


def _waits_for(virtual: Listing, opcode: str) -> int | None:
    waits = [int(each.operands) for each in virtual if each.opcode.startswith(opcode)]
    return min(waits, default=None)


def _width(each: Instruction) -> str:
    match = re.search(r"\.[US]?(8|16|64|128)\b", each.opcode)
    return (match[1] if match else "32") + " async" * each.opcode.startswith("LDGSTS")

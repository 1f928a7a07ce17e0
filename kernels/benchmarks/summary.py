"""``round.md``: the figures of the last round in a folder, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lines import ROWS, read_rows

Row = dict[str, Any]
# Our providers, as the predictions name them.
WAYS = {
    "triton": "products",
    "triton-library": "products by the library",
    "triton-kept": "products, exponentials kept",
    "triton-gather": "gathers",
}
# Figure -> its columns; a row that lacks one leaves it empty.
TABLES = {
    "machine": ["device", "driver", "torch", "triton", "python", "commit"],
    "rates": ["product_tflops", "copy_tbs"],
    "times": [
        "op", "N", "provider", "forward_ms", "step_ms", "x_eager", "floor_ms", "x_floor",
        "predicted_ms", "tflops", "tbs", "peak_mb", "launches", "loss_error", "grad_error",
    ],
    "tests": ["file", "passed", "failed", "skipped", "seconds"],
    "tile": ["use", "tile", "ms", "in_use_ms", "best"],
    "workspace": ["backend", "mib", "ms"],
    "step": [
        "batch", "micro_batch", "compiled", "loss", "step_ms", "tokens_per_s", "mfu", "loss_share",
        "peak_mb",
    ],
    "training": ["run", "device", "kernels", "seconds", "loss_off", "moved_off", "within"],
    "predicted": ["loss", "N", "ms"],
    "unavailable": ["piece", "why"],
    "failed": ["part", "piece", "error"],
    "not measured": ["part", "piece"],
    "part": ["part", "seconds"],
}  # fmt: skip


def write_summary(out: Path) -> None:
    rows = read_rows(out / ROWS)
    last = [row for row in rows if row["round"] == rows[-1]["round"]]
    text = [f"# Round of {last[-1]['round']}{' (dry: no time means anything)' * _dry(last)}", ""]
    text += [agreement(last), ""]
    shown = with_ratios(last) + not_measured(last)
    for figure, columns in TABLES.items():
        of = [row for row in shown if row["figure"] == figure]
        if of:
            text += [f"## {figure}", "", table(columns, of), ""]
    (out / "round.md").write_text("\n".join(text))


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """Times with how many times faster than eager they are; refused where our gate is red.

    Peers that keep logits in 16 bits miss our bounds; their errors stand beside their times.
    """
    predicted = [row for row in rows if row["figure"] == "predicted"]
    launches = {row["piece"]: row["launches"] for row in rows if row["figure"] == "kernels"}
    eager = {
        (row["op"], row["N"]): row["step_ms"]
        for row in rows
        if row["figure"] == "times" and row["provider"] == "eager"
    }
    done = []
    for row in rows:
        if row["figure"] != "times":
            done.append(row)
            continue
        base = eager.get((row["op"], row["N"]))
        ratio = f"{base / row['step_ms']:.2f}" if base else ""
        floor = row["step_ms"] / row["floor_ms"]
        done.append(
            row
            | {
                "x_eager": ratio if row["within"] or row["provider"] not in WAYS else "refused",
                "x_floor": f"{floor:.2f}",
                "predicted_ms": next((p["ms"] for p in predicted if _same(p, row)), ""),
                "launches": launches.get(row["piece"], ""),
            }
        )
    return done


def _same(predicted: Row, row: Row) -> bool:
    """Whether a prediction is of a measured loss."""
    variant, way = predicted["loss"].split(", ")
    ours = way == WAYS.get(row["provider"]) and variant.startswith(row["op"])
    return ours and predicted["N"] == row["N"]


def not_measured(rows: Sequence[Row]) -> list[Row]:
    """Pieces that no process came to before its part's time was up."""
    begun = {(row["part"], row["piece"]) for row in rows if row["figure"] == "begin"}
    planned = {
        (row["part"], piece): None
        for row in rows
        if row["figure"] == "planned"
        for piece in row["pieces"]
    }
    return [
        {"figure": "not measured", "part": part, "piece": piece}
        for part, piece in planned
        if (part, piece) not in begun
    ]


def agreement(rows: Sequence[Row]) -> str:
    """How many cases agree with float64, and which do not."""
    cases = [row for row in rows if row["figure"] == "agreement"]
    red = [row for row in cases if not row["within"]]
    lines = [f"{len(cases) - len(red)} of {len(cases)} cases agree with float64."]
    columns = [
        "variant",
        "backend",
        "inputs",
        "precision",
        "loss_error",
        "text_error",
        "image_error",
    ]
    return "\n".join([*lines, *(["", table(columns, red)] if red else [])])


def table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [_cell(row.get(name)).replace("|", "\\|").replace("\n", " ") for name in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _dry(rows: Sequence[Row]) -> bool:
    return any(row.get("dry") for row in rows)

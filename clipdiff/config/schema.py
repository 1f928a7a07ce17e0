"""The JSON schema that editors use: ``python -m clipdiff.config.schema`` writes it again."""

import json
from pathlib import Path
from typing import Any

from clipdiff.config.model import Config
from clipdiff.files import written_whole

SCHEMA = Path(__file__).with_name("schema.json")


def generated_schema() -> dict[str, Any]:
    """Return the schema of ``config.yaml``; no key is required, because presets are partial."""
    schema = Config.model_json_schema()
    schema.pop("required")
    return schema


if __name__ == "__main__":
    with written_whole(SCHEMA) as scratch:
        scratch.write_text(json.dumps(generated_schema(), indent=2) + "\n")

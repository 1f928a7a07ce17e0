"""One rank of several trainings in turn, under torchrun: ``rank_of_trainings.py JOBS``.

JOBS is a JSON file of objects with ``settings`` and the paths that ``train`` takes.
"""

import json
import logging
import sys
from pathlib import Path

from clipdiff.config.stages import TrainSettings
from clipdiff.train.run import train

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    for job in json.loads(Path(sys.argv[1]).read_text()):
        settings = TrainSettings.model_validate(job.pop("settings"))
        train(settings, **{name: Path(path) for name, path in job.items()})

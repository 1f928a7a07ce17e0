"""One rank of several trainings in turn, under torchrun: ``rank_of_trainings.py JOBS``.

JOBS is a JSON file of objects with ``settings``, the paths that ``train`` takes, and ``kernels``,
the backend of the loss. It needs TRITON_INTERPRET=1; which kernels Triton's interpreter ran is
noted beside the checkpoints.
"""

import json
import logging
import os
import sys
from pathlib import Path

from clipdiff_kernels.dispatch import BACKEND_VARIABLE
from launches import counted

from clipdiff.config.stages import TrainSettings
from clipdiff.train.run import train

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    launches = counted()
    for job in json.loads(Path(sys.argv[1]).read_text()):
        settings = TrainSettings.model_validate(job.pop("settings"))
        os.environ[BACKEND_VARIABLE] = job.pop("kernels")
        launches.clear()
        train(settings, **{name: Path(path) for name, path in job.items()})
        noted = Path(job["checkpoints"]) / f"launches{os.environ['RANK']}.json"
        noted.write_text(json.dumps(launches))

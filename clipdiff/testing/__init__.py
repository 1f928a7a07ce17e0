"""Does an entry keep what its room promises? For whoever writes a loss, writer, task or data set.

One call in a test checks it all; a broken promise is an ``AssertionError`` that says so in words::

    from clipdiff.testing import check_loss
    from mypackage.smooth import SmoothL1

    def test_smooth_l1():
        check_loss(SmoothL1(beta=0.5))

An entry of your own derives from the base class of its room (``clipdiff.losses.base.LossEntry``,
``clipdiff.writers.base.AskedWriter``, ``clipdiff.tasks.base.TaskEntry``,
``clipdiff.datasets.base.DatasetEntry``), leaves ``kind: str`` as it is there, and imports torch and
the like inside its functions: it is imported wherever a configuration is checked. A configuration
names it ``kind: mypackage.smooth:SmoothL1``, or by an entry point of the group ``clipdiff.losses``,
``clipdiff.writers``, ``clipdiff.tasks`` or ``clipdiff.datasets``.
"""

from clipdiff.testing.dataset_checks import check_dataset
from clipdiff.testing.loss_checks import check_loss
from clipdiff.testing.task_checks import check_task
from clipdiff.testing.writer_checks import check_writer

__all__ = ["check_dataset", "check_loss", "check_task", "check_writer"]

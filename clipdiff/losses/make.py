"""Making the loss that the configuration names; to add one, add its module here."""

from clipdiff.config.sections import Loss
from clipdiff.losses.base import DifferenceLoss
from clipdiff.losses.contrastive import ContrastiveLoss
from clipdiff.losses.hinge import HingeLoss
from clipdiff.losses.squared import SquaredLoss


def make_loss(settings: Loss) -> DifferenceLoss:
    """Return the module of one entry of ``loss_definitions``.

    It is called as ``loss(image_embeds, pair_index, text_embeds, group_ids)`` and returns a scalar
    and statistics; ``loss.rows`` is the same for texts that lie over several ranks.
    """
    if settings.kind == "contrastive":
        return ContrastiveLoss(settings.logit_scale, settings.learn_logit_scale)
    if settings.kind == "squared":
        return SquaredLoss(settings.normalize)
    return HingeLoss(settings.margin, settings.negatives)

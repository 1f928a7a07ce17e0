"""The losses between texts and differences, one file each: settings, kernels, words.

They serve in a trainer of your own, too: the settings check themselves, and ``module()`` is a
``torch.nn.Module``::

    from clipdiff.losses.hinge import Hinge

    loss = Hinge(margin=0.3, negatives="hardest").module()
    value, stats = loss(image_embeds, pair_index, text_embeds)
    value.backward()

``image_embeds`` (M, D) and ``text_embeds`` (N, D) are L2-normalised, and row k of ``pair_index``
(N, 2) says which two of the images text k tells apart. Settings from a file come in by name:
``LOSSES.make({"kind": "hinge", "margin": 0.3})`` of :mod:`clipdiff.losses.base`. Where a batch
lies over several processes, ``loss.rows`` computes from each one's texts.
"""

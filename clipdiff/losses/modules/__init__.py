"""The ``torch.nn.Module`` behind the losses."""

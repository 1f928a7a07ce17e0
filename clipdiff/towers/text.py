"""Text encoding that computes only what the embedding of a text depends on.

A causal text tower that pools at the end-of-text token never looks past it. So the padded columns
can be cut at the longest text of a batch, and the last block is needed at the pooled token alone.
Both are exact (to rounding), and together two to five times faster on short texts. Towers that
look both ways or pool elsewhere are run as they are.
"""

from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock, text_global_pool
from torch import Tensor, nn


class TextTower(nn.Module):
    """The text side of an open_clip model as one module, sharing its parameters.

    For OpenAI-style CLIPs (``open_clip.model.CLIP``) parameter names equal the model's own, so
    ``tower.state_dict()`` loads back into it. Other models keep their tower under ``text``.
    """

    attn_mask: Tensor

    def __init__(self, clip: Any):
        super().__init__()
        self.is_openai_style = hasattr(clip, "token_embedding")
        if not self.is_openai_style:
            self.text = clip.text
            self.trims = False
            return
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        self.pool_type = clip.text_pool_type
        self.eos_id = clip.text_eos_id
        self.register_buffer("attn_mask", clip.attn_mask, persistent=False)
        self.trims = clip.attn_mask is not None and self.pool_type in ("argmax", "eos")

    def forward(self, tokens: Tensor, trimmed: bool = False) -> Tensor:
        """Encode token ids (N, L) int64, L up to the context length, as (N, D) text_features.

        ``trimmed`` tokens are not cut again: finding the longest text waits for a GPU.
        """
        if not self.is_openai_style:
            return self.text(tokens)
        if self.trims and not trimmed:
            tokens = self.trim(tokens)
        length = tokens.shape[1]
        dtype = self.transformer.get_cast_dtype()
        x = self.token_embedding(tokens).to(dtype)  # (N, L, W)
        x = x + self.positional_embedding[:length].to(dtype)
        mask = None if self.attn_mask is None else self.attn_mask[:length, :length]
        if self.trims and self._last_block_is_plain():
            x = self.ln_final(self._pooled(x, mask, self._ends(tokens)))  # (N, W)
        else:
            x = self.ln_final(self.transformer(x, attn_mask=mask))
            x = text_global_pool(x, tokens, self.pool_type, eos_token_id=self.eos_id)  # (N, W)
        if isinstance(self.text_projection, nn.Linear):
            return self.text_projection(x)
        return x if self.text_projection is None else x @ self.text_projection

    def lengths(self, tokens: Tensor) -> Tensor:
        """Return (N,) int64: columns of each row that matter, through the end-of-text token."""
        if not self.trims:
            return torch.full((len(tokens),), tokens.shape[1])
        return self._ends(tokens) + 1

    def trim(self, tokens: Tensor) -> Tensor:
        """Cut token ids (N, L) at the longest end-of-text of the batch."""
        return tokens[:, : int(self.lengths(tokens).max())] if len(tokens) else tokens

    def _ends(self, tokens: Tensor) -> Tensor:
        """Return (N,) int64: the column of each row's end-of-text token."""
        if self.pool_type == "argmax":
            return tokens.argmax(1)
        return (tokens == self.eos_id).int().argmax(1)

    def _last_block_is_plain(self) -> bool:
        plain = type(self.transformer.resblocks[-1]) is ResidualAttentionBlock
        return plain and self.transformer.batch_first and not self.transformer.grad_checkpointing

    def _pooled(self, x: Tensor, mask: Tensor, ends: Tensor) -> Tensor:
        """Run the transformer on (N, L, W), its last block at the ends only; return (N, W)."""
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            x = block(x, attn_mask=mask)
        rows = torch.arange(len(x), device=x.device)
        seen = last.ln_1(x)
        # one query a text: the mask's row of its end, for every head
        own = mask[ends].repeat_interleave(last.attn.num_heads, 0).unsqueeze(1)  # (N * H, 1, L)
        query = seen[rows, ends].unsqueeze(1)  # (N, 1, W)
        attended = last.attention(query, seen, seen, attn_mask=own)
        pooled = x[rows, ends].unsqueeze(1) + last.ls_1(attended)
        return (pooled + last.ls_2(last.mlp(last.ln_2(pooled)))).squeeze(1)

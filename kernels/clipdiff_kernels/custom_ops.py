"""How the losses become operators of torch: for its compiler, fake tensors and function transforms.

An operator takes tensors and numbers, and runs as one piece: on the device of its texts, without
autocast (which dtype is multiplied in has been decided at the door), outside of autograd. Around it
stands an ``autograd.Function`` with its gradient, whose own gradient is refused.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NoReturn

import torch
from torch import Tensor

from .differences import accumulate_dtype

NAMESPACE = __name__.partition(".")[0]
"""Two copies of this package in one process, as a kernel hub may load them, have their own ops."""

LIBRARY = torch.library.Library(NAMESPACE, "FRAGMENT")


def operator(name: str, fake: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Make a function of annotated arguments the op ``NAMESPACE::name``.

    One of its arguments is called ``texts``. ``fake`` makes empty outputs from like arguments.
    ``torch.library.custom_op`` would do the same, and import the compiler at the first call.
    """

    def register(function: Callable[..., Any]) -> Any:
        place = list(function.__annotations__).index("texts")

        def run(*arguments: Any) -> Any:
            device = arguments[place].device
            guard = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
            with guard, torch.no_grad(), torch.autocast(device.type, enabled=False):
                return function(*arguments)

        LIBRARY.define(name + torch.library.infer_schema(function, mutates_args=()))
        LIBRARY.impl(name, run, "CompositeExplicitAutograd")
        torch.library.register_fake(f"{NAMESPACE}::{name}", fake, lib=LIBRARY)
        return getattr(getattr(torch.ops, NAMESPACE), name)

    return register


def refuse(ctx: Any, *grad_outputs: Any) -> NoReturn:
    """The backward of a backward."""
    raise RuntimeError(
        "the difference losses have no second derivative; for one, use backend='reference', which "
        "is plain torch"
    )


class Scaled(torch.autograd.Function):
    """A gradient that was kept, times that of the loss, in the dtype of what it belongs to."""

    @staticmethod
    def forward(grad_loss: Tensor, kept: Tensor, owner: Tensor, factor: float) -> Tensor:
        return (kept * (grad_loss * factor)).to(owner.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    backward = staticmethod(refuse)


class KeptGradient(torch.autograd.Function):
    """A loss that makes its gradients beside itself.

    A subclass defines ``forward(images, texts, ..., factor)``, which returns ``factor`` times a
    sum, (), and the gradients of the sum to texts (n, D) and images (M, D), or empty tensors where
    none is wanted. They are in the accumulation dtype: rounding to float16 waits until the factor
    and a loss scale have been multiplied in.
    """

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs[:2], *output[1:])
        ctx.num_inputs, ctx.factor = len(inputs), inputs[-1]

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        images, texts, kept_text, kept_images = ctx.saved_tensors
        needs_images, needs_text = ctx.needs_input_grad[:2]
        return (
            Scaled.apply(grad_loss, kept_images, images, ctx.factor) if needs_images else None,
            Scaled.apply(grad_loss, kept_text, texts, ctx.factor) if needs_text else None,
            *(None,) * (ctx.num_inputs - 2),
        )


def needs_gradient(*tensors: Tensor) -> list[bool]:
    """Whether each needs a gradient here and now."""
    return [torch.is_grad_enabled() and tensor.requires_grad for tensor in tensors]


def kept_outputs(
    loss: Tensor, text: Tensor | None, images: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """What the op of a ``KeptGradient`` returns."""
    nothing = [loss.new_empty(0), loss.new_empty(0)]
    return loss, nothing[0] if text is None else text, nothing[1] if images is None else images


def fake_kept(images: Tensor, texts: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What such an op returns, empty; its last arguments are want_images, want_text, factor."""
    want_images, want_text, _ = arguments[-3:]
    dtype = accumulate_dtype(texts)
    return kept_outputs(
        texts.new_empty((), dtype=dtype),
        torch.empty_like(texts, dtype=dtype) if want_text else None,
        torch.empty_like(images, dtype=dtype) if want_images else None,
    )

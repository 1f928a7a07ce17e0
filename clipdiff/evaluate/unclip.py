"""Images that unCLIP makes of edited embeddings, as the judge sees them.

Embeddings are compared after L2 normalisation, but a decoder was trained on them before it. Its
pipeline holds the CLIP that made them, so a few images tell the length that it expects, and
whether that CLIP is the cell's. (``image_normalizer`` can't: where its mean is 0 and its std 1, as
for ViT-H-14, it never saw a statistic.)
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from clipdiff.errors import ConfigError, ModelError
from clipdiff.evaluate.inputs import Inputs
from clipdiff.progress import Progress
from clipdiff.settings import Clip
from clipdiff.tasks.base import Painted
from clipdiff.tasks.clip_score import Unclip
from clipdiff.towers.images import embed_pixels, open_images, read_images
from clipdiff.towers.load import LoadedClip, load_clip

SAMPLE = 32
SAME_CLIP = 0.9  # mean cosine: near 1 for one CLIP in two libraries, near 0 for another CLIP


class Painters:
    """The painters of a judge, whose weights stay while the cell's CLIP changes its own.

    A decoder, and the judge again, are loaded when a task first paints.

    Args:
        reference_clip: the judge.
        inputs: images, with image_embeds of the CLIP that decoders have to fit.
    """

    def __init__(self, reference_clip: Clip, inputs: Inputs):
        self.reference_clip, self.inputs = reference_clip, inputs
        self.painters: dict[Unclip, Painter] = {}

    @cached_property
    def judge(self) -> LoadedClip:
        """The frozen reference CLIP."""
        return load_clip(self.reference_clip)

    def paint(self, settings: Unclip, image_embeds: Tensor, seeds: Sequence[int]) -> Painted:
        """Paint embeddings by a decoder, as ``Painter.paint`` does.

        Raises:
            ModelError, ConfigError: the decoder can't be loaded or does not fit.
        """
        if settings not in self.painters:
            self.painters[settings] = Painter(settings, self.inputs, self.judge)
        return self.painters[settings].paint(image_embeds, seeds)


class Painter:
    """A ``diffusers.StableUnCLIPImg2ImgPipeline`` that paints embeddings of one CLIP for a judge.

    fp16 on a GPU, else fp32. Images are the same whatever they are painted with, to rounding.

    Args:
        settings: which decoder, and how it decodes.
        inputs: images, with image_embeds of the CLIP that the decoder has to fit.
        judge: the frozen reference CLIP.

    Raises:
        ModelError: diffusers or the decoder is missing, or it was trained on another CLIP.
        ConfigError: the decoder knows no such noise level.
    """

    def __init__(self, settings: Unclip, inputs: Inputs, judge: LoadedClip):
        self.settings, self.judge = settings, judge
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        self.pipeline = load_pipeline(settings, dtype).to(self.device)
        levels = self.pipeline.image_noising_scheduler.config.num_train_timesteps
        if settings.noise_level >= levels:
            raise ConfigError(
                f"clip_score: unclip.noise_level: got {settings.noise_level}, expected less than "
                f"{levels}, the levels that {settings.model} was trained on"
            )
        self.norm = expected_norm(self._own_embeds(inputs))

    def paint(self, image_embeds: Tensor, seeds: Sequence[int]) -> Painted:
        """Paint embeddings, and embed the images by the judge.

        Args:
            image_embeds: (N, D) float32, L2-normalised, in the space of the decoder's CLIP.
            seeds: N random seeds.

        Raises:
            ModelError: an image has values that are not finite.
        """
        images: list[Image] = []
        parts = []
        with Progress("unCLIP images", len(image_embeds)) as progress:
            for start in range(0, len(image_embeds), self.settings.batch):
                part = slice(start, start + self.settings.batch)
                batch = self._decode(image_embeds[part] * self.norm, seeds[part])
                preprocessed = torch.stack([self.judge.preprocess(image) for image in batch])
                parts.append(embed_pixels(self.judge, preprocessed))
                images += batch
                progress.advance(len(batch))
        return Painted(images, torch.cat(parts))

    def _decode(self, image_embeds: Tensor, seeds: Sequence[int]) -> list[Image]:
        """Paint embeddings (n, D) of the length that the decoder expects, without a prompt."""
        # on the CPU, so that a GPU starts from the same noise
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        pixels = self.pipeline(
            prompt=[""] * len(seeds),
            image_embeds=image_embeds.to(self.device, self.pipeline.unet.dtype),
            num_inference_steps=self.settings.steps,
            guidance_scale=self.settings.guidance,
            noise_level=self.settings.noise_level,
            generator=generators,
            output_type="pt",
        ).images  # (n, 3, H, W) in [0, 1]
        if not pixels.isfinite().all():
            raise ModelError(
                f"clip_score: unclip.model '{self.settings.model}': made images that are not "
                f"finite in {pixels.dtype}; use a decoder that is made for it, or less guidance"
            )
        processor = self.pipeline.image_processor
        return processor.numpy_to_pil(processor.pt_to_numpy(pixels))

    def _own_embeds(self, inputs: Inputs) -> Tensor:
        """Embed a few images (n, D) by the decoder's own CLIP, which has to be the cell's."""
        cached = inputs.image_embeds[:SAMPLE]
        width = self.pipeline.image_normalizer.config.embedding_dim
        if width != cached.shape[1]:
            raise self._misfit(f"image embeddings of width {width}, those here {cached.shape[1]}")
        encoded = read_images(inputs.captions, inputs.image_ids.iloc[:SAMPLE])
        images = list(open_images(encoded))
        pixels = self.pipeline.feature_extractor(images=images, return_tensors="pt").pixel_values
        encoder = self.pipeline.image_encoder
        with torch.inference_mode():
            own = encoder(pixels.to(self.device, encoder.dtype)).image_embeds.float().cpu()
        cosine = float(cosine_similarity(own, cached).mean())
        if cosine < SAME_CLIP:
            raise self._misfit(
                f"image embeddings of its own image encoder, whose mean cosine with those here "
                f"is {cosine:.2f}, expected above {SAME_CLIP}"
            )
        return own

    def _misfit(self, what: str) -> ModelError:
        return ModelError(
            f"clip_score: unclip.model '{self.settings.model}' was trained on {what}: a decoder "
            "fits one CLIP only; name the decoder of clip.model, or leave unclip out"
        )


def expected_norm(image_embeds: Tensor) -> float:
    """Return the length, as a root mean square, of embeddings (n, D) before L2 normalisation."""
    return float(image_embeds.norm(dim=1).square().mean().sqrt())


def load_pipeline(settings: Unclip, dtype: torch.dtype) -> Any:
    """Load a StableUnCLIPImg2ImgPipeline from its folder or by its hub name; safetensors only.

    Raises:
        ModelError: diffusers is not installed, or there is no such decoder.
    """
    try:
        from diffusers import StableUnCLIPImg2ImgPipeline
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise ModelError(
            f"clip_score: unclip: {error}; run `pip install 'clipdiff[unclip]'`, or leave it out"
        ) from error
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
    try:
        pipeline = StableUnCLIPImg2ImgPipeline.from_pretrained(
            settings.model, revision=settings.revision, dtype=dtype, use_safetensors=True
        )
    except Exception as error:  # diffusers, the hub and safetensors share no base class
        raise ModelError(
            f"clip_score: unclip.model '{settings.model}' can't be loaded: {error}; expected the "
            "folder or hub name of a StableUnCLIPImg2ImgPipeline with safetensors weights"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline

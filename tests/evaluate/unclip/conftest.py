"""A tiny unCLIP decoder of random weights, whose image encoder is a given open_clip folder's.

diffusers is imported where it is used, as collecting tests should take no seconds.
"""

from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

SIDE, WIDTH, TEXT_WIDTH = 32, 16, 16
BLOCKS = {"block_out_channels": (16, 32), "norm_num_groups": 8}


@pytest.fixture(scope="session")
def save_unclip() -> Callable[[Path, Path], Path]:
    """The function that writes a decoder's folder."""
    return save_decoder


def save_decoder(folder: Path, clip: Path) -> Path:
    """Write a decoder that fits a folder of ``save_clip``."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        DDPMScheduler,
        StableUnCLIPImg2ImgPipeline,
        UNet2DConditionModel,
    )
    from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer

    torch.manual_seed(0)
    cross = {"cross_attention_dim": TEXT_WIDTH, "attention_head_dim": 8}
    StableUnCLIPImg2ImgPipeline(
        feature_extractor=_processor(),
        image_encoder=_image_encoder(clip),
        image_normalizer=StableUnCLIPImageNormalizer(embedding_dim=WIDTH),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        tokenizer=_tokenizer(),
        text_encoder=_text_encoder(),
        unet=UNet2DConditionModel(
            sample_size=SIDE // 2, layers_per_block=1, **BLOCKS, **cross,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            class_embed_type="projection", projection_class_embeddings_input_dim=2 * WIDTH,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            prediction_type="v_prediction", set_alpha_to_one=False, steps_offset=1,
        ),
        vae=AutoencoderKL(
            latent_channels=4, sample_size=SIDE, **BLOCKS,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        ),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def _image_encoder(clip: Path) -> CLIPVisionModelWithProjection:
    """Return the image tower of an open_clip folder as the class that pipelines hold."""
    tower = open_clip.create_model(f"local-dir:{clip}").visual.eval()
    blocks = tower.transformer.resblocks
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32, intermediate_size=128, projection_dim=WIDTH, image_size=SIDE,
            patch_size=16, num_hidden_layers=len(blocks), num_attention_heads=2, hidden_act="gelu",
        )
    )  # fmt: skip
    named = {
        "embeddings.class_embedding": tower.class_embedding,
        "embeddings.patch_embedding.weight": tower.conv1.weight,
        "embeddings.position_embedding.weight": tower.positional_embedding,
        **_of("pre_layrnorm", tower.ln_pre),
        **_of("post_layernorm", tower.ln_post),
    }
    for place, block in enumerate(blocks):
        attention = {"weight": block.attn.in_proj_weight, "bias": block.attn.in_proj_bias}
        for kind, stacked in attention.items():
            for name, part in zip("qkv", stacked.chunk(3), strict=True):
                named[f"encoder.layers.{place}.self_attn.{name}_proj.{kind}"] = part
        layers = {
            "self_attn.out_proj": block.attn.out_proj, "layer_norm1": block.ln_1,
            "layer_norm2": block.ln_2, "mlp.fc1": block.mlp.c_fc, "mlp.fc2": block.mlp.c_proj,
        }  # fmt: skip
        for name, layer in layers.items():
            named |= _of(f"encoder.layers.{place}.{name}", layer)
    state = {f"vision_model.{name}": value for name, value in named.items()}
    encoder.load_state_dict({**state, "visual_projection.weight": tower.proj.T}, strict=True)
    return encoder.eval()


def _of(name: str, layer: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"{name}.{kind}": value for kind, value in layer.named_parameters()}


def _processor() -> CLIPImageProcessor:
    return CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip


def _tokenizer() -> CLIPTokenizer:
    words = ["<|startoftext|>", "<|endoftext|>"]
    vocab = {word: place for place, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=8)


def _text_encoder() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=2, hidden_size=TEXT_WIDTH, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=8, bos_token_id=0, eos_token_id=1,
            pad_token_id=1,
        )
    )  # fmt: skip

"""``clipdiff embed``."""

from clipdiff.cli import options as o
from clipdiff.config.stages import EmbedSettings, embed_settings


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = None,
) -> None:
    """Embed every image once with the CLIP to finetune."""
    stage = o.stage_settings(EmbedSettings, settings, compute, config, embed_settings)
    from clipdiff.embed.embed import embed

    layout = o.layout(results, config)
    embed(stage, layout.captions, layout.image_embeds)

"""``clipdiff embed``."""

from clipdiff.cli import options as o
from clipdiff.config.stages import EmbedSettings, embed_settings
from clipdiff.grid import Results


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Embed every picture once with the CLIP to finetune."""
    chosen = o.stage_settings(EmbedSettings, settings, config, embed_settings)
    from clipdiff.embed.embed import embed

    files = Results(results)
    embed(chosen, files.captions, files.image_embeds)

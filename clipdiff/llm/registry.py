"""The kinds of LLM, imported when asked for. To add one, write a ``Writer`` and a line here."""

from importlib import import_module

from clipdiff.config.sections import LLM, Generate
from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.llm.base import Writer
from clipdiff.llm.prompts import Prompt

WRITERS = {
    "causal": "clipdiff.llm.causal:CausalWriter",
    "seq2seq": "clipdiff.llm.seq2seq:Seq2SeqWriter",
    "masked": "clipdiff.llm.masked:MaskedWriter",
    "vllm": "clipdiff.llm.offline_vllm:VllmWriter",
    "api": "clipdiff.llm.api:ApiWriter",
}


def open_writer(definition: LLM, generate: Generate, prompt: Prompt) -> Writer:
    """Load the model of an entry, or connect to its server.

    Raises:
        ConfigError: there is no such kind.
        ModelError, GenerationError: as :class:`clipdiff.llm.base.Writer` says.
    """
    kind = definition.kind
    if kind not in WRITERS:
        raise ConfigError(
            f"kind: got '{kind}'{did_you_mean(kind, WRITERS)}; allowed: {', '.join(WRITERS)}"
        )
    module, _, attribute = WRITERS[kind].partition(":")
    return getattr(import_module(module), attribute)(definition, generate, prompt)

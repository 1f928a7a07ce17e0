"""The demo's four small language models and their tokenizers, of the paper's architectures.

Each is built from a config of its real family and saved with ``save_pretrained``, so that the
generate stage loads it by the same Auto classes as the real checkpoint.
"""

from collections.abc import Iterable

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

VOCABULARY = 1_200
CONTEXT = 256
LLAMA_CHAT = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


def byte_level_tokenizer(
    texts: Iterable[str], special: dict[str, str], ends_with_eos: bool = False
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE, as GPT-2 and Llama 3 have; ``special`` maps roles to tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=sorted(set(special.values())),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(texts, trainer)
    if ends_with_eos:
        eos = special["eos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {eos}", special_tokens=[(eos, tokenizer.token_to_id(eos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=CONTEXT, padding_side="left", **special
    )


def word_piece_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a lower-case WordPiece, as BERT has."""
    special = {role: f"[{role[:-6].upper()}]" for role in BERT_ROLES}
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=list(special.values())
    )
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=CONTEXT, do_lower_case=True, **special
    )


BERT_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def build_llama(texts: Iterable[str]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A 1 M-parameter Llama with a chat template."""
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = byte_level_tokenizer(texts, special)
    tokenizer.chat_template = LLAMA_CHAT
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config), tokenizer


def build_gpt2(texts: Iterable[str]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A 0.7 M-parameter GPT-2."""
    special = {"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}
    tokenizer = byte_level_tokenizer(texts, special)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=CONTEXT,
        n_embd=112,
        n_layer=3,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return GPT2LMHeadModel(config), tokenizer


def build_t5(texts: Iterable[str]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A 0.9 M-parameter T5."""
    special = {"eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = byte_level_tokenizer(texts, special, ends_with_eos=True)
    tokenizer.padding_side = "right"
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=112,
        d_kv=28,
        d_ff=320,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,  # type: ignore[call-arg]
    )
    return T5ForConditionalGeneration(config), tokenizer


def build_bert(texts: Iterable[str]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A 1 M-parameter BERT."""
    tokenizer = word_piece_tokenizer(texts)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=CONTEXT,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    return BertForMaskedLM(config), tokenizer


BUILDERS = {"llama": build_llama, "gpt2": build_gpt2, "t5": build_t5, "bert": build_bert}

"""Small tokenizers and models of Hugging Face's kinds, made on the spot: nothing is downloaded."""

from __future__ import annotations

import functools
from typing import Any

import torch

WORDS = ("the", "movie", "was", "good", "bad", "un", "##happi", "##ly", "happy", ".", "!", "a", "not", "plot")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@functools.cache
def wordpiece() -> Any:
    """A fast tokenizer of BERT's kind."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk": "[UNK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **{f"{key}_token": word for key, word in names.items()})


@functools.cache
def bytes_pairs() -> Any:
    """A fast tokenizer of GPT-2's kind, which has neither a mask nor padding."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["the movie was good", "the movie was bad", "not happily good"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def bert(kind: str = "SequenceClassification", **options: Any) -> Any:
    """A small BERT with random weights."""
    import transformers

    torch.manual_seed(5)
    options = {"id2label": {0: "calm", 1: "glad", 2: "sad"}, **options}
    config = transformers.BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32, initializer_range=0.5, **options,
    )  # fmt: skip
    return getattr(transformers, f"BertFor{kind}")(config).eval()


def gpt2(kind: str = "GPT2LMHeadModel", **options: Any) -> Any:
    """A small GPT-2 with random weights."""
    import transformers

    torch.manual_seed(6)
    config = transformers.GPT2Config(
        vocab_size=290, n_embd=16, n_layer=2, n_head=2, n_positions=32, initializer_range=0.3, bos_token_id=0,
        eos_token_id=0, **options,
    )  # fmt: skip
    return getattr(transformers, kind)(config).eval()

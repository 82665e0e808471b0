"""Models that read an attention mask: padded texts, what rides on their tokens, and how hybrids keep it.

Right values are by enumeration over the module itself, called with its mask. `Reader` has the protocol of Hugging
Face's classifiers; where the library is installed, one of its own with random weights is asked too.
"""

from __future__ import annotations

import functools
import warnings
from collections import UserDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from tests import oracle

PAD = 0


class Reader(nn.Module):
    """Attention over token ids: each class is read from the mean over the positions that are seen, and the first."""

    def __init__(self, pad: int | None = PAD, types: bool = True) -> None:
        super().__init__()
        torch.manual_seed(22)
        self.config = SimpleNamespace(pad_token_id=pad, id2label={0: "calm", 1: "glad", 2: "sad"})
        self.embed, self.kind = nn.Embedding(30, 6), nn.Embedding(2, 6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.classifier = nn.Linear(6, 3)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> SimpleNamespace:
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        x = self.embed(input_ids) + self.kind(types) + torch.linspace(0, 1, input_ids.shape[1])[:, None]
        mixed, _ = self.attention(x, x, x, key_padding_mask=seen == 0, need_weights=False)
        weight = seen[..., None].to(mixed.dtype)
        mean = (torch.tanh(2 * mixed) * weight).sum(1) / weight.sum(1)
        return SimpleNamespace(logits=4 * self.classifier(mean))


class BatchEncoding(UserDict):
    """What a tokenizer returns: a mapping that is no dict."""


def values(
    model: nn.Module,
    ids: Tensor,
    background: Tensor,
    seen: Tensor,
    players: list[list[int]],
    target: int,
    **more: Tensor,
) -> list[float]:
    """The Shapley values of `players`, lists of positions, by enumeration, each row under the mask `seen`; what it
    hides stays as it is."""

    @functools.cache
    def value(coalition: frozenset[int]) -> float:
        present = [position for player in coalition for position in players[player]]
        row = torch.where(seen == 1, background, ids)
        row[present] = ids[present]
        given = {"input_ids": row[None], "attention_mask": seen[None]}
        with torch.no_grad():
            return float(model(**given, **more).logits[0, target])

    return oracle.shapley(value, value, len(players)).tolist()


IDS = torch.tensor([[7, 12, 3, 25, PAD, PAD], [PAD, PAD, 9, 4, 21, 8], [5, 6, 2, 11, 13, 17]])
SEEN = (IDS != PAD).long()


def asked(model: nn.Module, **inputs: object) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    for name, value in inputs.items():
        con.register_input(name, value)
    return con


@pytest.mark.parametrize("row", range(3), ids=["padded right", "padded left", "not padded"])
@pytest.mark.parametrize("baseline", [0, 14])
def test_a_padded_text_is_explained_under_its_mask(row: int, baseline: int) -> None:
    model = Reader().eval()
    ids, seen = IDS[row], SEEN[row]
    whole = model(ids[None], seen[None]).logits[0].detach()
    target = int(whole.argmax())
    positions = seen.nonzero()[:, 0].tolist()
    expected = values(model, ids, torch.full_like(ids, baseline), seen, [[each] for each in positions], target)
    con = asked(
        model,
        ids_alone=ids,
        small=ids.to(torch.int32),
        encoded=BatchEncoding(
            input_ids=ids[None], attention_mask=seen[None], token_type_ids=torch.zeros_like(ids)[None]
        ),
        listed={"input_ids": ids.tolist(), "attention_mask": seen.tolist()},
        arrays={"input_ids": ids.numpy(), "attention_mask": seen.bool().numpy()},
    )
    for name in ("ids_alone", "small", "encoded", "listed", "arrays"):
        (a,) = con.sql(f"select * from f({name}, baseline => {baseline}) using exact()")
        assert a.target_name == ["calm", "glad", "sad"][target]
        assert a.full_value == pytest.approx(float(whole[target]), abs=1e-5)
        assert a.values == pytest.approx(expected, abs=1e-5)
        assert (a.players >= 0).tolist() == (seen == 1).tolist()
        assert a.content.tolist() == ids.tolist()


def test_without_the_mask_another_class_would_be_explained() -> None:
    """What is held here is that the mask matters to this model, so that the other tests can fail."""
    model = Reader().eval()
    bare, masked = model(IDS).logits.argmax(1), model(IDS, SEEN).logits.argmax(1)
    assert (bare != masked).any()


def test_a_collection_has_a_mask_for_each_text() -> None:
    model = Reader().eval()
    whole = model(IDS, SEEN).logits.detach()
    con = asked(
        model,
        batch={"input_ids": IDS, "attention_mask": SEEN},
        alone=IDS,
        texts=[{"input_ids": ids[None], "attention_mask": seen[None]} for ids, seen in zip(IDS, SEEN, strict=True)],
    )
    for name in ("batch", "alone", "texts"):
        maps = con.sql(f"select * from f({name}) using exact()")
        assert [each.target for each in maps] == whole.argmax(1).tolist()
        for k, each in enumerate(maps):
            assert each.full_value == pytest.approx(float(whole[k].max()), abs=1e-5)
            players = [[position] for position in SEEN[k].nonzero()[:, 0].tolist()]
            assert each.values == pytest.approx(
                values(model, IDS[k], torch.zeros_like(IDS[k]), SEEN[k], players, each.target), abs=1e-5
            )


def test_a_mask_may_hide_any_token_and_only_the_mask_counts_where_it_is_given() -> None:
    model = Reader().eval()
    ids, seen = torch.tensor([7, PAD, 3, 25, PAD]), torch.tensor([1, 1, 0, 1, 1])
    expected = values(model, ids, torch.full_like(ids, 2), seen, [[0], [1], [3], [4]], 1)
    con = asked(model, x={"input_ids": ids, "attention_mask": seen})
    (a,) = con.sql("select * from f(x, target => 1, baseline => 2) using exact()")
    assert a.values == pytest.approx(expected, abs=1e-5)
    # Of ids alone, padding is what begins or ends the text: the one in the middle is a token.
    expected = values(model, ids, torch.full_like(ids, 2), torch.tensor([1, 1, 1, 1, 0]), [[0], [1], [2], [3]], 1)
    con.register_input("y", ids)
    (b,) = con.sql("select * from f(y, target => 1, baseline => 2) using exact()")
    assert b.values == pytest.approx(expected, abs=1e-5)


def test_token_types_ride_with_their_positions() -> None:
    model = Reader().eval()
    ids, seen, types = IDS[0], SEEN[0], torch.tensor([0, 0, 1, 1, 0, 0])
    expected = values(model, ids, torch.full_like(ids, 9), seen, [[0], [1], [2], [3]], 2, token_type_ids=types[None])
    con = asked(model, x={"input_ids": ids, "attention_mask": seen, "token_type_ids": types}, plain=ids)
    (a,) = con.sql("select * from f(x, target => 2, baseline => 9) using exact()")
    assert a.values == pytest.approx(expected, abs=1e-5)
    (b,) = con.sql("select * from f(plain, target => 2, baseline => 9) using exact()")
    assert not np.allclose(a.values, b.values, atol=1e-3)


def test_words_as_players_windows_and_edits_keep_the_mask() -> None:
    model = Reader().eval()
    ids, seen = IDS[0], SEEN[0]
    con = asked(model, x={"input_ids": ids, "attention_mask": seen})
    zeros = torch.zeros_like(ids)
    con.register_input("words", ids, players=[None, 0, 0, 1, None, None])
    (a,) = con.sql("select * from f(words, target => 0) using exact()")
    assert a.values == pytest.approx(values(model, ids, zeros, seen, [[1, 2], [3]], 0), abs=1e-5)
    (a,) = con.sql("select * from f(x, target => 0) where position > 1 using exact()")
    assert a.values == pytest.approx(values(model, ids, zeros, seen, [[2], [3]], 0), abs=1e-5)
    edited = ids.clone()
    edited[2:] = 0
    (a,) = con.sql("select * from f(nullify(x, position > 1), target => 0) using exact()")
    assert a.values[:2] == pytest.approx(values(model, edited, zeros, seen, [[0], [1]], 0), abs=1e-5)
    assert a.values[2:] == pytest.approx([0, 0])
    assert a.full_value == pytest.approx(float(model(edited[None], seen[None]).logits[0, 0].detach()), abs=1e-5)
    assert con.sql("select * from f(x, target => 0) where token = 25 using exact()")[0].players.tolist() == [-1] * 3 + [
        0, -1, -1,
    ]  # fmt: skip


def test_two_texts_meet_position_by_position_each_with_its_mask() -> None:
    model = Reader().eval()
    x, y = IDS[2], torch.tensor([9, 4, 21, PAD, PAD, PAD])
    con = asked(model, x=x, y={"input_ids": y, "attention_mask": (y != PAD).long()})
    first, second = con.sql("select * from f(x, target => 0) left join f(y, target => 0) using exact()")
    with torch.no_grad():
        at_x = float(model(x[None]).logits[0, 0])
        at_y = float(model(y[None], (y != PAD).long()[None]).logits[0, 0])
    assert first.values.sum() == pytest.approx(at_x - at_y, abs=1e-5)
    assert second.values == pytest.approx(-first.values, abs=1e-5)
    assert len(first.values) == 6
    # A baseline that is registered with a text is read under the text's mask.
    con.register_input("z", y, baseline=torch.full_like(y, 14))
    (a,) = con.sql("select * from f(z, target => 0) using exact()")
    expected = values(model, y, torch.full_like(y, 14), (y != PAD).long(), [[0], [1], [2]], 0)
    assert a.values == pytest.approx(expected, abs=1e-5)


def test_the_same_rows_serve_ids_alone_and_ids_with_their_mask() -> None:
    con = asked(Reader().eval(), alone=IDS[0], masked={"input_ids": IDS[0], "attention_mask": SEEN[0]})
    first = con.sql("select * from f(alone) using exact()")
    second = con.sql("select * from f(masked) using exact()")
    assert first.stats.rows > 0
    assert second.stats.rows == 0
    assert (first[0].values == second[0].values).all()


def test_layers_and_heads_of_a_model_that_reads_masks() -> None:
    torch.manual_seed(4)
    model = Reader().eval()
    con = asked(model, x=IDS[0])
    texts = torch.randint(1, 30, (40, 6))
    texts[::2, 4:] = PAD
    con.fit_heads("f", texts, layers=["attention"])
    (a,) = con.sql("select attention from f(x, target => 0) using exact()")
    assert len(a.values) == 4
    assert np.isfinite(a.values).all()
    assert a.values.sum() == pytest.approx(a.full_value - a.base_value, abs=1e-5)


@pytest.mark.parametrize("wrapped", ["function", "module", "method"])
def test_a_padded_text_whose_mask_is_lost_on_the_way_is_warned_of(wrapped: str) -> None:
    model = Reader().eval()

    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, ids: Tensor) -> Tensor:
            result: Tensor = self.inner(ids).logits
            return result

        def ask(self, ids: Tensor) -> Tensor:
            return self(ids)

    wrappers = {"function": lambda ids: model(ids).logits, "module": Wrapper(), "method": Wrapper().ask}
    con = asked(wrappers[wrapped], x=IDS[0], whole=IDS[2])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        con.sql("select * from f(whole)")
        assert not [each for each in caught if "is padded" in str(each.message)]
        con.sql("select * from f(x)")
        con.sql("select * from f(x) using banzhaf()")
    assert (
        len([each for each in caught if "model 'f' is given ids alone, while 'x' is padded" in str(each.message)]) == 1
    )


def test_a_function_that_makes_the_mask_itself_is_left_alone() -> None:
    model = Reader().eval()
    con = asked(lambda ids: model(ids, attention_mask=(ids != PAD).long()).logits, x=IDS[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        con.sql("select * from f(x, target => 0, baseline => 2)")


def test_heads_of_a_registered_collection_are_fitted_under_its_masks() -> None:
    torch.manual_seed(4)
    texts = torch.randint(1, 30, (40, 6))
    hidden = torch.zeros(40, 6, dtype=torch.bool)
    hidden[::2, 3:] = True  # tokens that are no padding
    fitted = []
    for mask in (~hidden, torch.ones_like(hidden)):
        con = asked(Reader().eval(), x=IDS[2], texts={"input_ids": texts, "attention_mask": mask})
        con.fit_heads("f", "texts", layers=["attention"])
        fitted.append(con.sql("select attention from f(x, target => 0) using exact()")[0].values)
    assert not np.allclose(*fitted, atol=1e-3)


def test_heads_are_fitted_on_padded_ids_as_on_ids_with_their_mask() -> None:
    torch.manual_seed(4)
    texts = torch.randint(1, 30, (40, 6))
    texts[::2, 3:] = PAD
    con = asked(Reader().eval(), x=IDS[2], texts={"input_ids": texts, "attention_mask": (texts != PAD).long()})
    fitted = []
    for inputs in (texts, "texts"):
        con.fit_heads("f", inputs, layers=["attention"])
        fitted.append(con.sql("select attention from f(x, target => 0) using exact()")[0].values)
    assert fitted[0] == pytest.approx(fitted[1], abs=1e-6)


def test_a_nullified_text_shares_its_rows_with_the_projection_whatever_pads_it() -> None:
    con = asked(Reader(pad=5).eval(), x=torch.tensor([7, 12, 3, 25, 5, 5]))
    first = con.sql("select * from f(x, target => 0) where position < 2 using exact()")
    second = con.sql("select * from f(nullify(x, position >= 2), target => 0) using exact()")
    assert first.stats.rows > 0
    assert second.stats.rows == 0
    assert second[0].values[:2] == pytest.approx(first[0].values)


def test_an_example_of_a_model_is_read_as_an_input_would_be() -> None:
    con = ialgebra.connect(progress=False)
    for example in (IDS[0], {"input_ids": IDS[:1], "attention_mask": SEEN[:1]}):
        con.register_model("f", Reader().eval(), example=example)
        assert "3 classes" in con.sql("describe f").text
        con.register_input("x", IDS[0])
        assert len(con.sql("select * from f(x)")[0].values) == 4


def test_laws_of_such_a_model_are_checked_on_texts_without_padding() -> None:
    pytest.importorskip("hypothesis")
    from ialgebra.testing import check_laws

    con = asked(Reader().eval(), x=IDS[0], y=IDS[2], z=IDS[2].flip(0))
    with pytest.raises(ialgebra.BindError, match="texts without padding and types; 'x' has some"):
        check_laws(con, model="f", inputs=["x", "y"], laws=["L15"], examples=2)
    assert all(
        result.passed for result in check_laws(con, model="f", inputs=["y", "z"], laws=["L13", "L15"], examples=2)
    )


def test_a_model_without_padding_in_its_config_reads_masks_that_are_given() -> None:
    model = Reader(pad=None).eval()
    con = asked(model, x={"input_ids": IDS[0], "attention_mask": SEEN[0]}, alone=IDS[0])
    (a,) = con.sql("select * from f(x) using exact()")
    assert a.full_value == pytest.approx(float(model(IDS[:1], SEEN[:1]).logits.max().detach()), abs=1e-5)
    assert len(con.sql("select * from f(alone) using exact()")[0].values) == 6


def test_another_model_of_token_ids_is_given_the_ids_alone() -> None:
    seen: list[Tensor] = []

    def model(batch: Tensor) -> Tensor:
        seen.append(batch)
        return batch.double().cumsum(1)[:, ::3]

    con = asked(model, x={"input_ids": IDS[0], "attention_mask": SEEN[0]})
    con.sql("select * from f(x, target => 1) using exact()")
    assert all(int(batch.min()) >= 0 for batch in seen)


def test_what_the_session_says_of_masks_and_how_it_exports_them(tmp_path) -> None:
    model = Reader().eval()
    con = asked(
        model,
        x={"input_ids": IDS[0], "attention_mask": SEEN[0]},
        xs={"input_ids": IDS, "attention_mask": SEEN, "token_type_ids": SEEN},
    )
    con.sql("select * from f(x)")
    con.sql("select * from f(xs) budget 20")
    assert "attention mask: 2 of 6 positions hidden" in con.sql("describe x").text
    assert "reads token ids with an attention mask; the id of padding is 0" in con.sql("describe f").text
    script = con.history.export(tmp_path / "again.py")
    space: dict[str, object] = {"__file__": str(script), "__name__": "again"}
    exec(compile(script.read_text(), str(script), "exec"), space)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = list(space["analysis"]({"f": model}))
    assert [len(answer) for answer in answers[:2]] == [1, 3]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"input_ids": [[1, 2], [3]]}, ialgebra.ShapeError, r"differ in length; pad them .*padding=True"),
        ({}, ialgebra.BindError, "a mapping of nothing"),
        ({"input_ids": [1, 2], "attention_mask": [1]}, ialgebra.ShapeError, r"input_ids \(2,\), attention_mask \(1,\)"),
        ({"input_ids": [0.5, 2]}, ialgebra.ShapeError, "whole numbers"),
        ({"input_ids": torch.ones(1, 2, 3, dtype=torch.int64)}, ialgebra.ShapeError, r"has shape \(1, 2, 3\)"),
        ([{"input_ids": [1, 2]}, {"input_ids": [1]}], ialgebra.ShapeError, "differ in length or parts; pad them"),
    ],
)
def test_what_is_no_padded_encoding_is_refused(value: object, error: type[Exception], message: str) -> None:
    con = ialgebra.connect(progress=False)
    with pytest.raises(error, match=message):
        con.register_input("x", value)


def test_negative_ids_are_no_tokens_of_such_a_model() -> None:
    con = asked(Reader().eval(), x=torch.tensor([3, -100, 4]))
    with pytest.raises(ialgebra.ShapeError, match="token ids are numbers from 0; here they are -100 to 4"):
        con.sql("select * from f(x)")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["bert", "distilbert", "roberta", "gpt2"])
def test_a_classifier_of_hugging_face_is_explained_under_its_mask(which: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    small = {"vocab_size": 40, "num_labels": 3, "id2label": {0: "calm", 1: "glad", 2: "sad"}}
    if which == "bert":
        config = transformers.BertConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
            max_position_embeddings=16, initializer_range=1.0, **small,
        )  # fmt: skip
        model, pad = transformers.BertForSequenceClassification(config), 0
    elif which == "distilbert":
        config = transformers.DistilBertConfig(
            dim=16, n_layers=2, n_heads=2, hidden_dim=16, initializer_range=1.0, **small
        )
        model, pad = transformers.DistilBertForSequenceClassification(config), 0
    elif which == "roberta":
        config = transformers.RobertaConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
            max_position_embeddings=16, initializer_range=1.0, pad_token_id=1, **small,
        )  # fmt: skip
        model, pad = transformers.RobertaForSequenceClassification(config), 1
    else:
        config = transformers.GPT2Config(
            n_embd=16, n_layer=2, n_head=2, n_positions=16, initializer_range=1.0, pad_token_id=0, **small
        )
        model, pad = transformers.GPT2ForSequenceClassification(config), 0
    model.eval()
    ids = torch.tensor([[7, 12, 3, 25, pad, pad], [pad, pad, 9, 4, 21, 8]])
    for row, seen in zip(ids, (ids != pad).long(), strict=True):
        if which == "gpt2" and row[0] == pad:
            continue  # its positions count from the left, with a mask or without
        with torch.no_grad():
            whole = model(input_ids=row[None], attention_mask=seen[None]).logits[0]
        target = int(whole.argmax())
        players = [[position] for position in seen.nonzero()[:, 0].tolist()]
        expected = values(model, row, torch.full_like(row, 14), seen, players, target)
        con = asked(model, alone=row, encoded=transformers.BatchEncoding({"input_ids": row, "attention_mask": seen}))
        for name in ("alone", "encoded"):
            (a,) = con.sql(f"select * from f({name}, baseline => 14) using exact()")
            assert a.target_name == ["calm", "glad", "sad"][target]
            assert a.values == pytest.approx(expected, abs=2e-5 * float(whole.abs().max()))
    assert all(layer.name for layer in con._catalog.model("f").layers)


@pytest.mark.parametrize(
    "beside",
    [
        *("attention_mask", "token_type_ids", "special_tokens_mask"),
        *("offset_mapping", "length", "overflow_to_sample_mapping"),
    ],
)
def test_whatever_a_tokenizer_returns_beside_ids_leaves_them_tokens(beside: str) -> None:
    con = ialgebra.connect(progress=False)
    con.register_input("x", {"input_ids": [[5, 6, 7]], beside: [[1, 1, 1]]})
    assert con.sql("describe x").text.startswith("input x: tokens, (3,), torch.int64")

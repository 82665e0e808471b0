"""Texts as people have them: sentences with a tokenizer, words, special tokens, absent tokens, padding, next tokens.

Right values are by enumeration over the model itself, called with ids and a mask. Tokenizers and models are made on the
spot, with random weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from tests import oracle

pytest.importorskip("transformers")

from tests.tokenizers_ import bert, bytes_pairs, gpt2, wordpiece

GOOD = "The movie was unhappily good."


def session(model: Any, **inputs: Any) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    for name, value in inputs.items():
        con.register_input(name, value, tokenizer=wordpiece())
    return con


def shapley(
    model: Any, rows: Sequence[Sequence[int]], seen: Sequence[Sequence[int]], players: Sequence[list[int]], target: int
) -> list[float]:
    """Values by enumeration: a player's positions have the ids and the mask of `rows[0]`, `seen[0]` where it is
    present, of `rows[1]`, `seen[1]` where it is absent; positions of no player have the first ones."""
    first, other = (torch.tensor(list(zip(ids, mask, strict=True))) for ids, mask in zip(rows, seen, strict=True))

    def value(present: frozenset[int]) -> float:
        row = first.clone()
        for player, positions in enumerate(players):
            if player not in present:
                row[positions] = other[positions]
        with torch.no_grad():
            found = model(input_ids=row[None, :, 0], attention_mask=row[None, :, 1]).logits
        return float(found[0, target])

    return oracle.shapley(value, value, len(players)).tolist()


def test_word_values_are_named_and_sum_to_the_tokens_values() -> None:
    con = session(bert(), x=GOOD)
    (words,) = con.sql("select * from f(x, players => words) using exact()")
    (tokens,) = con.sql("select * from f(x) using exact()")
    assert words.player_names() == ["the", "movie", "was", "unhappily", "good", "."]
    assert tokens.player_names() == ["the", "movie", "was", "un", "##happi", "##ly", "good", "."]
    assert words.values.sum() == pytest.approx(tokens.values.sum(), abs=1e-5)
    assert words.map.shape == tokens.map.shape == (10,)
    assert words.players.tolist() == [-1, 0, 1, 2, 3, 3, 3, 4, 5, -1]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_padded_batch_is_explained_under_its_mask(side: str, kind: str) -> None:
    texts = ["the movie was good", "bad movie"]
    ids = wordpiece()(texts)["input_ids"]
    padded = [[0] * (6 - len(each)) + each if side == "left" else each + [0] * (6 - len(each)) for each in ids]
    masks = [[int(token != 0) for token in row] for row in padded]
    options = {"num_labels": 3, "pad_token_id": 0}
    model = bert() if kind == "bert" else gpt2("GPT2ForSequenceClassification", **options)
    con = session(model, xs={"input_ids": torch.tensor(padded), "attention_mask": torch.tensor(masks)})
    for a, row, mask in zip(con.sql("select * from f(xs) using exact()"), padded, masks, strict=True):
        with torch.no_grad():
            whole = model(input_ids=torch.tensor([row]), attention_mask=torch.tensor([mask])).logits[0]
        target = int(whole.argmax())
        players = [[k] for k, token in enumerate(row) if token > 4]
        assert a.target == target
        assert a.values == pytest.approx(shapley(model, [row, [4] * 6], [mask, mask], players, target), abs=1e-5)


@pytest.mark.parametrize("word", ["mask", "pad", "unk", "drop"])
def test_an_absent_token_is_what_the_query_says(word: str) -> None:
    model, con = bert(), session(bert(), x="the movie was good")
    (a,) = con.sql(f"select * from f(x, target => 1, baseline => '{word}') using exact()")
    ids, absent = wordpiece()("the movie was good")["input_ids"], {"mask": 4, "pad": 0, "unk": 1, "drop": 0}[word]
    masks = [[1] * 6, [int(word != "drop")] * 6]
    expected = shapley(model, [ids, [absent] * 6], masks, [[1], [2], [3], [4]], 1)
    assert a.values == pytest.approx(expected, abs=1e-5)


def test_texts_of_different_length_are_a_collection_and_each_is_as_it_is_alone() -> None:
    texts = ["the movie was unhappily good .", "bad plot !"]
    con = session(bert(), xs=texts, x=texts[0], y=texts[1])
    for index, name in enumerate(("x", "y")):
        together = con.sql("select * from f(xs, target => 1) using exact()")[index]
        (alone,) = con.sql(f"select * from f({name}, target => 1) using exact()")
        assert together.values == pytest.approx(alone.values, abs=1e-5)
        assert together.player_names() == alone.player_names()


def test_two_texts_meet_position_by_position_and_the_end_of_the_shorter_one_is_dropped() -> None:
    model, texts = bert(), ["a bad plot", "the movie was good"]
    con = session(model, x=texts[0], y=texts[1])
    ids = [wordpiece()(each)["input_ids"] for each in texts]
    rows = [ids[0] + [0], ids[1]]
    seen = [[1, 1, 1, 1, 1, 0], [1] * 6]
    players = [[1], [2], [3], [4], [5]]
    first, second = con.sql("select * from f(x, target => 2) anti join f(y, target => 1) using exact()")
    assert first.values == pytest.approx(shapley(model, rows, seen, players, 2), abs=1e-5)
    assert second.values == pytest.approx(shapley(model, rows[::-1], seen[::-1], players, 1), abs=1e-5)
    assert first.map.shape == second.map.shape == (6,)
    (against,) = con.sql("select * from f(x, target => 2, baseline => y) using exact()")
    assert against.values == pytest.approx(first.values, abs=1e-6)
    (joined,) = con.sql("select * from f(x, target => 2) join f(y, target => 2) using exact()")
    alone = [con.sql(f"select * from f({name}, target => 2) using exact()")[0] for name in "xy"]
    assert joined.map.sum() == pytest.approx(sum(float(each.map.sum()) for each in alone) / 2, abs=1e-5)


def test_windows_read_tokens_and_words_of_texts_and_of_collections() -> None:
    con = session(bert(), x=GOOD, xs=["the movie was good", "a bad plot"])
    (a,) = con.sql("select * from f(x, players => words) where word = 'unhappily' using exact()")
    assert a.player_names() == ["unhappily"]
    assert (a.map != 0).tolist() == [False] * 4 + [True] * 3 + [False] * 3
    good, bad = con.sql("select * from f(xs) where token in ('good', 'bad') using exact()")
    assert (good.player_names(), bad.player_names()) == (["good"], ["bad"])
    with pytest.raises(ialgebra.BindError, match="unknown word 'unhapily'; did you mean 'unhappily'"):
        con.sql("select * from f(x) where word = 'unhapily'")


def test_the_target_of_a_language_model_is_named_by_the_tokenizer() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", gpt2())
    con.register_input("x", "the movie was", tokenizer=bytes_pairs())
    (a,) = con.sql("select * from f(x, target => 'good') using exact()")
    (token,) = bytes_pairs()(" good")["input_ids"]
    assert (a.target, a.target_name) == (token, "good")
    with torch.no_grad():
        whole = gpt2()(**bytes_pairs()("the movie was", return_tensors="pt")).logits[0, -1, token]
    assert a.full_value == pytest.approx(float(whole), abs=1e-5)
    with pytest.raises(ialgebra.BindError, match="'goodness gracious' is no token of the tokenizer of 'x'"):
        con.sql("select * from f(x, target => 'goodness gracious')")


# What the errors advise works.


def test_a_text_without_its_tokenizer_says_how_and_a_pipeline_brings_one() -> None:
    import transformers

    con = ialgebra.connect(progress=False)
    with pytest.raises(ialgebra.BindError, match=r"input 'x' is a text; say which tokenizer .*tokenizer=tokenizer"):
        con.register_input("x", GOOD)
    con.register_input("x", GOOD, tokenizer=wordpiece())
    con.register_model("f", transformers.pipeline("text-classification", model=bert(), tokenizer=wordpiece()))
    con.register_input("y", GOOD)
    x, y = (con.sql(f"select * from f({name}) using exact()")[0] for name in "xy")
    assert x.values == pytest.approx(y.values)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("bert-base-uncased", r"tokenizer=transformers\.AutoTokenizer\.from_pretrained\('bert-base-uncased'\)"),
        (b"bert", "is a bytes, which makes no tokens"),
        (3, "is a int, which makes no tokens"),
    ],
)
def test_the_name_of_a_tokenizer_is_no_tokenizer(wrong: object, said: str) -> None:
    con = ialgebra.connect(progress=False)
    with pytest.raises(ialgebra.BindError, match=said):
        con.register_input("x", "the movie was good", tokenizer=wrong)


def test_outputs_at_each_position_ask_for_a_reduction_that_then_works() -> None:
    con = session(bert("TokenClassification"), x="the movie was good")
    with pytest.raises(
        ialgebra.ModelError, match=r"at 6 positions .* reduce='last'.*reduce=lambda out: out.logits\[:, 3\]"
    ):
        con.sql("select * from f(x)")
    for reduce in ("last", "mean", "max", lambda out: out.logits[:, 3]):
        con.register_model("f", bert("TokenClassification"), reduce=reduce)
        (a,) = con.sql("select * from f(x, target => 1) using exact()")
        with torch.no_grad():
            out = bert("TokenClassification")(**wordpiece()("the movie was good", return_tensors="pt"))
        by_word = {"last": out.logits[:, -1], "mean": out.logits.mean(1), "max": out.logits.amax(1)}
        whole = by_word[reduce] if isinstance(reduce, str) else reduce(out)
        assert a.full_value == pytest.approx(float(whole[0, 1]), abs=1e-5)


def test_a_model_that_reads_no_mask_says_what_may_stand_for_absent_tokens() -> None:
    torch.manual_seed(0)
    embedding = nn.EmbeddingBag(300, 3)
    con = ialgebra.connect(progress=False)
    con.register_model("f", embedding)
    con.register_input("x", "the movie was good", tokenizer=bytes_pairs())
    with pytest.raises(
        ialgebra.BindError, match=r"reads no attention mask.*baseline => 'mask', 'pad', 'unk' or a token"
    ):
        con.sql("select * from f(x)")
    (a,) = con.sql("select * from f(x, baseline => 0) using exact()")
    assert len(a.values) == 4
    with pytest.raises(ialgebra.BindError, match="the tokenizer has no mask token; it has 'drop'"):
        con.sql("select * from f(x, baseline => 'mask')")


def test_words_of_ids_without_names_say_what_to_register() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", bert())
    con.register_input("x", torch.tensor([2, 10, 11, 12, 3]))
    with pytest.raises(ialgebra.BindError, match="need the names of a text's tokens; register it with tokenizer="):
        con.sql("select * from f(x, players => words)")
    con.register_input("x", torch.tensor([2, 10, 11, 12, 3]), tokenizer=wordpiece())
    assert con.sql("select * from f(x, players => words)")[0].player_names() == ["unhappily"]


def test_a_session_with_texts_is_exported_as_a_script_that_gives_the_same_answers(tmp_path) -> None:
    con = session(bert(), x=GOOD, xs=["the movie was good", "a bad plot"])
    answers = [
        con.sql("select * from f(x, players => words, target => 1)"),
        con.sql("select * from f(xs, target => 0)"),
    ]
    script = con.history.export(tmp_path / "again.py")
    space: dict[str, object] = {"__file__": str(script), "__name__": "again"}
    exec(compile(script.read_text(), str(script), "exec"), space)
    again = list(space["analysis"]({"f": bert()}))
    for one, other in zip(answers, again, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.values == pytest.approx(b.values)
            assert a.player_names() == b.player_names()


def test_heads_of_a_token_model_are_fitted_on_pooled_layers() -> None:
    texts = ["the movie was good", "a bad plot !", "not good", "happy movie", "the plot was bad .", "a good movie"] * 4
    con = session(bert(), x=GOOD, texts=texts)
    report = con.fit_heads("f", "texts")
    assert len(report.agreement if hasattr(report, "agreement") else str(report)) > 0
    names = [layer.name for layer in con._catalog.model("f").layers if not layer.is_output]
    (a,) = con.sql(f"select '{names[0]}' from f(x, target => 1, players => words) using exact()")
    assert len(a.values) == 6
    assert a.values.sum() == pytest.approx(a.full_value - a.base_value, abs=1e-5)


def test_sentences_end_with_their_stops() -> None:
    from ialgebra.algebra.kinds.naming import text_names

    names = text_names(["good", "movie", "!", ")", "a", "plot", ".", "not", "##ly"])
    assert names.sentences == (0, 0, 0, 0, 1, 1, 1, 2, 2)
    assert names.word_names[-2:] == ("notly", "notly")


def test_values_do_not_depend_on_other_texts_names() -> None:
    con = session(bert(), x=GOOD)
    before = con.sql("select * from f(x, target => 1) using exact()")[0].values
    con.register_input("y", "a bad plot", tokenizer=wordpiece())
    assert np.array_equal(before, con.sql("select * from f(x, target => 1) using exact()")[0].values)


# Gradients of tokens are those of their embeddings.


@pytest.mark.parametrize("kind", ["bert", "plain"])
def test_integrated_gradients_of_tokens_are_captums_on_the_embedding(kind: str) -> None:
    captum = pytest.importorskip("captum.attr")
    ids = torch.tensor(wordpiece()("the movie was good")["input_ids"])
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Embedding(19, 5), nn.Flatten(), nn.Tanh(), nn.Linear(30, 3)).eval()
    model = bert() if kind == "bert" else plain
    con = session(model, x="the movie was good")
    (a,) = con.sql("select * from f(x, target => 1) using captum.IntegratedGradients(n_steps => 20)")

    def scalar(row: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = (
            model(input_ids=row, attention_mask=torch.ones_like(row)).logits if kind == "bert" else model(row)
        )
        return found[:, 1]

    embedding = model.get_input_embeddings() if kind == "bert" else model[0]
    background = torch.where(ids > 3, 4, ids)
    method = captum.LayerIntegratedGradients(scalar, embedding)
    expected = method.attribute(ids[None], baselines=background[None], n_steps=20)[0].sum(-1).detach()
    assert a.map == pytest.approx(expected.numpy(), abs=1e-5)
    (saliency,) = con.sql("select * from f(x, target => 1) using captum.Saliency()")
    assert (saliency.map[1:5] > 0).all()
    assert saliency.map[[0, 5]].tolist() == [0, 0]

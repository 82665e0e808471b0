"""What a style generator is worth, and what its edits cost: Fashion-MNIST, held-out pictures, models it never met.

    python -m benchmarks.generators [--data FOLDER] [--quick] [--keep] [--only part,part]

In: Fashion-MNIST, of which 20,000 pictures train a generator and three networks of two kinds; all figures are of test
pictures. f is the model that is explained; g and h, of other seeds and one of another kind, only check it. `--keep`
takes the generator of an earlier run, `--quick` a tiny one of digits. Out: a line for each figure, what is asked of it,
and bench-out/generators.json. Seconds are of the CPU, with one thread; figures of time are the least of some runs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

import ialgebra
from examples.cases import fashion
from examples.cases.nets import Residual, Vgg, train, trained
from ialgebra.generators import LinearGenerator, StyleGenerator, load_generator, save_generator
from ialgebra.generators.similarity import structural_similarity
from ialgebra.results.scores import Scores

OUT = Path("bench-out")
BLOCK, STEPS, MARGIN, WITHIN = 64, 50, 3, 0.10
COAT, PULLOVER = 4, 2


class Figure(NamedTuple):
    """A figure, what is asked of it, and whether more is better."""

    name: str
    value: float
    asked: float | None = None
    more: bool = True

    @property
    def holds(self) -> bool:
        return self.asked is None or (self.value >= self.asked if self.more else self.value <= self.asked)

    def __str__(self) -> str:
        asked = "" if self.asked is None else f"   {'at least' if self.more else 'at most'} {self.asked:g}"
        return f"{self.name:<64} {self.value:>9.4g}{asked}{'' if self.holds else '   SHORT'}"


class World(NamedTuple):
    """Data, the generator, and the models f, g and h."""

    data: fashion.Data
    generator: StyleGenerator | LinearGenerator
    models: dict[str, nn.Module]
    quick: bool

    def session(self, count: int, refine: int = 0, block: int = BLOCK) -> ialgebra.Session:
        """A session of the models, the generator, and some test pictures."""
        con = ialgebra.connect(progress=False)
        for name, module in self.models.items():
            con.register_model(name, module, classes=self.data.classes)
        con.register_input("xs", self.data.test_images[:count])
        con.register_input("x", self.data.test_images[count])
        con.register_generator("G", self.generator, collection="xs", block=block, refine=refine)
        return con


def seconds(run: Callable[..., object], *arguments: object, times: int = 1) -> float:
    """The least CPU seconds of some calls."""
    found = []
    for _ in range(times):
        started = time.process_time()
        run(*arguments)
        found.append(time.process_time() - started)
    return min(found)


def asked(con: ialgebra.Session, text: str) -> Scores:
    answer = con.sql(text)
    assert isinstance(answer, Scores)
    return answer


def log_odds(con: ialgebra.Session, models: Sequence[str], inputs: str) -> dict[str, Tensor]:
    """The log-odds (n, K) of all classes, by model."""
    said = ", ".join(f"{name}(target => all, output => log_odds)" for name in models)
    answer = asked(con, f"predict {said} from {inputs}")
    return {each.model: torch.from_numpy(each.target_scores) for each in answer.models}


def pixels(con: ialgebra.Session, inputs: str, shape: torch.Size) -> Tensor:
    """The edited pictures themselves."""
    if "pixels" not in con.catalog().models:
        con.register_model("pixels", nn.Flatten(), outputs="values")
    answer = asked(con, f"predict pixels(target => all) from {inputs}")
    return torch.from_numpy(answer.models[0].target_scores).reshape(-1, *shape[1:])


def made(data: fashion.Data, quick: bool, keep: bool) -> tuple[StyleGenerator | LinearGenerator, list[Figure]]:
    """The generator, and what its training took."""
    path = OUT / "generators.safetensors"
    if keep and path.exists():
        return load_generator(path), []
    started = time.process_time()
    generator = StyleGenerator.fit(data.images, steps=300) if quick else StyleGenerator.fit(data.images)
    minutes = (time.process_time() - started) / 60
    save_generator(generator, path)
    return generator, [Figure("training, CPU minutes", minutes, 6, more=False)]


def drawing(world: World) -> list[Figure]:
    """How near drawings are, before and after refinement, and what models say of them."""
    count = 200 if world.quick else 2000
    found = []
    wanted = world.data.test_images[:count]
    for refine, similar, agree in ((0, 0.79, 0.90), (STEPS, None, 0.94)):
        with world.session(count, refine) as con:
            took = seconds(pixels, con, "reconstruct(xs)", wanted.shape)
            drawn = pixels(con, "reconstruct(xs)", wanted.shape)
            before, after = (log_odds(con, "fgh", inputs) for inputs in ("xs", "reconstruct(xs)"))
        after_words = f", {refine} steps" if refine else ""
        found.append(
            Figure(f"mean squared error{after_words}", float((drawn - wanted).square().mean()), 0.009, more=False)
        )
        alike = structural_similarity(drawn.double(), wanted.double())
        found.append(Figure(f"structural similarity{after_words}", float(alike.mean()), similar))
        same = {name: before[name].argmax(dim=1) == after[name].argmax(dim=1) for name in "fgh"}
        found += [Figure(f"{name} agrees{after_words}", float(same[name].double().mean()), agree) for name in "gh"]
        probability = {name: (before[name].sigmoid(), after[name].sigmoid()) for name in "f"}
        chosen = before["f"].argmax(dim=1, keepdim=True)
        gap = (probability["f"][0].gather(1, chosen) - probability["f"][1].gather(1, chosen)).abs()[:, 0]
        kept = gap <= WITHIN
        found.append(Figure(f"kept at a gap of {WITHIN}{after_words}", float(kept.double().mean()), 0.75))
        for name in "fgh":
            found.append(
                Figure(f"{name} agrees on those kept{after_words}", float(same[name][kept].double().mean()), 0.985)
            )
        if refine:
            found.append(Figure("milliseconds a refined picture", 1e3 * took / count, 15, more=False))
    return found


def planted(world: World) -> list[Figure]:
    """Nets that learned a patch in the corner of coats, which the generator does not draw, are flagged by DESCRIBE."""
    data, seeds = world.data, 1 if world.quick else 5
    flagged, kept = 0, []
    for seed in range(seeds):
        chance = torch.Generator().manual_seed(seed)

        def confounded(images: Tensor, labels: Tensor, chance: torch.Generator = chance) -> tuple[Tensor, Tensor]:
            pair = (labels == COAT) | (labels == PULLOVER)
            images, coats = images[pair].clone(), labels[pair] == COAT
            patched = coats ^ (torch.rand(len(coats), generator=chance) > 0.95)
            images[patched, :, 1:4, 1:4] = 1.0
            return images, coats.long()

        images, labels = confounded(data.images, data.labels)
        net = train(Vgg, images, labels, seed)
        tests, _ = confounded(data.test_images, data.test_labels)
        with ialgebra.connect(progress=False) as con:
            con.register_model("f", net)
            con.register_input("xs", tests[:500])
            con.register_generator("G", world.generator, collection="xs", block=BLOCK)
            said = str(con.sql("describe G"))
        (line,) = [each for each in said.splitlines() if "model f keeps" in each]
        flagged += "most of what decides is not drawn" in line
        kept.append(float(line.split("keeps ")[1].split("%")[0]) / 100)
    return [
        Figure("planted patches that are flagged", flagged, seeds),
        Figure("largest share of variance kept of these", max(kept), 0.5, more=False),
    ]


def counterfactuals(world: World) -> list[Figure]:
    """Counterfactuals of f, and what g and h say of them."""
    count, found, agree, took, total = BLOCK * (1 if world.quick else 2), 0, {"g": 0, "h": 0}, 0.0, 0
    for target in range(0, 10, 5 if world.quick else 2):
        with world.session(count) as con:
            asked(con, "predict f, g, h from reconstruct(xs)")
            text = f"counterfactual(xs, target => '{world.data.classes[target]}', model => f, margin => {MARGIN})"
            took += seconds(asked, con, f"predict f from {text}")
            answer = asked(con, f"predict f(target => all, output => logit), g, h from {text}")
            scores = torch.from_numpy(answer.models[0].target_scores)
            others = scores.clone()
            others[:, target] = -torch.inf
            ahead = scores[:, target] - others.max(dim=1).values >= MARGIN - 1e-3
            found += int(ahead.sum())
            for model in answer.models[1:]:
                agree[model.model] += int((torch.from_numpy(model.predicted)[ahead] == target).sum())
            total += count
    return [
        Figure(f"counterfactuals found, margin {MARGIN}", found / total, 0.94),
        *(Figure(f"{name} agrees on counterfactuals", agree[name] / max(found, 1), 0.88) for name in "gh"),
        Figure(f"milliseconds a counterfactual, in blocks of {BLOCK}", 1e3 * took / total, 25, more=False),
    ]


def sweeps(world: World) -> list[Figure]:
    """A sweep of eleven steps read by three models, beside its bare passes; what is asked again runs nothing."""
    with world.session(100, block=16) as con, torch.inference_mode():
        con.register_axis("light", lambda batch: batch.mean(dim=(1, 2, 3)))
        x = world.data.test_images[100:101]
        code = world.generator.encode(x.expand(16, -1, -1, -1))
        models = list(world.models.values())
        for model in models:
            model.eval()

        def bare() -> None:
            drawn = world.generator.synthesis(code)[:11]
            for model in models:
                model(drawn)

        def sweep(low: float, high: float = 2.0, steps: int = 11) -> Scores:
            return asked(con, f"predict f, g, h from latent(x, 'light', steps({low}, {high}, {steps}))")

        sweep(-1.9)
        beyond = []
        for number in range(20):
            first, whole = seconds(bare, times=3), seconds(sweep, -2 - number / 100)
            beyond.append(whole - first)
        rows = sweep(-3).stats.rows
        again = sweep(-3).stats.rows
        overlapping = sweep(-3, 3, 13).stats.rows  # of which those at -3, -2.5, … 2 are known
    return [
        Figure("milliseconds of a sweep beyond its bare passes", 1e3 * sorted(beyond)[len(beyond) // 2], 4, more=False),
        Figure("rows of a sweep of 11 steps by three models", rows, 33, more=False),
        Figure("rows of the same sweep again", again, 0, more=False),
        Figure("rows of a sweep of 13 steps that has 11 of them", overlapping, 6, more=False),
    ]


def predictions(world: World) -> list[Figure]:
    """PREDICT over a thousand inputs, as they are and edited, beside the bare passes in the same batches."""
    count, found = 1000, []
    axis = (
        "create axis one on G as score(g, 'bag')" if "bag" in world.data.classes else "create axis one on G as pca(1)"
    )
    codes = None
    for edited in (False, True):
        shares = []
        for number in range(3):
            with world.session(count) as con, torch.inference_mode():
                con.sql(axis)
                asked(con, "predict g from reconstruct(xs)")
                xs = world.data.test_images[:count]
                codes = world.generator.encode(xs)
                model = world.models["f"]

                def bare(xs: Tensor = xs, codes: Tensor = codes, model: nn.Module = model) -> None:
                    if edited:  # noqa: B023 - it is called at once
                        xs = torch.cat([world.generator.synthesis(some) for some in codes.split(BLOCK)])
                    for some in xs.split(BLOCK):
                        model(some)

                text = f"latent(xs, 'one', {number + 1})" if edited else "xs"
                con.sql("predict f from xs limit 1")
                shares.append(seconds(bare, times=3) / seconds(asked, con, f"predict f from {text}"))
        found.append(
            Figure(f"efficiency of PREDICT over {count} inputs{', edited' if edited else ''}", max(shares), 0.85)
        )
    return found


PARTS: dict[str, Callable[[World], list[Figure]]] = {
    "drawing": drawing,
    "planted": planted,
    "counterfactuals": counterfactuals,
    "sweeps": sweeps,
    "predictions": predictions,
}


def main(arguments: Sequence[str]) -> int:
    quick = "--quick" in arguments
    folder = Path(arguments[arguments.index("--data") + 1]) if "--data" in arguments else None
    only = arguments[arguments.index("--only") + 1].split(",") if "--only" in arguments else list(PARTS)
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    data = fashion.digits() if quick else fashion.load(folder)
    generator, figures = made(data, quick, "--keep" in arguments)
    kinds = {"f": (Vgg, 1), "g": (Residual, 2), "h": (Vgg, 3)}
    models = {name: trained(kind, data.images, data.labels, seed, OUT / "nets") for name, (kind, seed) in kinds.items()}
    world = World(data, generator, models, quick)
    for figure in figures:
        print(figure, flush=True)
    for name in only:
        for figure in PARTS[name](world):
            figures.append(figure)
            print(figure, flush=True)
    (OUT / "generators.json").write_text(json.dumps({each.name: each.value for each in figures}, indent=1) + "\n")
    return 0 if quick else sum(not each.holds for each in figures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Scores of a sweep as one page of HTML that works from disk: pictures, sliders, ratings, and a script of about 1 kB.

In: answers to PREDICT by the same models. Out: a file that fetches nothing. Its policy allows its own script and style
by their digests, and nothing else; names stand in it as text only. May not know: sessions, models or torch.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import BindError, IalgebraError, visible
from ..system import disk
from .model_scores import ModelScores
from .pixels import PictureBytes, png
from .shown_scores import ShownScores

MOST_INPUTS: Final = 4_096
"""Inputs of one page."""

_MOST_SIDE: Final = 112  # pixels of a picture's longer side
_MOST_PIXELS: Final = 1 << 24  # of all pictures of a page
_MOST_CLASSES: Final = 12  # of a model whose classes were not asked for
_MOST_SHOWN: Final = 60  # classes of a model
_LEFT_OUT: Final = ", of the five highest classes of each input"
_DIGITS: Final = 4  # of a score


def write(path: Path, answers: Sequence[ShownScores]) -> Path:
    """Write the page of some answers; see `Scores.export`."""
    content = page(answers)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write(path, content.encode())
    except (OSError, ValueError) as cause:
        raise IalgebraError(f"cannot write the page '{path}': {getattr(cause, 'strerror', None) or cause}") from cause
    return path


def page(answers: Sequence[ShownScores]) -> str:
    """The page of some answers as HTML. Raises as `Scores.export` does."""
    count = sum(each.size for each in answers)
    if not all(each.size for each in answers):
        raise BindError("an answer without inputs cannot be explored; ask for some that HAVING keeps")
    if count > MOST_INPUTS:
        raise BindError(
            f"a page holds {MOST_INPUTS:,} inputs at most, and these are {count:,}; sliders in one another multiply "
            "their steps. Take fewer steps, or sweep one axis at a time and export the answers together, which only "
            "adds their steps"
        )
    names = [each.label for each in answers[0].models]
    read = [(each.label, each.unit) for each in answers[0].models]
    if wrong := [each for each in answers if [(model.label, model.unit) for model in each.models] != read]:
        raise BindError(
            f"answers of one page are scores of one kind of the same models; {', '.join(names)} are not those of: "
            f"{wrong[0].query}"
        )
    data = _data(answers, _shown(answers, count))
    sheet = data.pop("sheet", None)
    picture = "" if sheet is None else f'<img id="sheet" alt="" hidden src="data:image/png;base64,{sheet}">'
    return _PAGE.format(
        policy=f"default-src 'none'; img-src data:; script-src '{_digest(_SCRIPT)}'; style-src '{_digest(_STYLE)}'; "
        "base-uri 'none'; form-action 'none'",
        title=html.escape(visible(", ".join(names))),
        style=_STYLE,
        picture=picture,
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        script=_SCRIPT,
    )


def _digest(content: str) -> str:
    """The source of a policy that allows just this script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")


def _shown(answers: Sequence[ShownScores], count: int) -> list[PictureBytes] | list[str]:
    """The inputs of all rows, as pictures of one size, or in words."""
    contents = [each.contents for each in answers]
    if any(each is None or each.pictured != (contents[0] is not None and contents[0].pictured) for each in contents):
        raise BindError("answers of one page are about inputs of one kind, and know them")
    side = min(_MOST_SIDE, math.isqrt(_MOST_PIXELS // count))
    pictures: list[PictureBytes] = []
    lines: list[str] = []
    for each, known in zip(answers, contents, strict=True):
        assert known is not None
        if known.pictured:
            pictures += known.pictures(range(each.size), side)
        else:
            lines += known.lines(range(each.size))
    if len({each.shape for each in pictures}) > 1:
        raise BindError("answers of one page are about pictures of one size")
    return pictures or lines


def _data(answers: Sequence[ShownScores], inputs: list[PictureBytes] | list[str]) -> dict[str, object]:
    """What the script reads: the answers with the rows of each input, the rows, the models with the scores of each."""
    rows: list[dict[str, object]] = []
    asked: list[dict[str, object]] = []
    first = 0
    for each in answers:
        groups: dict[int, list[int]] = {}
        for number, place in enumerate(each.places.tolist()):
            groups.setdefault(place, []).append(first + number)
            step = float(each.steps[number])
            rows.append({"input": visible(each.inputs[number]), "step": None if math.isnan(step) else f"{step:g}"})
        asked.append({"query": visible(each.query), "inputs": list(groups.values())})
        first += each.size
    models = [_model([each.models[k] for each in answers]) for k in range(len(answers[0].models))]
    found: dict[str, object] = {"answers": asked, "rows": rows, "models": models}
    if isinstance(inputs[0], str):
        return found | {"lines": [visible(str(each)) for each in inputs]}
    pictures = [each for each in inputs if not isinstance(each, str)]
    high, wide = pictures[0].shape[:2]
    different: dict[bytes, int] = {}
    for row, picture in zip(rows, pictures, strict=True):
        row["at"] = different.setdefault(picture.tobytes(), len(different))
    across = math.ceil(math.sqrt(len(different)))
    sheet = np.zeros((math.ceil(len(different) / across) * high, across * wide, 3), dtype=np.uint8)
    for content, at in different.items():
        top, left = at // across * high, at % across * wide
        sheet[top : top + high, left : left + wide] = np.frombuffer(content, np.uint8).reshape(high, wide, 3)
    encoded = base64.b64encode(png(sheet)).decode("ascii")
    return found | {"high": high, "wide": wide, "across": across, "sheet": encoded}


def _model(several: Sequence[ModelScores]) -> dict[str, object]:
    """A model with its classes, and for each row of all answers what it predicts and the scores of these classes."""
    classes = dict.fromkeys(target for each in several for target in each.targets)
    asked = bool(classes)
    if not asked:
        best: dict[int, float] = {}
        for each in several:
            for target, score in zip(each.top.ravel().tolist(), each.top_scores.ravel().tolist(), strict=True):
                best[target] = max(score, best.get(target, -math.inf))
        classes = dict.fromkeys(sorted(sorted(best, key=lambda target: -best[target])[:_MOST_CLASSES]))
    names = {k: name for each in several for k, name in each.names.items()}
    targets = list(classes)[:_MOST_SHOWN]
    rows = [row for each in several for row in _scores(each, targets)]
    known = [score for row in rows for score in row if score is not None]
    unit, left = several[0].unit or "score", len(classes) - len(targets)
    return {
        "name": visible(several[0].label),
        "about": visible(unit) + _LEFT_OUT * (not asked) + (f"; {left:,} more classes are not shown" if left else ""),
        "classes": [visible(names[target]) for target in targets],
        "low": min(0.0, *known, 0.0),
        "high": 1.0 if unit == "probability" else max(1e-9, *known, 1e-9),
        "scores": rows,
        "predicted": [visible(name) for each in several for name in each.predicted_names()],
    }


def _scores(each: ModelScores, classes: Sequence[int]) -> list[list[float | None]]:
    found = []
    for row in range(len(each.top)):
        known = dict(zip(each.top[row].tolist(), each.top_scores[row].tolist(), strict=True))
        known |= dict(zip(each.targets, each.target_scores[row].tolist(), strict=True))
        found.append([_rounded(known.get(target)) for target in classes])
    return found


def _rounded(score: float | None) -> float | None:
    return None if score is None or not math.isfinite(score) else float(f"{score:.{_DIGITS}g}")


_STYLE: Final = """
:root{color-scheme:light dark;--line:#8886;--bar:#3b78c288}
body{margin:1.5rem;font:15px/1.45 system-ui,sans-serif;max-width:62rem}
main{display:flex;flex-wrap:wrap;gap:1.5rem}
canvas{width:16rem;max-width:100%;image-rendering:pixelated;background:#8883;border-radius:4px}
.models{display:flex;flex-wrap:wrap;gap:1rem 1.5rem;flex:1 1 18rem}
.models section{flex:1 1 11rem;min-width:0}
h2{font-size:1em;margin:0;overflow-wrap:anywhere}
ul{list-style:none;margin:.3rem 0;padding:0}
li{position:relative;display:flex;justify-content:space-between;gap:.6rem;padding:.1rem .4rem;margin:.1rem 0}
li b{font-weight:400;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
li i{position:absolute;inset:0 auto 0 0;background:var(--bar);border-radius:3px;z-index:-1}
label{display:grid;grid-template-columns:4rem minmax(0,1fr) minmax(3rem,auto);gap:.8rem;margin:.4rem 0}
[hidden]{display:none}
code{overflow-wrap:anywhere}
.soft{opacity:.7;font-size:.9em;margin:.1rem 0;overflow-wrap:anywhere}
"""

_SCRIPT: Final = """
const $=i=>document.getElementById(i),d=JSON.parse($("data").textContent),[a,i,s]=["answer","input","step"].map($)
const part=(p,t,c="")=>{const e=p.appendChild(document.createElement(t));e.className=c;return e}
const upto=(e,n)=>{e.max=n-1;e.parentNode.hidden=n<2}
const bars=d.models.map(m=>{const p=part($("models"),"section");part(p,"h2").textContent=m.name
const said=part(p,"p","soft"),u=part(p,"ul");return{said,li:m.classes.map(c=>{const l=part(u,"li"),f=part(l,"i")
part(l,"b").textContent=c;return[f,part(l,"span")]})}})
function show(){upto(a,d.answers.length);const q=d.answers[a.value];upto(i,q.inputs.length);const t=q.inputs[i.value]
upto(s,t.length);const r=t[s.value],x=d.rows[r];$("query").textContent=q.query;$("what").textContent=x.input
$("a").textContent=+a.value+1+" of "+d.answers.length;$("i").textContent=+i.value+1+" of "+q.inputs.length
$("s").textContent=x.step??+s.value+1;document.body.dataset.row=r
if(d.lines)$("words").textContent=d.lines[r];else{const c=$("picture");c.width=d.wide;c.height=d.high
c.getContext("2d").drawImage($("sheet"),x.at%d.across*d.wide,Math.floor(x.at/d.across)*d.high,d.wide,d.high,0,0,d.wide,d.high)}
d.models.forEach((m,k)=>{const b=bars[k];b.said.textContent=(m.predicted[r]?"predicts "+m.predicted[r]+", ":"")+m.about
m.classes.forEach((c,j)=>{const v=m.scores[r][j],[f,n]=b.li[j];n.textContent=v??"–"
f.style.width=v===null?0:100*(v-m.low)/(m.high-m.low)+"%"})})}
for(const e of[a,i,s])e.oninput=show
$(d.lines?"picture":"words").hidden=true
s.value=Math.floor(d.answers[0].inputs[0].length/2);upto(s,d.answers[0].inputs[0].length)
s.value=Math.floor(d.answers[0].inputs[0].length/2)
const g=$("sheet");g&&!g.complete?g.onload=show:show()
"""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<p><code id="query"></code></p>
<label>answer <input id="answer" type="range" min="0" max="0" value="0"><output id="a"></output></label>
<label>input <input id="input" type="range" min="0" max="0" value="0"><output id="i"></output></label>
<label>step <input id="step" type="range" min="0" max="0" value="0"><output id="s"></output></label>
<main>
<div><canvas id="picture" role="img" aria-labelledby="what"></canvas><p id="words"></p>
<p class="soft" id="what" aria-live="polite"></p></div>
<div class="models" id="models"></div>
</main>
<noscript>This page needs its script to be shown.</noscript>
{picture}
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""

"""Random texts of the query language: drawn from its grammar, nearly so, or made to hurt. In: a seed; out: text.

`Grammar` says every construct of docs/language.md, with the names that `worlds.case("image")` and
`session` register; what it draws always parses, and mostly binds. `spoilt` breaks such a text in a place or two, and
`HOSTILE` are texts that nobody would write. Nothing here knows ialgebra's own parser.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import torch

import ialgebra
from tests import worlds

KEYWORDS = frozenset(
    "select predict from join left anti on weight where using budget error within at confidence seconds milliseconds "
    "as and or not between in explain analyze create replace window view drop show describe set models inputs windows "
    "views history top percent above having order by asc desc limit format json dot".split()
)
LAYERS = ["1", "2", "3", "5", "7", "l", "conv1", "'conv2'", '"act2"', "head"]
MODELS = ["f", "f", "f", "f'", "g", "f′"]
INPUTS = ["x", "x", "x'", "y", "x′", '"x"', '"two words"']
WINDOWS = ["w", "w2", "bright", "ring", "nothing"]
COLUMNS = ["row", "col", "channel", "value", "ROW"]


def session() -> ialgebra.Session:
    """What the grammar's names mean; small enough for thousands of queries."""
    con = worlds.case("image", seed=1, dtype=torch.float32).con
    con.register_input("two words", worlds.sample("image", torch.float32), players="grid(2, 2)")
    con.register_input("blocks", (torch.arange(36) // 12).reshape(6, 6).expand(2, 6, 6).contiguous())
    con.sql("create view v as select 3 from f(x); create view pair as select * from f(x) join f(y) on weight = 0.25")
    return con


class Grammar:
    """Draws texts; a method for each rule of the grammar, which returns the rule's words."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def text(self) -> str:
        """A statement or a short script, spelt in any way that means the same."""
        rules = [self.query] * 8 + [self.predicted] * 2 + [self.explained, self.created, self.other, self.script]
        return self.spelt(self.rng.choice(rules)())

    def query_text(self) -> str:
        return self.spelt(self.query())

    def predicate_text(self) -> str:
        return self.spelt(self.predicate(3))

    def spelt(self, words: list[str]) -> str:
        """Words with any white space and comments between them, and keywords in any case."""
        plain = self.rng.random() < 0.6
        said = []
        for before, word in zip(["", *words], words, strict=False):
            if not plain and word in KEYWORDS and before != "set":  # SET BUDGET: there it is a name
                word = self.rng.choice([word, word.upper(), word.title(), word.swapcase()])
            gaps = [" "] if plain else [" ", "  ", "\n", "\t", " /* a; b */ ", " -- where\n", "\r\n"]
            said += [word, self.rng.choice(gaps)]
        return "".join(said).strip(" ")

    def maybe(self, chance: float, words: Callable[[], list[str]]) -> list[str]:
        return words() if self.rng.random() < chance else []

    # Statements

    def script(self) -> list[str]:
        rules = [self.query, self.predicted, self.created, self.other]
        statements = [self.rng.choice(rules)() for _ in range(self.rng.randint(2, 4))]
        joined = [word for each in statements for word in [*each, ";"]]
        return joined if self.rng.random() < 0.5 else joined[:-1]

    def explained(self) -> list[str]:
        how = [["analyze"], ["(", "format", "json", ")"], ["(", "analyze", ",", "format", "dot", ")"]]
        rule = self.rng.choice([self.query, self.query, self.predicted])
        return ["explain", *self.maybe(0.5, lambda: self.rng.choice(how)), *rule()]

    def created(self) -> list[str]:
        head = ["create", *self.maybe(0.9, lambda: ["or", "replace"])]
        if self.rng.random() < 0.5:
            body = self.region() if self.rng.random() < 0.3 else self.predicate(2)
            return [*head, "window", self.rng.choice(["w3", "w4"]), "as", *body]
        return [*head, "view", self.rng.choice(["u", "t"]), "as", *self.select(1)]

    def region(self) -> list[str]:
        """One map in most draws, of a model of few rows; sometimes an amount that is refused."""
        amount = self.rng.choice([["top", "(", "2"], ["top", "(", "0.5", "percent"], ["above", "(", "-", "0.1"]])
        amount = self.rng.choice([amount, ["top", "(", "30", "%"], ["above", "(", ".5"], ["top", "(", "0"]])
        query = self.select(1) if self.rng.random() < 0.3 else ["select", "*", "from", "f", "(", "x", ")"]
        return [*amount, ",", *query, ")"]

    def other(self) -> list[str]:
        options = {
            "seed": ["0", "7", "default"],
            "budget": ["2", "40", "default"],
            "method": ["regression", "'permutations'", "default"],
            "strategy": ["best", "as_written", "default"],
            "players": ["grid(2, 2)", "default"],
            "baseline": ["0.5", "zeros", "default"],
            "output": ["probability", "default"],
            "contrast": ["literal", "default"],
            "batch_size": ["16", "default"],
        }
        name = self.rng.choice(list(options))
        return self.rng.choice(
            [
                ["show", self.rng.choice(["models", "inputs", "windows", "views", "history"])],
                ["describe", self.rng.choice(["f", "x", "w", "v", "xs"])],
                ["drop", "window", self.rng.choice(["w3", "w4"])],
                ["drop", "view", self.rng.choice(["u", "t"])],
                ["set", name, "=", self.rng.choice(options[name])],
                ["set", name, "=", "default"],
            ]
        )

    # Predictions

    def predicted(self) -> list[str]:
        """What one model or several answer for an input, whose elements may be filtered and put in order."""
        models = [word for _ in range(self.rng.randint(1, 3)) for word in [",", *self.asked_model()]][1:]
        source = ["xs"] if self.rng.random() < 0.5 else self.input()
        clauses = [
            *self.maybe(0.4, lambda: ["having", *self.output(), self.rng.choice(["<", ">="]), self.literal()]),
            *self.maybe(0.4, lambda: ["order", "by", *self.output(), *self.maybe(0.5, lambda: ["desc"])]),
            *self.maybe(0.4, lambda: ["limit", self.rng.choice(["1", "2", "3", "4", "5", "6", "7", "8", "0"])]),
        ]
        return ["predict", *models, "from", *source, *clauses]

    def asked_model(self) -> list[str]:
        options = {
            "target": ["0", "2", "all", "(0, 1)"],
            "output": ["logit", "'probability'", "log_odds"],
            "layer": ["2", "l", "'conv1'", "7", "head"],
        }
        chosen = [name for name in options if self.rng.random() < 0.3]
        said = [word for name in chosen for word in [",", name, "=>", self.rng.choice(options[name])]][1:]
        return [self.rng.choice(MODELS), *(["(", *said, ")"] if said else [])]

    def output(self) -> list[str]:
        """A number that a model answers for an element."""
        named = self.maybe(0.95, lambda: [self.rng.choice(MODELS)])
        match self.rng.randrange(8):
            case 0 | 1:
                return [self.rng.choice(["index", "INDEX", "index", "step", "prediction"])]
            case 2 | 3:
                return ["prediction", "(", *named, ")"]
            case 4:
                return ["score", "(", *named, *([","] if named else []), "7", ")"]
        return ["score", "(", *named, *([","] if named else []), self.rng.choice(["0", "1", "2"]), ")"]

    # Queries

    def query(self) -> list[str]:
        if self.rng.random() < 0.1:
            return self.ranked()
        return [*self.select(2), *self.estimation()]

    def ranked(self) -> list[str]:
        """A query over a collection, whose elements are filtered and put in order, before or after its estimation."""
        clauses = [
            *self.maybe(0.6, lambda: ["having", *self.scalar(1), self.rng.choice(["<", ">=", "<>"]), *self.scalar(1)]),
            *self.maybe(0.6, lambda: ["order", "by", *self.key(), *self.maybe(0.3, lambda: [",", *self.key()])]),
            *self.maybe(0.6, lambda: ["limit", self.rng.choice(["1", "2", "99", "0"])]),
        ]
        both = [clauses, self.estimation()]
        self.rng.shuffle(both)
        return ["select", "*", "from", self.rng.choice(["f", "g"]), "(", "xs", ")", *both[0], *both[1]]

    def key(self) -> list[str]:
        return [*self.scalar(2), *self.maybe(0.5, lambda: [self.rng.choice(["asc", "desc"])])]

    def scalar(self, depth: int) -> list[str]:
        """A number of an element, or of its map."""
        if depth and self.rng.random() < 0.3:
            return ["(", *self.scalar(depth - 1), self.rng.choice(["+", "-", "*", "/"]), *self.scalar(depth - 1), ")"]
        match self.rng.randrange(7):
            case 6:
                return self.output()
            case 0:
                return ["mass", "(", *self.predicate(1), ")"]
            case 1:
                return ["distance", "(", "(", "select", "*", "from", "f", "(", "x", ")", ")", ")"]
            case 2:
                return [self.rng.choice(["entropy", "argmax_row", "ARGMAX_COL"]), "(", ")"]
            case 3:
                return [self.literal()]
            case _:
                return [self.rng.choice(["prediction", "index", "INDEX"])]

    def select(self, depth: int, least: int = 1) -> list[str]:
        """A query of one kind of chain; subqueries select no layer before `least`, mostly."""
        items = ["*"]
        if self.rng.random() < 0.4:
            items = [self.rng.choice([*LAYERS[max(0, least - 1) :], "*"])]
        if depth == 2 and self.rng.random() < 0.2:
            items = [item for _ in range(self.rng.randint(2, 3)) for item in [self.rng.choice(LAYERS[:4]), ","]][:-1]
        labelled = [*items, "as", self.rng.choice(["early", "'a label'", '"b"'])] if self.rng.random() < 0.1 else items
        return [
            *("select", *labelled, "from"),
            *self.operands(depth),
            *self.maybe(0.4, lambda: ["where", *self.predicate(2)]),
        ]

    def operands(self, depth: int) -> list[str]:
        first = self.operand(depth)
        count = self.rng.choice([0, 0, 1, 1, 2])
        kind = self.rng.choice([["join"], ["join"], ["left", "join"], ["anti", "join"]]) if count else []
        weighted = kind == ["join"] and self.rng.random() < 0.5
        for _ in range(count):
            first += [*kind, *self.operand(depth if kind == ["join"] else 0)]
            first += ["on", "weight", "=", self.rng.choice(["0", ".25", "0.5", "1", "0.125e0"])] if weighted else []
        return first

    def operand(self, depth: int) -> list[str]:
        chance = self.rng.random()
        if depth and chance < 0.3:
            return ["(", *self.select(depth - 1, 3), ")"]
        if depth and chance < 0.36:
            return [self.rng.choice(["v", "pair"])]
        return self.call()

    def call(self) -> list[str]:
        options = {
            "target": lambda: [self.rng.choice(["0", "1", "2"])],
            "baseline": self.baseline,
            "players": self.players,
            "output": lambda: [self.rng.choice(["'logit'", "probability", "'log_odds'", "LOGIT"])],
        }
        chosen = [name for name in options if self.rng.random() < 0.15]
        self.rng.shuffle(chosen)
        said = [word for name in chosen for word in [",", name, "=>", *options[name]()]]
        source = self.input()
        if self.rng.random() < 0.04:
            source = ["each", "(", *source, ")"]
        return [self.rng.choice(MODELS), "(", *source, *said, ")"]

    def input(self) -> list[str]:
        """An input, perhaps edited; now and then a collection."""
        if self.rng.random() < 0.8:
            return [self.rng.choice(["xs"] if self.rng.random() < 0.08 else INPUTS)]
        inner = self.input()
        match self.rng.randrange(9):
            case 7:
                value = self.number_or_steps(["0", "1.5", "-1", "1e30"])
                return ["assign", "(", *inner, ",", *self.predicate(1), ",", *value, ")"]
            case 8:
                name = self.rng.choice(["brightness", "contrast", "blur"])
                return [
                    name,
                    "(",
                    *inner,
                    ",",
                    *self.number_or_steps(["0", "0.5", "1", ".25", "0.125", "-1", "3"]),
                    ")",
                ]
            case 0 | 1:
                window = self.predicate(1)
                option = self.maybe(0.2, lambda: [",", "baseline", "=>", self.rng.choice(["0", "y", "blur(2)"])])
                return [self.rng.choice(["nullify", "NULLIFY"]), "(", *inner, ",", *window, *option, ")"]
            case 2:
                return ["substitute", "(", *inner, ",", *self.predicate(1), ",", self.rng.choice(INPUTS), ")"]
            case 3:
                numbers = [self.rng.choice(["0", "2", "-1", "0.5", "-1e9"]) for _ in range(2)]
                return ["shift", "(", *inner, ",", numbers[0], ",", numbers[1], ")"]
            case 4:
                return ["clip", "(", *inner, ",", self.rng.choice(["-1", "0"]), ",", self.rng.choice(["0", "2.5"]), ")"]
            case 5:
                sigma, seed = self.rng.choice(["0", ".1", "1e3"]), self.rng.choice(["0", "7"])
                return ["noise", "(", *inner, ",", sigma, ",", seed, ")"]
        name, number = self.rng.choice([("rotate", "15"), ("rotate", "-90"), ("scale", "0.5"), ("scale", "1e-9")])
        return [name, "(", *inner, ",", *self.number_or_steps([number]), ")"]

    def number_or_steps(self, numbers: list[str]) -> list[str]:
        """A number of an edit; now and then a sweep."""
        if self.rng.random() < 0.85:
            return [self.rng.choice(numbers)]
        return ["steps", "(", self.rng.choice(numbers), ",", "2", ",", self.rng.choice(["1", "2", "3", "0"]), ")"]

    def baseline(self) -> list[str]:
        simple = ["0", "-1.5", "1e-3", "zeros", "y", "xs", "mean(xs)", "constant(2)", "blur", "blur(2)", "blur(y, .5)"]
        return [self.rng.choice(simple)]

    def players(self) -> list[str]:
        return [self.rng.choice(["grid(2, 2)", "grid(1, 3)", "GRID(3,1)", "tile(3)", "tile(4)", "slic(3)", "blocks"])]

    def estimation(self) -> list[str]:
        method = self.rng.choice(
            ["exact()", "Permutations()", "regression()", "unbiased()", "shapley()", "exact(contrast => literal)"]
        )
        return [
            *self.maybe(0.2, lambda: ["using", method]),
            *self.maybe(0.3, lambda: ["budget", self.rng.choice(["2", "16", "40", "100"])]),
            *self.maybe(0.08, self.error),
            *self.maybe(
                0.04, lambda: ["within", self.rng.choice(["1", "0.5"]), self.rng.choice(["seconds", "second"])]
            ),
        ]

    def error(self) -> list[str]:
        confidence = ["at", "confidence", self.rng.choice(["90", "99.5"]), "%"]
        return ["error", "within", self.rng.choice(["5", "12.5", ".5e1"]), "%", *self.maybe(0.5, lambda: confidence)]

    # Predicates

    def predicate(self, depth: int) -> list[str]:
        if depth and self.rng.random() < 0.6:
            inner = self.predicate(depth - 1)
            match self.rng.randrange(4):
                case 0:
                    return ["not", "(", *inner, ")"]
                case 1:
                    return ["(", *inner, ")"]
                case _:
                    return [*inner, self.rng.choice(["and", "or"]), *self.predicate(depth - 1)]
        match self.rng.randrange(7):
            case 0 | 1:
                return [self.rng.choice([*WINDOWS, "true", "FALSE"])]
            case 2:
                return [*self.number(1), "between", *self.number(0), "and", *self.number(0)]
            case 3:
                values = [word for _ in range(self.rng.randint(1, 4)) for word in [self.literal(), ","]]
                return [*self.number(1), "in", "(", *values[:-1], ")"]
            case 4:
                return self.rng.choice([["circle(2, 3, 2.5)"], ["BOX(1, 1, 4, 5)"], ["not", "circle(0,0,1)"]])
            case _:
                return [*self.number(2), self.rng.choice(["=", "<>", "!=", "<", "<=", ">", ">="]), *self.number(1)]

    def number(self, depth: int) -> list[str]:
        if depth and self.rng.random() < 0.4:
            inner = self.number(depth - 1)
            match self.rng.randrange(4):
                case 0:
                    return ["abs", "(", *inner, ")"]
                case 1:
                    return ["-", "(", *inner, ")"]
                case _:
                    sign = self.rng.choice(["+", "-", "*", "/", "%"])
                    return ["(", *inner, sign, *self.number(depth - 1), ")"]
        return [self.rng.choice(COLUMNS)] if self.rng.random() < 0.6 else [self.literal()]

    def literal(self) -> str:
        return self.rng.choice(["0", "1", "2.5", ".5", "4", "1e2", "-1", "007", "3.0"])


NUMBERS = [
    "0",
    "1",
    "-1",
    "1e400",
    "-1e-400",
    "1e308",
    "9" * 400,
    "0x10",
    "1_000",
    "1e",
    ".",
    "..",
    "1.2.3",
    "½",
    "٣",
    "３",
]
LOOKALIKES = [
    *(
        "с",
        "х",
        "ｆ",
        "ｓelect",
        "ſelect",
        "ı",
        "K",
        "f\u200d",
        "x\u200b",
        "\u202ex",
        "\u2066f\u2069",
        "e\u0301",
        "\ufeff",
    ),
    *(
        "′",
        "″",
        "‘",
        "’",
        "“",
        "´",
        "`",
        "＊",
        "（",
        "）",
        "，",
        "；",
        "＝",
        "−",
        "\u00a0",
        "\u3000",
        "\u2028",
        "\x85",
        "\x0b",
    ),
    *("\x00", "\x1a", "\ud800", "\U0010ffff", "\U0001d41f", "𝟏", "⋈", "⋄", "Π", "σ", "∞"),
]
PIECES = [
    *(
        "'",
        '"',
        "''",
        "--",
        "/*",
        "*/",
        "/* /*",
        ";",
        ";;",
        "(",
        ")",
        "((((",
        "))))",
        ",",
        "=>",
        "=",
        "%",
        "\\",
        "#",
        "{#",
    ),
    *(
        "@",
        "$1",
        "$$",
        "?",
        ":x",
        "::",
        "||",
        "&&",
        "->",
        "[1]",
        "{",
        "}",
        "N'x'",
        "e'\\n'",
        "x'1f'",
        "b'1'",
        "0b1",
        "*.*",
    ),
    *(
        "union",
        "group by",
        "order by",
        "limit 1",
        "with t as",
        "case when",
        "cast(x as int)",
        "null",
        "is",
        "like",
        "exists",
    ),
    *(
        "__import__('os')",
        "eval('1')",
        "open('/etc/passwd')",
        "{{7*7}}",
        "%s",
        "$(id)",
        "`id`",
        "../../x",
        "f.__class__",
    ),
]


def spoilt(rng: random.Random, text: str) -> str:
    """A text with a few words or characters left out, doubled, exchanged, or put in."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        pieces = re.findall(r"[\d.]+|\w+'*|\s+|.", text, re.DOTALL) if rng.random() < 0.7 else list(text)
        if not pieces:
            break
        place, other = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        match rng.randrange(7):
            case 0:
                del pieces[place]
            case 1:
                pieces.insert(place, pieces[other])
            case 2:
                pieces[place], pieces[other] = pieces[other], pieces[place]
            case 3:
                pieces.insert(place, rng.choice([*LOOKALIKES, *PIECES, *NUMBERS]))
            case 4:
                pieces[place] = rng.choice([*NUMBERS, *LOOKALIKES] if pieces[place][0].isdigit() else PIECES)
            case 5:
                pieces[place] = pieces[place].replace(pieces[place][0], rng.choice(LOOKALIKES), 1)
            case _:
                del pieces[min(place, other) : max(place, other)]
        text = "".join(pieces)
    return text


def _nested(before: str, inside: str, after: str, count: int) -> str:
    return before * count + inside + after * count


DEEP = 1000
HOSTILE: dict[str, str] = {
    "parentheses": f"select * from f(x) where {_nested('(', 'w', ')', DEEP)}",
    "open parentheses": f"select * from f(x) where {'(' * DEEP}",
    "closed parentheses": f"select * from f(x) where w {')' * DEEP}",
    "subqueries": _nested("select * from (", "select * from f(x)", ")", DEEP),
    "nots": f"select * from f(x) where {'not ' * DEEP}w",
    "minuses": f"select * from f(x) where row < {'- ' * DEEP}1",
    "calls": f"select * from f(x, players => {_nested('grid(', '1', ')', DEEP)})",
    "abs": f"select * from f(x) where {_nested('abs(', 'row', ')', DEEP)} < 1",
    "comparisons": f"select * from f(x) where row {'< 1 ' * DEEP}",
    "betweens": f"select * from f(x) where row {'between 1 and 2 ' * DEEP}",
    "joins": f"select * from f(x) {'join f(y) ' * DEEP}",
    "weighted joins": f"select * from f(x) {'join f(y) on weight = 0.3 ' * DEEP}",
    "left joins": f"select * from f(x) {'left join f(y) ' * DEEP}",
    "mixed joins": f"select * from f(x) {'left join f(y) join f(x) ' * DEEP}",
    "ands and ors": f"select * from f(x) where {'w and w2 or ' * DEEP} w",
    "sums": f"select * from f(x) where {'row + ' * DEEP}1 < 7",
    "items": f"select {', '.join('12357'[k % 5] for k in range(DEEP))} from f(x)",
    "options": f"select * from f(x{', target => 1' * DEEP})",
    "list": f"select * from f(x) where row in ({', '.join(map(str, range(20 * DEEP)))})",
    "statements": "show models;" * (2 * DEEP),
    "semicolons": ";" * (100 * DEEP),
    "digits": f"select * from f(x) where row < {'9' * (100 * DEEP)}",
    "decimals": f"select * from f(x) where row < 0.{'3' * (100 * DEEP)}",
    "weight of digits": f"select * from f(x) join f(y) on weight = 0.{'3' * (50 * DEEP)}",
    "exponent": "select * from f(x) where row < 1e999999999999999999",
    "huge layer": f"select {'9' * 5000} from f(x)",
    "huge class": f"select * from f(x, target => {'9' * 5000})",
    "huge grid": "select * from f(x, players => grid(99999999999, 99999999999))",
    "huge tile": f"select * from f(x, players => tile({'9' * 400}))",
    "huge slic": "select * from f(x, players => slic(99999999999))",
    "huge blur": "select * from f(x, baseline => blur(9999))",
    "huge circle": "select * from f(x) where circle(1e308, 1e308, 1e308)",
    "huge products": "select * from f(x) where value * 1e308 * 1e308 - 1e308 * 1e308 * value > 0",
    "steps in steps": "predict f from rotate(x, steps(steps(0, 1, 2), 1, 2))",
    "huge sweep": f"predict f from rotate(x, steps(0, 1, {'9' * 400}))",
    "far sweep": "predict f from rotate(x, steps(-1e308, 1e308, 3))",
    "tiny sweep": "predict f from brightness(x, steps(0, 1e-320, 3))",
    "huge blur of a picture": "predict f from blur(x, 9999)",
    "huge value": "predict f from assign(x, w, 1e308)",
    "many models": f"predict {', '.join(['f'] * DEEP)} from x",
    "many scores": f"predict f from xs having {' and '.join(['score(0) < 1'] * DEEP)}",
    "edits": f"select * from f({_nested('rotate(', 'x', ', 1)', DEEP)})",
    "substitutes": f"select * from f({_nested('substitute(x, w, ', 'x', ')', DEEP)})",
    "huge scale": "select * from f(scale(x, 1e308))",
    "tiny scale": "select * from f(scale(x, 1e-320))",
    "huge turn": "select * from f(rotate(x, -1e308))",
    "huge shift": "select * from f(shift(x, 1e308, -1e308))",
    "huge noise": f"select * from f(noise(x, 1e308, {'9' * 4000}))",
    "huge clip": "select * from f(clip(x, -1e308, -1e308))",
    "huge budget": f"select * from f(x) budget {'9' * 5000}",
    "huge bound": "select * from f(x) error within 1e308% within 1e308 seconds",
    "a million letters": "select * from f(" + "x" * 1_000_000 + ")",
    "a megabyte of spaces": "select * from f(x)" + " " * 1_000_000,
    "as many letters as may be": "select * from f(" + "x" * 190_000 + ")",
    "as many spaces as may be": "select * from" + " " * 190_000 + "f(x)",
    "as many commas as may be": "select " + "," * 190_000,
    "words": "select * from f(x) " + "w " * 90_000,
    "open comments": "select * from f(x) " + "/* " * 60_000,
    "nested comments": "select * from f(x) " + _nested("/* ", "", "*/ ", 30_000),
    "line comments": "select * from f(x) " + "--\n" * 60_000,
    "comments": "select /**/ " * 15_000,
    "quotes": "select " + "'" * 190_001,
    "double quotes": "select " + '"' * 190_001,
    "strings": "select * from f(x) where feature in (" + "'a'," * 45_000 + "'a')",
    "primes": "select * from f(x" + "'" * 150_000 + ")",
    "dots": "select " + "a." * 90_000 + "a from f(x)",
    "nothing": "",
    "a null": "\x00",
    "a byte order mark": "\ufeffselect * from f(x)",
    "half a character": "select * from f(\ud800)",
    "right to left": "select * from f(\u202ex\u202c)",
    "Cyrillic": "seleсt * from f(x)",
    "full width": "ｓｅｌｅｃｔ * from f(x)",
    "long s": "ſelect * from f(x)",
    "zero width": "select * from f(x\u200d)",
    "full-width digits": "select ２ from f(x)",
    "Arabic digits": "select * from f(x) budget ٤٠",
    "combining": "select * from f(x\u0301)",
    "a minus that is none": "select * from f(x) where row > −1",
    "a space that is none": "select\u00a0*\u3000from f(x)",
}
"""Texts by what they try."""

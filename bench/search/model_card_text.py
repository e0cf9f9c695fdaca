"""A card as README.md, with the front matter that the hub reads. Knows no file."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from bench.search.limits import told
from bench.search.model_card import Card, Judgement
from bench.search.model_card_code import snippet
from nas.config import is_plain_bert
from nas.data.task import DEV, TEST, Task
from results.choice import Measured

PIPELINES = {
    "classes": "text-classification",
    "score": "text-classification",
    "span": "question-answering",
}
CLASSES = {
    "classes": "AutoModelForSequenceClassification",
    "score": "AutoModelForSequenceClassification",
    "span": "AutoModelForQuestionAnswering",
}
METRICS = {
    "matthews": "matthews_correlation",
    "f1-macro": "f1",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "exact": "exact_match",
    "span-f1": "f1",
}
"""What the hub calls ours, where it has another name."""

HUB_TASK = "hub:"
"""Before the name of a data set on the hub."""


def readme(card: Card, task: Task) -> str:
    """The whole file."""
    front = yaml.safe_dump(_front(card), sort_keys=False, allow_unicode=True, width=1000)
    parts = [
        f"# {card.name}",
        _about(card),
        f"## Use\n\n{_use(card, task)}",
        f"## What it takes\n\n{_costs(card)}",
        f"## How right it is\n\n{_rightness(card)}",
        f"## Where it comes from\n\n{_origin(card)}",
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(parts) + "\n"


def _front(card: Card) -> dict[str, Any]:
    kind = card.data.kind
    front: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": PIPELINES[kind],
        "tags": ["onnx", "bert", "neural-architecture-search", "subbert", _kind_of(card.scheme)],
    }
    if card.base.licence:
        front["license"] = card.base.licence
    if card.base.name:
        front["base_model"] = card.base.name
    if card.data.task.startswith(HUB_TASK):
        front["datasets"] = [card.data.task.removeprefix(HUB_TASK).partition(":")[0]]
    names = [METRICS.get(name, name) for name in card.judgements[0].metrics]
    front["metrics"] = list(dict.fromkeys(names))
    judged = [one for one in card.judgements if one.split == TEST and one.scheme == card.scheme]
    if judged:
        front["model-index"] = [{"name": card.name, "results": [_result(card, judged[0])]}]
    return front


def _result(card: Card, one: Judgement) -> dict[str, Any]:
    data = {"type": card.data.task, "name": card.data.task, "split": one.split}
    metrics = [
        {
            "type": METRICS.get(name, name),
            "value": round(value, 6),
            "name": f"{name} ({one.scheme})",
        }
        for name, value in one.metrics.items()
    ]
    return {"task": {"type": PIPELINES[card.data.kind]}, "dataset": data, "metrics": metrics}


def _kind_of(scheme: str) -> str:
    return "fp32" if scheme == "fp32" else "int8"


def _about(card: Card) -> str:
    labels = ", ".join(f"`{label}`" for label in card.data.labels)
    classes = f" Its classes: {labels}." if labels else ""
    return (
        f"A BERT-like encoder for `{card.data.task}` that was searched for under a budget: "
        f"`{card.short}`, {card.parameters / 1e6:.2f} million parameters, stored in "
        f"`{card.scheme}` ({card.megabytes:.2f} MB).{classes}"
    )


def _use(card: Card, task: Task) -> str:
    alone = "With `onnxruntime` and `tokenizers` alone, in this folder:"
    return f"{alone}\n\n```python\n{snippet(card, task)}```\n\n{_transformers(card)}"


def _transformers(card: Card) -> str:
    plain = is_plain_bert(card.architecture)
    more = "" if plain else ", trust_remote_code=True"
    why = "" if plain else " (BERT's settings cannot express its sizes: a modelling file is here)"
    return (
        f"In float32 it is `{CLASSES[card.data.kind]}.from_pretrained(FOLDER{more})` of "
        f"`transformers`{why}."
    )


def _costs(card: Card) -> str:
    rows = [_latency(card, one) for one in (*card.measured, *card.elsewhere)]
    header = ("device", "runtime", "tokens", "budget", "predicted", "measured, ms", "rows")
    tables = _table(header, rows)
    others = [told(limit) for limit in card.limits if limit.kind != "latency"]
    kept = f" Kept too: {'; '.join(others)}." if others else ""
    places = ", ".join(f"`{one.device}`" for one in card.elsewhere)
    before = f" On {places} the search measured the inherited weights." if places else ""
    noisy = " The intervals stayed wide: the machine was busy." if card.noisy else ""
    return (
        f"{tables}\n\n{_works(card)}, warm, on {card.cpu}. What was measured is in its 95 % "
        f"interval.{_confidence(card)}{before}{noisy} `{card.file}` has "
        f"{card.megabytes:.2f} MB; a process needs {card.memory_megabytes:.1f} MB for it beside "
        f"the runtime's.{kept}"
    )


def _works(card: Card) -> str:
    """Batch and threads, by device where these differ."""
    several = {
        device: f"batch {batch}, {threads} thread{'s' * (threads > 1)}"
        for device, (batch, threads) in card.works.items()
    }
    if len(set(several.values())) == 1:
        return next(iter(several.values())).capitalize()
    return "; ".join(f"{device}: {work}" for device, work in several.items())


def _confidence(card: Card) -> str:
    if not card.predicted:
        return ""
    return f" What was predicted has bounds for {card.predicted[0].confidence:.0%}."


def _latency(card: Card, one: Measured) -> tuple[str, ...]:
    where = (one.device, one.runtime, one.tokens)
    predicted = [x for x in card.predicted if (x.device, x.runtime, x.tokens) == where]
    limits = [
        limit
        for limit in card.limits
        if limit.kind == "latency"
        and limit.device == one.device
        and limit.tokens in (None, one.tokens)
    ]
    return (
        one.device,
        one.runtime,
        str(one.tokens),
        told(limits[0]).partition(" on ")[0] if limits else "",
        _bounds(predicted[0].ms, predicted[0].lower, predicted[0].upper) if predicted else "",
        _bounds(one.ms, one.lower, one.upper),
        ", ".join(f"`{row}`" for row in one.rows),
    )


def _bounds(value: float, lower: float, upper: float) -> str:
    return f"{value:.3g} ({lower:.3g}-{upper:.3g})"


def _rightness(card: Card) -> str:
    ours = [one for one in card.judgements if one.weights == card.weights]
    names = list(ours[0].metrics)
    share = [f"{ours[0].share} 95 %"] if ours[0].share else []
    header = ("split", "precision", *names, *share, "examples", "row")
    tables = _table(header, [_judged(one, names) for one in ours])
    said = [f"Chosen by the `{DEV}` split; the `{TEST}` split was read once, for what ships."]
    if card.tested > 1:
        said.append(f"The ledger has answers of {card.tested} models to it.")
    if all(one.split != TEST for one in ours):
        said = [f"Chosen by the `{DEV}` split; the task has no `{TEST}` split."]
    others = [x for x in card.judgements if x.weights != card.weights and x.scheme == card.scheme]
    for one in others:
        value = next(iter(one.metrics.values()))
        said.append(
            f"With the {one.weights} weights it would be {value:.4f} on `{one.split}` in "
            f"`{one.scheme}`."
        )
    return f"{tables}\n\n{' '.join(said)}"


def _judged(one: Judgement, names: Sequence[str]) -> tuple[str, ...]:
    interval = [] if one.interval is None else [f"{one.interval[0]:.3f}-{one.interval[1]:.3f}"]
    values = (f"{one.metrics[name]:.4f}" for name in names)
    return one.split, one.scheme, *values, *interval, str(one.examples), f"`{one.row}`"


def _origin(card: Card) -> str:
    return "\n".join(f"- {line}" for line in _lines(card))


def _lines(card: Card) -> Iterator[str]:
    origin, data = card.origin, card.data
    yield (
        f"winner {origin.winner} of the search `{origin.search}` ({origin.searcher}, seed "
        f"{origin.seed}, {origin.evaluations} evaluations in `{origin.space}`), out of the "
        f"supernet `{origin.supernet}`"
    )
    training = {k: v for k, v in origin.training.items() if k != "ships"}
    if card.weights == "trained":
        yield "trained further: " + ", ".join(f"{k} {v}" for k, v in training.items())
    else:
        yield "with the weights it inherited from the supernet"
    sizes = ", ".join(f"{name} {count:,}" for name, count in data.examples.items())
    yield f"data: `{data.task}` from `{data.source}`: {sizes} examples"
    if data.calibration:
        yield f"calibrated on `{data.calibration}`"
    yield f"base model: {card.base.name or 'its folder does not say'}"
    if card.base.licence:
        yield f"licence of the base model: {card.base.licence}"
    elif card.base.files:
        yield f"licence of the base model: see {', '.join(card.base.files)}"
    else:
        yield "licence of the base model: its folder does not say; find out before you publish"
    versions = ", ".join(f"{name} {number}" for name, number in card.packages.items())
    yield f"made by subbert {card.tool} ({card.git or 'no revision'}) with {versions}"
    yield "`card.json` has all of this, and the digests, for programs"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

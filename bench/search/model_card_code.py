"""The few lines of Python that ask a model in its folder. They are tested by running them."""

from typing import TYPE_CHECKING

from nas.data.task import DEV, Split, Task

if TYPE_CHECKING:
    from bench.search.model_card import Card

LEAST, MOST = 15, 100
"""Characters of an example that is worth showing."""

HEAD = """\
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.no_padding()
tokenizer.enable_truncation({tokens})
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = {threads}
session = onnxruntime.InferenceSession("{file}", options)

text = tokenizer.encode({example})
feed = {{
    "input_ids": np.array([text.ids], np.int64),
    "attention_mask": np.array([text.attention_mask], np.int64),
    "token_type_ids": np.array([text.type_ids], np.int64),
}}
"""

ANSWERS = {
    "classes": """\
(logits,) = session.run(["logits"], feed)
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
print(labels[logits[0].argmax()])
""",
    "score": """\
(score,) = session.run(["logits"], feed)
print(float(score.item()))
""",
    "span": """\
starts, ends = session.run(["start_logits", "end_logits"], feed)
inside = (np.array(text.type_ids) == 1) & (np.array(text.special_tokens_mask) == 0)
first = np.where(inside, starts[0], -np.inf).argmax()
last = first + np.where(inside, ends[0], -np.inf)[first : first + 30].argmax()
print(CONTEXT[text.offsets[first][0] : text.offsets[last][1]])
""",
}


def snippet(card: "Card", task: Task) -> str:
    """For a text, or a pair, of the dev split."""
    kind = card.data.kind
    text, pair = _example(task.splits[DEV])
    head = HEAD if kind == "classes" else HEAD.replace("import json\n\n", "")
    example = repr(text) if pair is None else f"{text!r}, {pair!r}"
    before = ""
    if kind == "span":
        before, example = f"\nCONTEXT = {pair!r}", f"{text!r}, CONTEXT"
    threads = max((threads for _, threads in card.works.values()), default=1)
    code = head.format(
        threads=threads, tokens=card.data.most_tokens, file=card.file, example=example
    )
    return code.replace("\n\ntext =", f"\n{before}\ntext =") + ANSWERS[kind]


def _example(split: Split) -> tuple[str, str | None]:
    """The first that is neither tiny nor long, with nothing that would end a block of code."""
    pairs = split.pairs or (None,) * len(split)
    clean = [
        (text, pair)
        for text, pair in zip(split.texts, pairs, strict=True)
        if "```" not in f"{text}{pair}"
    ] or [("What is this?", None if split.pairs is None else "This is a text.")]
    shown = [one for one in clean if LEAST <= len(one[0]) <= MOST and len(one[1] or "") < 9 * MOST]
    return (shown or clean)[0]

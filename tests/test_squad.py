"""SQuAD's file is read whole or refused, scored as its own script does, cut and put together."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from nas.data import spans, squad
from nas.data.task import Answer, Split
from results.errors import BadInputError

WORDS = ("Paris", "is", "the", "2nd", "Café", "of", "東京", "unbelievable", "U.S.", "a-b", "Ωmega")
PIECES = ("paris", "is", "the", "un", "##believ", "##able", "cafe", "ωmega", *"abcnou2.-東京")


def article(paragraphs: int, title: str = "t") -> dict[str, Any]:
    made = []
    for n in range(paragraphs):
        context = f"In {title} {n} there were 12 dogs, and the cat."
        qas = [
            {
                "id": f"{title}{n}-{k}",
                "question": f"How many in {n}, {k}?",
                "answers": [{"text": "12 dogs", "answer_start": context.index("12 dogs")}]
                * (k + 1),
            }
            for k in range(2)
        ]
        made.append({"context": context, "qas": qas})
    return {"title": title, "paragraphs": made}


def write(path: Path, *articles: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "train-v1.1.json", article(20, "one"), article(10, "two"))
    write(tmp_path / "dev-v1.1.json", article(3, "dev"))
    return tmp_path


def test_questions_contexts_and_answers_stand_beside_each_other(folder: Path) -> None:
    task = squad.load(folder)

    dev = task.splits["dev"]
    context = "In dev 1 there were 12 dogs, and the cat."
    assert ("span", (), ("span-f1", "exact")) == (task.kind, task.labels, task.metrics)
    assert 6 == len(dev)
    assert ("dev1-1", "How many in 1, 1?") == (dev.names[3], dev.texts[3])
    assert dev.pairs is not None
    assert context == dev.pairs[3]
    assert (Answer("12 dogs", 20),) * 2 == dev.answers[3]
    assert "SQuAD 1.1" == task.source


def test_test_is_a_tenth_of_train_by_whole_paragraphs(folder: Path) -> None:
    splits = squad.load(folder).splits

    train, test = splits["train"], splits["test"]
    assert (54, 6) == (len(train), len(test))
    assert not set(train.pairs or ()) & set(test.pairs or ())
    assert 60 == len({*train.names, *test.names})


def test_one_file_gives_three_splits(folder: Path) -> None:
    splits = squad.load(folder / "train-v1.1.json").splits

    assert {"train": 50, "dev": 6, "test": 4} == {name: len(s) for name, s in splits.items()}
    contexts = [set(s.pairs or ()) for s in splits.values()]
    assert 30 == sum(map(len, contexts)) == len(set.union(*contexts))


def test_an_answer_that_is_elsewhere_is_moved_to_the_nearest_place(tmp_path: Path) -> None:
    several = article(30)
    paragraph = several["paragraphs"][3]
    paragraph["context"] = "dog cat dog cat dog"
    paragraph["qas"] = [
        {"id": "q", "question": "who?", "answers": [{"text": "dog", "answer_start": 9}]},
        {"id": "r", "question": "who else?", "answers": [{"text": "dog", "answer_start": 14}]},
        {"id": "s", "question": "and who?", "answers": [{"text": "dog", "answer_start": -1}]},
    ]

    task = squad.load(write(tmp_path / "x.json", several))

    found = {
        name: answers[0].start
        for split in task.splits.values()
        for name, answers in zip(split.names, split.answers, strict=True)
    }
    assert {"q": 8, "r": 16, "s": 0} == {name: found[name] for name in "qrs"}
    assert "SQuAD 1.1; 3 answers of x.json moved to their text" == task.source


@pytest.mark.parametrize(
    ("where", "what", "message"),
    [
        (
            "answers",
            [{"text": "bird", "answer_start": 3}],
            "'bird', an answer to question t0-0, is",
        ),
        ("answers", [], "question t0-0 has no answer"),
        ("answers", [{"text": "dogs"}], "no text or no answer_start"),
        ("answers", [{"text": " ", "answer_start": 2}], "no text or no answer_start"),
        ("answers", [{"text": "dogs", "answer_start": "3"}], "no text or no answer_start"),
        ("answers", [7], "has no text 'text'"),
        ("answers", "12 dogs", "has no list 'answers'"),
        ("question", None, "has no text 'question'"),
        ("id", 12, "a question has no text 'id'"),
        ("id", "t0-1", "two questions have the id t0-1"),
        ("is_impossible", True, r"question t0-0 has no answer, as in SQuAD 2\.0"),
    ],
)
def test_a_question_that_is_not_as_squads_is_named(
    where: str, what: object, message: str, tmp_path: Path
) -> None:
    bad = article(2)
    bad["paragraphs"][0]["qas"][0][where] = what

    with pytest.raises(BadInputError, match=message):
        squad.load(write(tmp_path / "x.json", bad))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"x\.json is no JSON"),
        ("[" * 100_000, r"x\.json is no JSON"),
        ("[]", "the file has no list 'data'"),
        ('{"data": [{"title": "t"}]}', "an article has no list 'paragraphs'"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "a paragraph has no text 'context'"),
        ('{"data": [{"paragraphs": [{"context": ""}]}]}', "a paragraph has no list 'qas'"),
        ('{"data": []}', "has no questions"),
    ],
)
def test_a_file_that_is_not_squad_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)

    with pytest.raises(BadInputError, match=message):
        squad.load(tmp_path / "x.json")


def test_too_few_paragraphs_to_hold_some_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="16 examples are too few to hold out a tenth for dev"):
        squad.load(write(tmp_path / "x.json", article(8)))


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "dev-v1.1.json").unlink()

    with pytest.raises(BadInputError, match=r"dev-v1\.1\.json: there is no such file"):
        squad.load(folder)


def asked(*answers: Sequence[str]) -> Split:
    several = tuple(tuple(Answer(text, 0) for text in one) for one in answers)
    names = tuple(f"q{n}" for n in range(len(answers)))
    return Split(("who?",) * len(answers), ("ctx",) * len(answers), answers=several, names=names)


ANSWER = st.lists(
    st.sampled_from(["the", "A", "an", "cat", "cat,", "Dog.", "théâtre", "an-other", "  ", "“x”"]),
    min_size=1,
    max_size=5,
).map(" ".join)


@settings(deadline=None)
@given(st.lists(st.tuples(ANSWER, st.lists(ANSWER, min_size=1, max_size=3)), min_size=1))
def test_answers_are_scored_as_transformers_scores_them(
    drawn: list[tuple[str, list[str]]],
) -> None:
    from transformers.data.metrics import squad_metrics

    theirs: Any = squad_metrics
    predicted = [text for text, _ in drawn]

    found = squad.score_answers(predicted, asked(*(answers for _, answers in drawn)))

    def overlap(text: str, answer: str) -> float:
        # SQuAD 2.0 gives a point for two empty texts; 1.1 gives none
        both = theirs.get_tokens(text) and theirs.get_tokens(answer)
        return float(theirs.compute_f1(answer, text)) if both else 0.0

    exact = [max(theirs.compute_exact(a, text) for a in answers) for text, answers in drawn]
    f1 = [max(overlap(text, a) for a in answers) for text, answers in drawn]
    assert pytest.approx({"exact": np.mean(exact), "span-f1": np.mean(f1)}) == found


def test_answers_are_scored_as_counted_by_hand() -> None:
    split = asked(["The  Café!"], ["12 dogs", "dogs"], ["one two two"], ["nobody"])

    found = squad.score_answers(["a café", "12 cats", "two two three", ""], split)

    assert pytest.approx({"exact": 1 / 4, "span-f1": (1 + 1 / 2 + 2 / 3 + 0) / 4}) == found


def test_fewer_answers_than_questions_are_refused() -> None:
    with pytest.raises(BadInputError, match="1 answers to 2 questions"):
        squad.score_answers(["x"], asked(["x"], ["y"]))


def test_predictions_are_saved_by_their_questions_ids(tmp_path: Path) -> None:
    squad.save_predictions(tmp_path / "p.json", ["Café", ""], asked(["x"], ["y"]))

    assert {"q0": "Café", "q1": ""} == json.loads((tmp_path / "p.json").read_bytes())
    with pytest.raises(BadInputError, match="1 answers, 2 questions and 2 ids"):
        squad.save_predictions(tmp_path / "q.json", ["x"], asked(["x"], ["y"]))
    with pytest.raises(BadInputError, match=r"cannot be written: No such file"):
        squad.save_predictions(tmp_path / "no" / "q.json", ["x"], asked(["x"]))


def small_tokenizer() -> Tokenizer:
    vocabulary = {p: n for n, p in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *PIECES])}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    made.normalizer = BertNormalizer(lowercase=True)
    made.pre_tokenizer = BertPreTokenizer()
    made.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


TOKENIZER = small_tokenizer()
WORD_LISTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40)
SIZES = st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 9))


@st.composite
def questions(draw: st.DrawFn) -> Split:
    """One or two questions, each answered by whole words of its context."""
    texts, contexts, answers = [], [], []
    for _ in range(draw(st.integers(1, 2))):
        words = draw(WORD_LISTS)
        first = draw(st.integers(0, len(words) - 1))
        last = draw(st.integers(first, min(first + 4, len(words) - 1)))
        start = len(" ".join([*words[:first], ""]))
        texts.append(" ".join(draw(st.lists(st.sampled_from(WORDS), max_size=9))))
        contexts.append(" ".join(words))
        answers.append((Answer(" ".join(words[first : last + 1]), start),))
    return Split(tuple(texts), tuple(contexts), answers=tuple(answers))


def cut(split: Split, sizes: tuple[int, int, int]) -> tuple[spans.Windows, int, int, int]:
    stride, question, more = sizes
    tokens = question + stride + 4 + more
    made = spans.windows(TOKENIZER, split, tokens=tokens, stride=stride, question=question)
    return made, tokens, stride, question


@given(questions(), SIZES)
@settings(deadline=None)
def test_windows_are_the_stretches_that_slices_give(
    split: Split, sizes: tuple[int, int, int]
) -> None:
    made, tokens, stride, question = cut(split, sizes)

    expected = []
    for number, (text, context) in enumerate(zip(split.texts, split.pairs or (), strict=True)):
        asked = TOKENIZER.encode(text, add_special_tokens=False).ids[:question]
        whole = TOKENIZER.encode(context, add_special_tokens=False).ids
        room = tokens - 3 - len(asked)
        for first in range(0, len(whole), room - stride):
            part = whole[first : first + room]
            expected.append((number, [2, *asked, 3, *part, 3], [0] * (len(asked) + 2)))
            if first + room >= len(whole):
                break
    assert [e[:2] for e in expected] == list(zip(made.examples, map(list, made.ids), strict=True))
    for ids, types, offsets, (_, _, zeros) in zip(
        made.ids, made.types, made.offsets, expected, strict=True
    ):
        assert zeros + [1] * (len(ids) - len(zeros)) == types.tolist()
        context_only = [False] * len(zeros) + [True] * (len(ids) - len(zeros) - 1) + [False]
        assert context_only == (offsets[:, 0] >= 0).tolist()


@given(questions(), SIZES)
@settings(deadline=None)
def test_the_tokens_of_an_answer_decode_to_it(split: Split, sizes: tuple[int, int, int]) -> None:
    made, _, stride, _ = cut(split, sizes)

    there: set[int] = set()
    for w in np.flatnonzero(made.ends).tolist():
        hot = [np.zeros(len(ids), np.float32) for ids in made.ids]
        last = [logits.copy() for logits in hot]
        hot[w][made.starts[w]] = last[w][made.ends[w]] = 1
        n = int(made.examples[w])
        assert split.answers[n][0].text == spans.decode(made, hot, last, split, longest=99)[n]
        there.add(n)
    for n, (answer, *_) in enumerate(split.answers):
        if len(TOKENIZER.encode(answer.text, add_special_tokens=False)) <= stride + 1:
            assert n in there


def brute_force(
    made: spans.Windows, starts: Any, ends: Any, split: Split, limits: tuple[int, int]
) -> list[str]:
    n_best, longest = limits
    best: list[tuple[float, str]] = [(-np.inf, "")] * len(split)
    for w, n in enumerate(made.examples):
        inside = [t for t in range(len(made.ids[w])) if made.offsets[w][t][0] >= 0]
        firsts = sorted(inside, key=lambda t: -starts[w][t])[:n_best]
        lasts = sorted(inside, key=lambda t: -ends[w][t])[:n_best]
        for i in firsts:
            for j in lasts:
                if i <= j < i + longest and starts[w][i] + ends[w][j] > best[n][0]:
                    span = slice(made.offsets[w][i][0], made.offsets[w][j][1])
                    best[n] = (starts[w][i] + ends[w][j], (split.pairs or ())[n][span])
    return [text for _, text in best]


@given(questions(), SIZES, st.integers(0, 9), st.integers(1, 9), st.integers(0, 2**32))
@settings(deadline=None)
def test_the_likeliest_answer_is_that_of_all_pairs(
    split: Split, sizes: tuple[int, int, int], n_best: int, longest: int, seed: int
) -> None:
    made = cut(split, sizes)[0]
    g = np.random.default_rng(seed)
    starts, ends = ([g.normal(size=len(i) + 3) for i in made.ids] for _ in range(2))
    first, last = ([x.astype(np.float32) for x in one] for one in (starts, ends))

    found = spans.decode(made, first, last, split, n_best=n_best, longest=longest)

    assert brute_force(made, starts, ends, split, (n_best, longest)) == found


def test_a_tokeniser_is_left_as_it_was() -> None:
    tokenizer = small_tokenizer()
    tokenizer.enable_padding(length=50)
    before = tokenizer.to_str()

    made = spans.windows(tokenizer, asked(["ctx"]), tokens=20, stride=2, question=4)

    assert before == tokenizer.to_str()
    assert len(made.ids[0]) < 20


def test_more_questions_than_a_batch_have_their_own_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = asked(*[["ctx"]] * 5)
    expected = spans.windows(TOKENIZER, split, tokens=20, stride=2, question=4)
    monkeypatch.setattr(spans, "BATCH", 2)

    found = spans.windows(TOKENIZER, split, tokens=20, stride=2, question=4)

    assert [0, 1, 2, 3, 4] == expected.examples.tolist() == found.examples.tolist()


def test_only_the_whole_answer_is_a_target() -> None:
    context = "paris is unbelievable the café"
    answer = Answer("unbelievable", context.index("un"))
    split = Split(("is",), (context,), answers=((answer,),))

    made = spans.windows(TOKENIZER, split, tokens=7, stride=1, question=1)

    # [CLS] is [SEP] paris is un [SEP] | un ##believ ##able | ##able the cafe
    assert [0, 3, 0] == made.starts.tolist()
    assert [0, 5, 0] == made.ends.tolist()


@pytest.mark.parametrize(
    ("context", "answer", "start", "expected"),
    [
        ("東京", "京", 1, (4, 4)),  # not the token that ends where it starts
        ("東京", "東", 0, (3, 3)),
        ("a \u200b b", "\u200b", 2, (0, 0)),  # no token at all
        ("\u200bparis", "\u200bparis", 0, (3, 3)),
    ],
)
def test_an_answer_has_its_own_tokens_and_no_others(
    context: str, answer: str, start: int, expected: tuple[int, int]
) -> None:
    split = Split(("is",), (context,), answers=((Answer(answer, start),),))

    made = spans.windows(TOKENIZER, split, tokens=9, stride=1, question=1)

    assert expected == (made.starts[0], made.ends[0])


@pytest.mark.parametrize("context", ["", " \u200b ", "東"])
def test_a_context_of_nearly_nothing_is_a_window(context: str) -> None:
    split = Split(("is",), (context,), answers=((Answer("x", 0),),))

    made = spans.windows(TOKENIZER, split, tokens=9, stride=1, question=1)

    nothing = [np.zeros(len(made.ids[0]), np.float32)]
    assert 1 == len(made)
    assert [context.strip(" \u200b")] == spans.decode(made, nothing, nothing, split)


def test_what_stands_beyond_a_window_is_not_looked_at() -> None:
    split = asked(["ctx"])
    made = spans.windows(TOKENIZER, split, tokens=20, stride=2, question=4)
    padded = np.full(30, np.nan, np.float32)
    padded[: len(made.ids[0])] = 0

    assert ["c"] == [answer[:1] for answer in spans.decode(made, [padded], [padded], split)]


def test_what_cannot_be_cut_or_decoded_is_refused() -> None:
    split = asked(["ctx"])
    made = spans.windows(TOKENIZER, split, tokens=20, stride=2, question=4)
    good = [np.zeros(len(made.ids[0]), np.float32)]

    with pytest.raises(BadInputError, match=r"windows of 9 tokens are too short: .* need 10"):
        spans.windows(TOKENIZER, split, tokens=9, stride=2, question=4)
    with pytest.raises(BadInputError, match="too short"):
        spans.windows(TOKENIZER, split, tokens=20, stride=-1, question=4)
    with pytest.raises(BadInputError, match="texts without contexts"):
        spans.windows(TOKENIZER, Split(("who?",)))
    with pytest.raises(BadInputError, match="logits of 2 and 1 for 1 windows"):
        spans.decode(made, good * 2, good, split)
    with pytest.raises(BadInputError, match="has logits of shape"):
        spans.decode(made, [good[0][:-1]], good, split)
    with pytest.raises(BadInputError, match="not finite"):
        spans.decode(made, good, [good[0] + np.float32(np.nan)], split)

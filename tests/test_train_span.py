"""Answers in texts are learned: by a network, from a teacher, and by a supernet."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nas.commands.training import with_tokens
from nas.data.squad import score_answers
from nas.data.task import DEV, TRAIN, Answer, Split, Task
from nas.folder import Saved, read, write
from nas.network import Network
from nas.score.scorer import Options as ScoreOptions
from nas.score.scorer import Scorer
from nas.space import SearchSpace
from nas.spaces.layers import PerHead
from nas.train.family import Family, Options
from nas.train.further import further
from nas.train.loop import Loop
from nas.train.moment import Moment
from nas.train.recipe import Recipe
from nas.train.sandwich import sandwich
from nas.train.task import Answers, Labelled, lesson, loss_of, outputs_of, tensors
from nas.train.world import World
from tests.made_supernet import LARGEST, WORDS, made_folder
from tests.made_supernet import made_task as classes_task
from tests.made_text import Silent

ALONE = World(0, 1, torch.device("cpu"), "fp32")
COLOURS = ("red", "green", "blue")
RECIPE = Recipe(epochs=4, rate=1e-2, dropout=0.0, tokens=16, batch=16)
SPACE = SearchSpace(
    name="made", depth=(1, 3), hidden=(16, 24), heads=(2, 4), qkv=PerHead(6), ffn=(20, 40)
)


def made_task() -> Task:
    """Which word of a text is a colour?"""
    return Task(
        "colours",
        "span",
        (),
        ("span-f1", "exact"),
        {TRAIN: split(0, 96), DEV: split(1, 40)},
        "made",
    )


def split(seed: int, count: int) -> Split:
    rng = np.random.default_rng(seed)
    others = [word for word in WORDS if word not in COLOURS]
    contexts, answers = [], []
    for _ in range(count):
        words = list(rng.choice(others, int(rng.integers(3, 16))))
        place, colour = int(rng.integers(0, len(words))), str(rng.choice(COLOURS))
        words[place] = colour
        contexts.append(" ".join(words))
        answers.append((Answer(colour, len(" ".join([*words[:place], ""]))),))
    return Split(("what",) * count, tuple(contexts), answers=tuple(answers))


def fresh(place: Path) -> Saved:
    """Weights as they are before any training."""
    torch.manual_seed(0)
    made_folder(place, "span", rule=None)
    write(Network(LARGEST), place, tokenizer=place)
    return read(place)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has learned it."""
    place = tmp_path_factory.mktemp("span")
    objective = further(fresh(place / "model"), made_task(), RECIPE, ALONE)
    (place / "run").mkdir()
    Loop(objective, RECIPE, place / "run", ALONE, Silent()).run()
    return place / "run"


def test_a_network_learns_where_answers_are(taught: Path) -> None:
    saved = read(taught)
    assert saved.head is not None
    assert "span" == saved.head.work

    (found,) = Scorer(saved, made_task(), options=ScoreOptions(most_tokens=16)).score(
        [saved.architecture]
    )

    assert found.metrics["span-f1"] > 0.9
    answers = [str(x) for x in found.predictions]
    assert score_answers(answers, made_task().splits[DEV])["span-f1"] == found.metrics["span-f1"]


def test_the_loss_is_that_of_starts_and_ends() -> None:
    outputs = torch.tensor([[[0.0, 1.0], [2.0, -1.0], [0.5, 0.0]]])
    start, end = outputs[0, :, 0].log_softmax(0)[1], outputs[0, :, 1].log_softmax(0)[2]

    assert loss_of(outputs, torch.tensor([[1, 2]])).item() == pytest.approx(
        -float(start + end) / 2
    )


def test_a_window_without_the_answer_says_its_first_token(taught: Path) -> None:
    found = lesson(made_task(), taught, 16).train
    data, windows = found.encoded, found.windows  # type: ignore[attr-defined]

    without = windows.starts == 0
    assert len(data) > len(made_task().splits[TRAIN])
    assert 0 < without.sum() < len(data)
    assert (data.targets[without] == 0).all()
    for i in np.flatnonzero(~without):
        start, end = data.targets[i]
        ids = data.ids[data.starts[i] : data.starts[i + 1]]
        assert start == end
        assert ids[start] in {len(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")) + j
                              for j, word in enumerate(WORDS) if word in COLOURS}  # fmt: skip


def test_a_teachers_answers_are_those_of_each_window_whatever_is_beside_it(taught: Path) -> None:
    network = read(taught).network().eval()
    data = lesson(made_task(), taught, 16).train.encoded
    answers = Answers(network, data)
    longest, shortest = int(data.lengths.argmax()), int(data.lengths.argmin())
    inputs, _ = tensors(data, np.array([longest, shortest]), torch.device("cpu"))

    found = answers.at(np.array([longest, shortest]), network(*inputs))

    one = outputs_of(network, data)[shortest]
    length = data.lengths[shortest]
    torch.testing.assert_close(found[1, :length].numpy(), one[:length], rtol=1e-4, atol=1e-4)
    assert (found[1, length:] < -1e8).all()
    assert (found[0] > -1e8).all()


def test_a_student_learns_from_the_teachers_answers_alone(taught: Path, tmp_path: Path) -> None:
    objective = further(
        fresh(tmp_path / "student"), made_task(), RECIPE, ALONE, teacher=read(taught), trust=1.0
    )
    before = objective.learn(np.arange(16), Moment(0, 0, 0, 0), 1.0)["loss"]
    (tmp_path / "run").mkdir()

    Loop(objective, RECIPE, tmp_path / "run", ALONE, Silent()).run()

    assert objective.learn(np.arange(16), Moment(0, 0, 0, 0), 1.0)["loss"] < 0.5 * before
    assert isinstance(objective, Labelled)


def test_a_supernet_learns_it_and_is_scored_as_it_is_judged(taught: Path, tmp_path: Path) -> None:
    recipe = Recipe(epochs=3, rate=1e-3, dropout=0.0, tokens=16, batch=16)
    options = Options(SPACE, depth="spread", sampling="sandwich", largest_every=2)
    objective = sandwich(made_task(), taught, options, recipe, ALONE)
    before = objective.learn(np.arange(16), Moment(0, 0, 0, 0), 1.0)["all"]
    (tmp_path / "run").mkdir()
    Loop(objective, recipe, tmp_path / "run", ALONE, Silent()).run()

    assert objective.learn(np.arange(16), Moment(0, 0, 0, 0), 1.0)["all"] < 0.9 * before
    saved = read(tmp_path / "run")
    small = objective.family.watched["smallest"]
    (scored,) = Scorer(saved, made_task(), options=ScoreOptions(most_tokens=16)).score([small])

    kept = Family(saved.network(), options, rule=saved.rule).at(small)
    assert objective.lesson.score(kept) == pytest.approx(scored.metrics)


def test_windows_are_as_long_as_usual_unless_somebody_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[bool, int]] = []
    for given in (True, False):
        monkeypatch.setattr("nas.commands.training.is_given", lambda *_, given=given: given)
        made.append((given, with_tokens(RECIPE, made_task(), None).tokens))  # type: ignore[arg-type]

    assert [(True, 16), (False, 384)] == made
    assert RECIPE == with_tokens(RECIPE, classes_task(), None)  # type: ignore[arg-type]

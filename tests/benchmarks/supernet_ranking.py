"""Does inherited accuracy rank sub-models as fine-tuning each of them alone does?

    python -m tests.benchmarks.supernet_ranking --task trec6 --teacher T --supernet S --output DIR

Random sub-models of the supernet's space are scored by inherited weights, and each is trained
alone, from the same beginning as the supernet: the teacher, its parts in order of importance, cut
to size. Both are judged on dev and test together. Killed, the same command goes on.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.stats import bootstrap, kendalltau

from nas.data import tasks
from nas.data.task import DEV, TEST, Split, Task
from nas.data.tokens import tokenizer_of
from nas.folder import read
from nas.network import Network
from nas.score.questions import questions_of
from nas.supernet import Supernet
from nas.train.family import Options
from nas.train.journal import Journal
from nas.train.loop import RESULT, Loop
from nas.train.recipe import Recipe
from nas.train.sandwich import Sandwich, Teaching, sandwich
from nas.train.task import Labelled, outputs_of
from nas.train.world import world
from results.architecture import Architecture


def both(task: Task) -> Split:
    dev, test = task.splits[DEV], task.splits[TEST]
    pairs = None if dev.pairs is None else (*dev.pairs, *test.pairs)
    return Split((*dev.texts, *test.texts), pairs, (*dev.labels, *test.labels))


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--task", "--teacher", "--supernet", "--output"):
        parser.add_argument(name, required=True)
    parser.add_argument("--subs", type=int, default=20)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def trained_alone(begun: Sandwich, sub: Architecture, recipe: Recipe, folder: Path) -> Network:
    """A sub-model cut from an untrained supernet, trained by the labels."""
    if not (folder / RESULT).exists():
        folder.mkdir(parents=True, exist_ok=True)
        weights = {n: v.copy() for n, v in begun.family.at(sub).weights().items()}
        objective = Labelled(Network(sub, begun.network.head_kind, weights), begun.lesson)
        with world(recipe.precision) as here:
            Loop(objective, recipe, folder, here, Journal(folder, say=lambda _: None)).run()
    return read(folder).network()


def judge(inherited: list[float], alone: list[float]) -> str:
    drawn = bootstrap(
        (inherited, alone), lambda x, y: kendalltau(x, y).statistic,
        paired=True, vectorized=False, n_resamples=2000, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    tau = kendalltau(inherited, alone).statistic
    means = f"inherited {np.mean(inherited):.4f}, alone {np.mean(alone):.4f}"
    return f"tau {tau:.3f} (95 % interval {drawn.low:.2f} to {drawn.high:.2f}), {means}"


def main() -> None:
    given = asked()
    torch.set_num_threads(1)
    task = tasks.load(given.task, say=print)
    saved = read(Path(given.supernet))
    space, supernet = saved.space, Supernet(saved.network(), saved.rule)
    judged = questions_of(task, both(task), tokenizer_of(Path(given.teacher)), 128)
    recipe = Recipe(epochs=given.epochs, rate=given.rate, dropout=0.0, seed=given.seed)
    options = Options(space, depth=saved.rule.depth, sampling="sandwich")
    with world(recipe.precision) as here:
        begun = sandwich(
            task, Path(given.teacher), options, recipe, here, teaching=Teaching(hints=0.0)
        )

    def score(network: Network) -> float:
        return judged.judge(outputs_of(network, judged.encoded)).metrics[task.metrics[0]]

    inherited, alone = [], []
    subs = space.sample_unique(np.random.default_rng(given.seed), given.subs)
    for i, sub in enumerate(subs):
        inherited.append(score(supernet.at(sub)))
        own = trained_alone(begun, sub, recipe, Path(given.output) / f"{i:02d}")
        alone.append(score(own))
        print(f"{sub}\tinherited {inherited[-1]:.4f}\talone {alone[-1]:.4f}", flush=True)
    print(judge(inherited, alone), f"largest {score(supernet.network):.4f}")


if __name__ == "__main__":
    main()

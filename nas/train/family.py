"""Whom a step trains: one network, or sub-models of it. Knows no data and no loss.

`sandwich`: the largest, the smallest and some random sub-models (Yu and Huang, ICCV 2019); `one`:
a random one, as AutoTinyBERT (Yin et al., ACL 2021); `none`: the network as it is.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.elastic import Rule
from nas.folder import write
from nas.importance import by_magnitude, reorder
from nas.network import Network
from nas.space import SearchSpace
from nas.supernet import Supernet
from nas.train.moment import Moment, generator
from results.architecture import Architecture
from results.errors import BadInputError

CANDIDATES = 4
"""Random architectures among which the one nearest to the wanted size is taken: a compromise
between as many small ones as large ones (64 cost the large ones a point of trec6) and the space,
in which most are middling.
"""

WATCHED = 4
"""Random sub-models that are evaluated beside the largest and the smallest."""

_KNOWN = {"slicing": ("importance", "per-head", "prefix"), "sampling": ("sandwich", "one", "none")}


@dataclass(frozen=True, slots=True)
class Options:
    """What kind of supernet it becomes, or none."""

    space: SearchSpace | None = None
    """Whose members are trained; None where the network is trained alone."""
    slicing: str = "importance"
    """`importance` (what is kept are the most important parts), `per-head` or `prefix`."""
    depth: str = "first"
    """`first` or `spread`."""
    sampling: str = "none"
    """`sandwich`, `one` or `none`."""
    randoms: int = 2
    """Random sub-models beside the largest and the smallest."""
    largest_every: int = 1
    """Steps from one in which the largest is trained to the next. It costs as much as all others
    together; where it begins as the teacher, it needs no more than to be kept there."""

    def __post_init__(self) -> None:
        for name, values in _KNOWN.items():
            if getattr(self, name) not in values:
                message = f"{name} must be one of {', '.join(values)}, not {getattr(self, name)!r}"
                raise BadInputError(message)
        if self.sampling != "none" and self.space is None:
            message = f"--sampling {self.sampling} trains sub-models of a space: name a --space"
            raise BadInputError(message)

    @property
    def rule(self) -> Rule:
        """How sub-models are cut."""
        heads = "prefix" if self.slicing == "prefix" else "per-head"
        return Rule(heads, self.depth)  # type: ignore[arg-type]  # checked there

    def space_in(self, network: Architecture) -> SearchSpace:
        """The space, with a network's tables: its words, positions and types.

        Raises:
            BadInputError: there is none.
        """
        if self.space is None:
            raise BadInputError("sub-models are those of a space: name a --space")
        return replace(
            self.space, vocab=network.vocab, positions=network.positions, types=network.types
        )

    def as_dict(self) -> dict[str, Any]:
        """By name, to be written down."""
        names = ("slicing", "depth", "sampling", "randoms", "largest_every")
        space = None if self.space is None else self.space.fields
        return {"space": space} | {name: getattr(self, name) for name in names}


class Family:
    """A network alone, or a supernet and its sub-models."""

    def __init__(
        self, network: Network, options: Options, *, rule: Rule | None = None, seed: int = 0
    ) -> None:
        """Make a supernet of a network, if one is asked for.

        Args:
            network: with its head, where it shall be trained.
            options: how sub-models are cut and drawn.
            rule: how they are cut, where that is settled: of a supernet that is trained on.
            seed: of the sub-models that are evaluated.

        Raises:
            BadInputError: the space has sub-models that are not in the network.
        """
        self.network, self.options, self.rule = network, options, rule
        self._supernet: Supernet | None = None
        self.watched = {"": network.architecture}
        """By name, whom an evaluation looks at."""
        if options.sampling == "none":
            return
        self.rule = rule or options.rule
        self._supernet = Supernet(network, self.rule)
        space = self.space = options.space_in(network.architecture)
        rng = generator(seed, "watched")
        self.watched = {"largest": space.largest, "smallest": space.smallest}
        self.watched |= {f"random {i + 1}": balanced(space, rng) for i in range(WATCHED)}
        for sub in self.watched.values():
            self._supernet.at(sub)  # says now what does not fit

    def at(self, sub: Architecture) -> Network:
        """The sub-model of these sizes, in training if the network is."""
        return self.network if self._supernet is None else self._supernet.at(sub)

    def sizes(self) -> Iterator[Architecture]:
        """A sub-model for every depth and number of heads that may be drawn."""
        if self._supernet is None:
            yield self.network.architecture
            return
        for depth in self.space.depth:
            for heads in self.space.heads:
                with suppress(ValueError):  # no width can be divided by so many
                    yield replace(self.space, depth=(depth,), heads=(heads,)).smallest

    def layers(self, sub: Architecture) -> tuple[int, ...]:
        """Which layers of the whole network are a sub-model's, counted from 0."""
        whole = self.network.architecture.depth
        return tuple(range(whole)) if self.rule is None else self.rule.layers(sub.depth, whole)

    def drawn(self, moment: Moment) -> dict[str, Architecture]:
        """By name of its loss, whom this step trains; the largest, if it is there, comes first."""
        if self._supernet is None:
            return {"loss": self.network.architecture}
        rng, space = moment.of_step("sub-models"), self.space
        if self.options.sampling == "one":
            return {"loss": space.sample(rng)}
        randoms = {f"random {i + 1}": balanced(space, rng) for i in range(self.options.randoms)}
        due = moment.step % self.options.largest_every == 0
        largest = {"largest": space.largest} if due else {}
        return {**largest, "smallest": space.smallest, **randoms}

    def require_largest(self) -> None:
        """Raises BadInputError: the largest shall teach, and is not there in some steps."""
        if self.options.sampling == "sandwich" and self.options.largest_every > 1:
            message = (
                "where the largest teaches it is trained in every step: add --largest-every 1"
            )
            raise BadInputError(message)

    def keep(self, folder: Path, tokenizer: Path, labels: tuple[str, ...] = ()) -> None:
        """Write the network as it is now."""
        space = None if self._supernet is None else self.space
        write(
            self.network, folder, tokenizer=tokenizer, labels=labels, rule=self.rule, space=space
        )


def told(losses: dict[str, float]) -> dict[str, float]:
    """What is said of a step: the random ones differ from step to step, so only the mean."""
    if "loss" in losses:
        return losses
    mean = sum(losses.values()) / len(losses)
    return {n: x for n, x in losses.items() if not n.startswith("random")} | {"all": mean}


def balanced(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """A random architecture, of a size that is even by the logarithm of its work."""
    low, high = (np.log(a.macs(128)) for a in (space.smallest, space.largest))
    wanted = rng.uniform(low, high)
    found = [space.sample(rng) for _ in range(CANDIDATES)]
    return min(found, key=lambda a: abs(np.log(a.macs(128)) - wanted))


def by_importance(network: Network, options: Options) -> None:
    """Put the heaviest parts first, where sub-models shall keep them; in place.

    By the weights alone: before it is pretrained a network has no loss to judge them by.
    """
    if options.sampling != "none" and options.slicing == "importance":
        reorder(network, by_magnitude(network))

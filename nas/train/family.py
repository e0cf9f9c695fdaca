"""Whom a step of pretraining trains: one network, or sub-models of it. Knows no data and no loss.

`sandwich`: the largest, the smallest and some random sub-models (Yu and Huang, ICCV 2019); `one`:
a random one, as AutoTinyBERT (Yin et al., ACL 2021); `none`: the network as it is.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nas.elastic import Rule
from nas.folder import write
from nas.importance import by_magnitude, reorder
from nas.network import Network
from nas.space import SearchSpace, load_space
from nas.supernet import Supernet
from nas.train.moment import Moment, generator
from nas.train.sandwich import WATCHED, balanced
from results.architecture import Architecture
from results.errors import BadInputError

_KNOWN = {"slicing": ("importance", "per-head", "prefix"), "sampling": ("sandwich", "one", "none")}


@dataclass(frozen=True, slots=True)
class Options:
    """What kind of supernet it becomes, or none."""

    space: str = ""
    """Built-in search space, or a YAML file; empty where there is none."""
    slicing: str = "importance"
    """`importance` (by the norms of the weights), `per-head` or `prefix`."""
    depth: str = "first"
    """`first` or `spread`."""
    sampling: str = "none"
    """`sandwich`, `one` or `none`."""
    randoms: int = 2
    """Random sub-models beside the largest and the smallest."""

    def __post_init__(self) -> None:
        for name, values in _KNOWN.items():
            if getattr(self, name) not in values:
                message = f"{name} must be one of {', '.join(values)}, not {getattr(self, name)!r}"
                raise BadInputError(message)
        if self.sampling != "none" and not self.space:
            message = f"--sampling {self.sampling} trains sub-models of a space: name a --space"
            raise BadInputError(message)

    @property
    def rule(self) -> Rule:
        """How sub-models are cut."""
        heads = "prefix" if self.slicing == "prefix" else "per-head"
        return Rule(heads, self.depth)  # type: ignore[arg-type]  # checked there

    def space_of(self, network: Architecture) -> SearchSpace:
        """The space, with a network's tables: its words, positions and types."""
        return replace(
            load_space(self.space),
            vocab=network.vocab,
            positions=network.positions,
            types=network.types,
        )

    def as_dict(self) -> dict[str, Any]:
        """By name, to be written down; with what the space holds, as a file may change."""
        grid = load_space(self.space).grid if self.space else {}
        return asdict(self) | {"grid": grid}


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
        space = self.space = options.space_of(network.architecture)
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

    def drawn(self, moment: Moment) -> dict[str, Architecture]:
        """By name of its loss, whom this step trains; the largest comes first in a sandwich."""
        if self._supernet is None:
            return {"loss": self.network.architecture}
        rng, space = moment.of_step("sub-models"), self.space
        if self.options.sampling == "one":
            return {"loss": space.sample(rng)}
        randoms = {f"random {i + 1}": balanced(space, rng) for i in range(self.options.randoms)}
        return {"largest": space.largest, "smallest": space.smallest, **randoms}

    def keep(self, folder: Path, tokenizer: Path) -> None:
        """Write the network as it is now."""
        write(self.network, folder, tokenizer=tokenizer, rule=self.rule, space=self.options.space)


def told(losses: dict[str, float]) -> dict[str, float]:
    """What is said of a step: the random ones differ from step to step, so only the mean."""
    if "loss" in losses:
        return losses
    mean = sum(losses.values()) / len(losses)
    return {"largest": losses["largest"], "smallest": losses["smallest"], "all": mean}


def by_importance(network: Network, options: Options) -> None:
    """Put the heaviest parts first, where sub-models shall keep them; in place.

    By the weights alone: before it is pretrained a network has no loss to judge them by.
    """
    if options.sampling != "none" and options.slicing == "importance":
        reorder(network, by_magnitude(network))

"""Where a pretraining begins: weights of a folder, or fresh ones. Knows no text and no loss."""

from dataclasses import dataclass
from pathlib import Path

import torch

from nas.data.vocabulary import WordPieces
from nas.elastic import Rule
from nas.folder import Saved
from nas.network import Head, Network
from nas.train.family import Family, Options, by_importance
from nas.train.recipe import Recipe
from nas.train.world import World
from results.architecture import Architecture
from results.errors import BadInputError


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Who learns, before its network is built."""

    architecture: Architecture
    tokenizer: Path
    """Folder with the tokeniser's files."""
    saved: Saved | None = None
    """Its weights; random where None."""

    @property
    def name(self) -> str:
        """For a message."""
        return str(self.architecture if self.saved is None else self.saved.folder)

    @property
    def rule(self) -> Rule | None:
        """How its sub-models are cut, where it is a supernet already."""
        return None if self.saved is None else self.saved.rule

    def family(self, head: Head, options: Options, recipe: Recipe, world: World) -> Family:
        """The network with a head, new where the folder has no such one; a supernet if asked for.

        Args:
            head: for what is learned.
            options: whether and how sub-models are cut from it.
            recipe: its dropout, and the seed of what is new.
            world: where it will be trained.

        Raises:
            BadInputError: the weights are not whole, or smaller than the search space.
        """
        torch.manual_seed(recipe.seed)
        if self.saved is None:
            network = Network(self.architecture, head, dropout=recipe.dropout)
        else:
            network = self.saved.network(head, dropout=recipe.dropout)
            if self.rule is None:
                by_importance(network, options)
        return Family(network.to(world.device), options, rule=self.rule, seed=recipe.seed)


def require_one_vocabulary(teacher: Path, student: Path) -> None:
    """Raises BadInputError: a teacher's token ids are other words to its student."""
    if teacher == student:
        return
    theirs, mine = (WordPieces(folder).vocabulary.digest for folder in (teacher, student))
    if theirs != mine:
        message = (
            f"the teacher {teacher} and the student {student} have different vocabularies: choose "
            "a teacher with the student's tokenizer, or a student with fresh weights"
        )
        raise BadInputError(message)

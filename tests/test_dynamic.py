"""PyTorch's int8: the linear layers of a copy, and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.nn.quantized.dynamic import Linear as IntegerLinear

from nas.encoder import Encoder
from quant import dynamic
from quant.dynamic import engine, maker, quantise_dynamic
from results.errors import BadInputError
from tests.written_bert import ARCHITECTURES, batch, bert, int8_linear, lively, plain_linear

A = ARCHITECTURES["no two layers alike"]


def linears(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if isinstance(m, nn.Linear | IntegerLinear)]


def test_every_linear_layer_of_the_copy_is_int8_and_none_of_the_original() -> None:
    encoder = Encoder(A)

    made = quantise_dynamic(encoder)

    assert 6 * A.depth + 1 == len(linears(encoder)) == len(linears(made))
    assert all(isinstance(m, IntegerLinear) for m in linears(made))
    assert not any(isinstance(m, IntegerLinear) for m in linears(encoder))


def test_the_original_keeps_its_mode_and_the_copy_is_ready_to_be_timed() -> None:
    encoder = Encoder(A).train()

    made = quantise_dynamic(encoder)

    assert encoder.training
    assert not any(part.training for part in made.modules())


def test_weights_have_a_scale_for_each_output_channel() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.data = torch.tensor([[1.0, -0.5, 0.25], [100.0, 50.0, -25.0]])

    made = quantise_dynamic(nn.Sequential(layer))[0].weight()

    assert torch.per_channel_affine == made.qscheme()
    assert [0, 0] == made.q_per_channel_zero_points().tolist()
    np.testing.assert_allclose(made.dequantize(), layer.weight.detach(), rtol=0.02)


@pytest.mark.filterwarnings("default")
@torch.no_grad()
def test_the_copy_computes_what_the_scheme_says() -> None:
    weights, feed = lively(A), batch(A)

    made = quantise_dynamic(Encoder(A, weights, pooler=False))
    hidden = made(**{name: torch.from_numpy(x) for name, x in feed.items()}).numpy()

    there = feed["attention_mask"].astype(bool)
    exact = bert(A, weights, feed, plain_linear)[there]
    off = np.abs(hidden[there] - exact).mean()
    scheme = np.abs(bert(A, weights, feed, int8_linear)[there] - exact).mean()
    assert 0 < off < 4 * scheme  # seven bits instead of eight make it twice as far off


def test_the_engine_set_by_others_is_left_as_it_was() -> None:
    before = torch.backends.quantized.engine

    quantise_dynamic(nn.Linear(2, 2), "qnnpack")

    assert before == torch.backends.quantized.engine
    assert engine() in torch.backends.quantized.supported_engines


def test_kernels_that_torch_was_built_without_are_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BadInputError, match="built without the int8 kernels nonesuch: use ONNX"):
        quantise_dynamic(nn.Linear(2, 2), "nonesuch")

    monkeypatch.setattr(dynamic, "_ENGINES", {"x86": ("a", "b"), "other": ("a", "b")})
    with pytest.raises(BadInputError, match="built without the int8 kernels a or b: use ONNX"):
        quantise_dynamic(nn.Linear(2, 2))


def test_an_operator_that_torch_lacks_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise NotImplementedError("Could not run 'quantized::linear_prepack'\nlong tale")

    monkeypatch.setattr("torch.ao.quantization.quantize_dynamic", fails)

    with pytest.raises(BadInputError, match=r"cannot quantise .*linear_prepack'\): use ONNX") as e:
        quantise_dynamic(nn.Linear(2, 2))
    assert "\n" not in str(e.value)


def test_layers_that_are_kept_stay_float() -> None:
    encoder = Encoder(A)

    made = quantise_dynamic(encoder, keep={"blocks.0.ffn.up", "pooler"})

    kept = {n for n, m in made.named_modules() if type(m) is nn.Linear}
    assert {"blocks.0.ffn.up", "pooler"} == kept


def test_torchao_takes_over_when_torch_has_no_quantiser_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dynamic, "find_spec", lambda name: name == "torchao" or None)
    assert "torchao" == maker()

    monkeypatch.setattr(dynamic, "find_spec", lambda _: None)
    with pytest.raises(BadInputError, match=r"no torch\.ao\.quantization any more: pip install"):
        maker()


def test_a_quantiser_that_is_half_gone_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("torch.ao.quantization.per_channel_dynamic_qconfig")

    with pytest.raises(BadInputError, match=r"cannot quantise linear layers with torch\.ao \("):
        quantise_dynamic(nn.Linear(2, 2))


@torch.no_grad()
def test_torchao_rounds_weights_by_channel_and_activations_by_token(
    capfd: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torchao", reason="needs the extra torchao")
    torch.manual_seed(0)
    layer, x = nn.Linear(64, 32), torch.randn(5, 64) * torch.tensor([1, 10, 100, 0.1, 1])[:, None]

    made = quantise_dynamic(nn.Sequential(layer), by="torchao")

    def rounded(v: torch.Tensor) -> torch.Tensor:  # each row to 255 steps around 0
        step = v.abs().amax(dim=1, keepdim=True) / 127.5
        return (v / step).round().clamp(-128, 127) * step

    expected = rounded(x) @ rounded(layer.weight).T + layer.bias
    np.testing.assert_allclose(expected, made(x), rtol=1e-2, atol=1e-2)
    assert type(made[0].weight) is not nn.Parameter
    assert ("", "") == capfd.readouterr()  # without a word

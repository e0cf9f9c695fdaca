"""What matrix products are computed in, and that nothing of it is left behind."""

from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional as F

from nas.train.world import World, number_of, world
from results.errors import BadInputError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def precision_of_products() -> str:
    found: str = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("number", ["fp32", "bf16"])
def test_products_are_as_before_when_it_is_over_or_fails(number) -> None:
    before = precision_of_products()
    flash = torch.backends.cuda.flash_sdp_enabled()

    def fails() -> None:
        with World(0, 1, CPU, number).products():
            assert (number if number == "bf16" else before) == precision_of_products()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()

    assert before == precision_of_products()
    assert flash == torch.backends.cuda.flash_sdp_enabled()


def test_attention_in_bf16_is_a_product_of_all_heads_and_says_the_same() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 7, 8, requires_grad=True) for _ in range(3))
    mask = torch.zeros(2, 1, 1, 7)
    mask[1, ..., 4:] = -1e9

    plain = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with World(0, 1, CPU, "bf16").products():
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    assert "Flash" in type(plain.grad_fn).__name__
    assert "Flash" not in type(found.grad_fn).__name__
    torch.testing.assert_close(plain, found, rtol=0.02, atol=0.02)


def test_who_is_alone_leads_and_sums_nothing() -> None:
    with world("fp32") as here:
        assert here.leads
        assert (0, 1, "fp32") == (here.rank, here.size, here.number)
        assert [1.5, 2.0] == here.totals([1.5, 2.0])
        assert 3.0 == here.from_leader(3.0)


def test_a_precision_that_a_cpu_has_not_is_refused() -> None:
    assert "bf16" == number_of("bf16", CPU)
    with pytest.raises(BadInputError, match="choose --precision bf16, fp32 or auto"):
        number_of("fp16", CPU)


@pytest.mark.parametrize(("fast", "wanted"), [(True, "bf16"), (False, "fp32")])
def test_on_a_cpu_auto_is_bf16_where_it_multiplies_that(monkeypatch, fast, wanted) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: fast)

    assert wanted == number_of("auto", CPU)
    assert "fp32" == number_of("fp32", CPU)


@pytest.mark.parametrize(("fast", "wanted"), [(True, "bf16"), (False, "fp16")])
def test_on_a_gpu_auto_is_bf16_where_it_can_be_and_fp16_elsewhere(
    monkeypatch, fast, wanted
) -> None:
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: fast)

    assert wanted == number_of("auto", GPU)
    assert "fp16" == number_of("fp16", GPU)


def test_on_a_gpu_torch_chooses_the_products_of_that_number(monkeypatch) -> None:
    monkeypatch.setattr("torch.autocast", lambda kind, number: nullcontext((kind, number)))

    for number, wanted in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        with World(0, 1, GPU, number).products() as found:
            assert ("cuda", wanted) == found
    with World(0, 1, GPU, "fp32").products() as found:
        assert found is None


def test_the_leader_says_why_and_the_others_leave() -> None:
    with pytest.raises(BadInputError, match="for this"):
        World(0, 2, CPU, "fp32").refuse("for this")
    with pytest.raises(SystemExit) as left:
        World(1, 2, CPU, "fp32").refuse("for this")
    assert 2 == left.value.code

"""What a user gets today: the encoder exported by PyTorch and quantised by ONNX Runtime's tool."""

import logging
import warnings
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from quant.graph import INPUTS


def quantised_elsewhere(encoder: nn.Module, folder: Path, **options: object) -> Path:
    """An int8 ONNX file in `folder`; `options` are those of `quantize_dynamic`."""
    plain, small = folder / "plain.onnx", folder / "small.onnx"
    one = torch.ones(1, 4, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "tokens"} for name in INPUTS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its end
        torch.onnx.export(
            encoder.eval(),
            (one, one, one),
            plain,
            dynamo=False,
            opset_version=17,
            input_names=list(INPUTS),
            dynamic_axes=axes,
        )
    logging.disable(logging.WARNING)  # "please preprocess": it makes no difference here
    try:
        quantize_dynamic(plain, small, weight_type=QuantType.QInt8, **options)
    finally:
        logging.disable(logging.NOTSET)
    return small

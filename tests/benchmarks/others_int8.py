"""Encoders as others make them of a Hugging Face folder, in each precision. Times nothing."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
from torch import nn

from bench.subjects import OnnxFile
from profiler.runtimes.runtime import INPUTS, Inputs, load_runtime

Run = Callable[[], object]

EXAMPLES = 4
"""Of random ids to calibrate with: ranges do not move a latency."""


class Others:
    """One network, and what the tools of others make of it; each step is done once."""

    def __init__(self, folder: Path, scratch: Path, inputs: Inputs) -> None:
        self._folder = folder
        self._scratch = scratch
        self._feed = {name: getattr(inputs, name) for name in INPUTS}
        self._inputs = inputs
        self._batch = {name: torch.from_numpy(x) for name, x in self._feed.items()}

    def torch(self, change: Callable[[nn.Module], nn.Module]) -> Run:
        """`transformers.BertModel`, changed."""
        return self._forward(change(self._bert("sdpa")))

    def pt2e(self, *, dynamic: bool) -> Run:
        """What torchao makes for x86, exported and compiled."""
        import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer as x86
        from torch._inductor import config
        from torchao.quantization import pt2e
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        config.freezing = True
        batch = tuple(self._batch.values())
        quantiser = x86.X86InductorQuantizer()
        quantiser.set_global(x86.get_default_x86_inductor_quantization_config(is_dynamic=dynamic))
        with torch.no_grad():
            exported = torch.export.export(_Hidden(self._bert("sdpa")), batch).module()
            prepared = prepare_pt2e(exported, quantiser)
            prepared(*batch)
            converted = convert_pt2e(prepared)
            pt2e.move_exported_model_to_eval(converted)
            compiled = torch.compile(converted)

        def run() -> object:
            with torch.no_grad():
                return compiled(*batch)

        return run

    def onnxruntime(self, path: Path) -> Run:
        runtime = load_runtime("onnxruntime")
        return runtime.prepare(OnnxFile(path), self._inputs, 1, stable=True, cap="").run

    def openvino(self, model: Any, hint: str) -> Run:
        """A file, or a model of OpenVINO's; with fixed sizes, which are faster than free ones."""
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        read = core.read_model(str(model)) if isinstance(model, Path) else model
        shape = list(self._inputs.input_ids.shape)
        read.reshape({port.get_any_name(): shape for port in read.inputs})
        request = core.compile_model(read, "CPU", settings).create_infer_request()
        for name, values in self._feed.items():
            request.set_tensor(name, openvino.Tensor(values))

        def run() -> object:
            request.infer()
            return request.get_output_tensor(0).data

        return run

    @cached_property
    def exported(self) -> Path:
        """By PyTorch's exporter; with eager attention, which ONNX Runtime's optimiser knows."""
        path = self._scratch / "exported.onnx"
        one = torch.ones(1, 8, dtype=torch.int64)
        torch.onnx.export(
            _Hidden(self._bert("eager")),
            (one, one, one),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=list(INPUTS),
            output_names=["last_hidden_state"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in INPUTS},
        )
        return path

    @cached_property
    def fused(self) -> Path:
        """The export after `onnxruntime.transformers.optimizer`."""
        from onnxruntime.transformers import optimizer

        path, config = self._scratch / "fused.onnx", self._bert("eager").config
        made = optimizer.optimize_model(
            str(self.exported),
            model_type="bert",
            num_heads=config.num_attention_heads,
            hidden_size=config.hidden_size,
        )
        made.save_model_to_file(str(path))
        return path

    def dynamic(self, path: Path, **options: object) -> Path:
        from onnxruntime.quantization import quantize_dynamic

        made = self._new()
        quantize_dynamic(
            path, made, weight_type=QuantType.QInt8, extra_options=_floats(), **options
        )
        return made

    def static(self, path: Path, form: QuantFormat = QuantFormat.QDQ) -> Path:
        """Per channel, matrix products only, after `quant_pre_process`."""
        from onnxruntime.quantization import quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        ready, made = self._new(), self._new()
        quant_pre_process(path, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            made,
            _Reader(self._examples()),
            quant_format=form,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options=_floats(),
        )
        return made

    @cached_property
    def static_export(self) -> Path:
        return self.static(self.exported)

    def optimum(self, *, per_channel: bool) -> Path:
        from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTQuantizer
        from optimum.onnxruntime.configuration import AutoQuantizationConfig

        config = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=per_channel)
        folder = self._scratch / f"optimum-{per_channel}"
        model = ORTModelForFeatureExtraction.from_pretrained(self._folder, export=True)
        quantiser = ORTQuantizer.from_pretrained(model)
        quantiser.quantize(save_dir=folder, quantization_config=config)
        return next(folder.glob("*.onnx"))

    @cached_property
    def nncf_default(self) -> Any:
        return self._nncf()

    @cached_property
    def nncf_performance(self) -> Any:
        """Activations without a zero point, as weights."""
        import nncf

        return self._nncf(preset=nncf.QuantizationPreset.PERFORMANCE)

    @cached_property
    def nncf_weights(self) -> Any:
        import nncf

        return nncf.compress_weights(self._ir(), mode=nncf.CompressWeightsMode.INT8_SYM)

    def _nncf(self, **options: object) -> Any:
        import nncf

        return nncf.quantize(
            self._ir(),
            nncf.Dataset(list(self._examples())),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=EXAMPLES,
            **options,
        )

    def _ir(self) -> Any:
        import openvino

        return openvino.Core().read_model(str(self.exported))

    def _bert(self, attention: str) -> Any:
        from transformers import BertModel

        model = BertModel.from_pretrained(
            self._folder, attn_implementation=attention, add_pooling_layer=False
        )
        return model.eval()

    def _forward(self, model: nn.Module) -> Run:
        batch = self._batch

        def run() -> object:
            with torch.inference_mode():
                return model(**batch, return_dict=False)[0]

        return run

    def _examples(self) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(1)
        ids = self._feed["input_ids"]
        for _ in range(EXAMPLES):
            yield {**self._feed, "input_ids": rng.permuted(ids, axis=1)}

    def _new(self) -> Path:
        return self._scratch / f"{len(list(self._scratch.iterdir()))}.onnx"


class _Hidden(nn.Module):
    """The last hidden state by position: what the exporters take."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert
        self.eval()

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        found = self.bert(
            input_ids=ids, attention_mask=mask, token_type_ids=types, return_dict=False
        )
        return found[0]


class _Reader(CalibrationDataReader):
    def __init__(self, examples: Iterator[dict[str, Any]]) -> None:
        self._examples = examples

    def get_next(self) -> dict[str, Any] | None:
        return next(self._examples, None)


def _floats() -> dict[str, int]:
    """Fused operators have no inferred types; the quantiser wants to be told."""
    from onnx import TensorProto

    return {"DefaultTensorType": TensorProto.FLOAT}


def torch_ao(model: nn.Module) -> nn.Module:
    """Dynamic, one scale a tensor: what its documentation says."""
    from torch.ao.quantization import quantize_dynamic

    return quantize_dynamic(model, {nn.Linear}, torch.qint8)


def torchao_eager(model: nn.Module) -> nn.Module:
    """Dynamic, a scale for each token and output channel."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    return model

"""How a product with a weight matrix is written, for each arithmetic. Knows no encoder."""

from dataclasses import replace

import numpy as np

from quant.calibration import place
from quant.nodes import CONTRIB, Nodes, Small
from quant.press import PROBABILITIES, Pressed, Step
from quant.weights import Integers


class Linears:
    """Writes linear layers, and the stored tensors they and others read.

    int8-static is written as QuantizeLinear and DequantizeLinear around a Gemm whose bias is int32
    in the units of its accumulator. Of that ONNX Runtime makes one QGemm with a float output; of a
    MatMul and an Add it makes two passes, and is slower than with dynamic ranges. The q, k and v
    of a layer share one QuantizeLinear.
    """

    def __init__(self, nodes: Nodes, pressed: Pressed, taps: dict[str, str]) -> None:
        """`taps` is filled with the name of every activation by its place."""
        self._nodes = nodes
        self._pressed = pressed
        self._taps = taps
        self._made: dict[tuple[str, str], str] = {}
        self.folded = False
        """Are there stored integers that a runtime turns into floats when it loads the graph?"""

    def linear(self, x: str, layer: int, group: str, name: str) -> str:
        """(rows, in) -> (rows, out). The weight is stored transposed, as [in, out]."""
        where = place(layer, group)
        self._taps[where] = x
        kind = self._pressed.scheme.arithmetic(layer, group)
        if kind == "int8-static":
            return self._static(x, where, name)
        if kind == "int8-dynamic":
            per_token = self._pressed.scheme.activations == "token"
            return self._per_token(x, name) if per_token else self._dynamic(x, name)
        if kind == "int8-weight-only":
            weight = self._floats(f"{name}.weight", transposed=True)
            return self._nodes.add("Gemm", x, weight, self.stored(f"{name}.bias"))
        weight = self._nodes.weight(f"{name}.weight", self._pressed.floats[f"{name}.weight"].T)
        return self._nodes.add("Gemm", x, weight, self.stored(f"{name}.bias"))

    def activation(self, x: str, layer: int, operand: str) -> str:
        """An operand of a product inside attention, on its grid where there is one."""
        where = place(layer, operand)
        self._taps[where] = x
        step = self._pressed.steps.get(where)
        return x if step is None else self._restored(self._grid(x, where, step), where, step)

    def probabilities(self, x: str, layer: int) -> str:
        """The other operand of the second product, on its grid where its partner has one."""
        if place(layer, "value") not in self._pressed.steps:
            return x
        where = "probabilities"
        return self._restored(self._grid(x, where, PROBABILITIES), where, PROBABILITIES)

    def stored(self, name: str) -> str:
        """A stored tensor as floats."""
        if name not in self._pressed.integers:
            return self._nodes.weight(name, self._pressed.floats[name])
        return self._floats(name, transposed=False)

    def looked_up(self, name: str, ids: str) -> str:
        """Rows of a stored table as floats: (batch, tokens) -> (batch, tokens, hidden)."""
        n = self._nodes
        if name not in self._pressed.integers:
            return n.add("Gather", n.weight(name, self._pressed.floats[name]), ids)
        table = self._pressed.integers[name]
        rows = n.add("Gather", n.weight(f"{name}.int8", table.values), ids)
        if self._pressed.scheme.weights == "tensor":
            return n.add("DequantizeLinear", rows, *self._first_grid(name, table))
        x = n.add("Cast", rows, to=1)
        if table.zeros is not None:
            x = n.add("Sub", x, n.add("Gather", self._zeros(name, table.zeros), ids))
        scales = n.add("Gather", n.weight(f"{name}.scales", table.scales[:, None]), ids)
        return n.add("Mul", x, scales)

    def table(self, name: str) -> str:
        """All of a table that rows are `looked_up` in, as floats: (rows, hidden)."""
        n = self._nodes
        if name not in self._pressed.integers:
            return n.weight(name, self._pressed.floats[name])
        found = self._pressed.integers[name]
        x = n.add("Cast", n.weight(f"{name}.int8", found.values), to=1)
        if self._pressed.scheme.weights == "tensor":
            scale, zero = self._first_grid(name, found)
            return n.add("Mul", n.add("Sub", x, n.add("Cast", zero, to=1)), scale)
        if found.zeros is not None:
            x = n.add("Sub", x, self._zeros(name, found.zeros))
        return n.add("Mul", x, n.weight(f"{name}.scales", found.scales[:, None]))

    def _dynamic(self, x: str, name: str) -> str:
        found = self._pressed.integers[f"{name}.weight"]
        values, scales, zeros = self._parts(name, found)
        bias = self.stored(f"{name}.bias")
        return self._nodes.add(
            "DynamicQuantizeMatMul", x, values, scales, zeros, bias, domain=CONTRIB
        )

    def _static(self, x: str, where: str, name: str) -> str:
        n, found = self._nodes, self._pressed.integers[f"{name}.weight"]
        step = self._pressed.steps[where]
        quantised = self._grid(self._divided(x, where), where, step)
        units = (found.scales * step.scale).astype(np.float32)
        whole = np.rint(self._pressed.floats[f"{name}.bias"].astype(np.float64) / units)
        bias = np.clip(whole, -(2**31), 2**31 - 1).astype(np.int32)
        stored = n.weight(f"{name}.bias.int32", bias)
        added = n.add("DequantizeLinear", stored, n.weight(f"{name}.units", units), axis=0)
        return n.add("Gemm", self._restored(quantised, where, step), self._matrix(name), added)

    def _per_token(self, x: str, name: str) -> str:
        """A scale for each row: largest |x| is 127. In plain operators, since none does it."""
        n, found = self._nodes, self._pressed.integers[f"{name}.weight"]
        values, scales, zeros = self._parts(name, found)
        quantised, scale = self._rows(x)
        middle = n.constant("middle", np.array(128, np.uint8))
        product = n.add("MatMulInteger", quantised, values, middle, zeros)
        y = n.add("Mul", n.add("Mul", n.add("Cast", product, to=1), scale), scales)
        return n.add("Add", y, self.stored(f"{name}.bias"))

    def _rows(self, x: str) -> tuple[str, str]:
        """Rows as uint8 around 128, and the scale of each; once for all who ask."""
        n = self._nodes
        if (x, "scale") not in self._made:
            last = n.constant("last", np.array([-1], np.int64))
            largest = n.add("ReduceMax", n.add("Abs", x), last, keepdims=1)
            floor = n.constant("tiny", np.array(np.finfo(np.float32).tiny * 127, np.float32))
            whole = n.constant("steps", np.array(127, np.float32))
            scale = n.add("Div", n.add("Max", largest, floor), whole)
            level = n.add("Round", n.add("Div", x, scale))
            up = n.add("Add", level, n.constant("up", np.array(128, np.float32)))
            self._made[x, "scale"], self._made[x, "level"] = scale, n.add("Cast", up, to=2)
        return self._made[x, "level"], self._made[x, "scale"]

    def _divided(self, x: str, where: str) -> str:
        divisor = self._pressed.divisors.get(where)
        if divisor is None:
            return x
        if (x, "divided") not in self._made:
            inverse = (1 / divisor).astype(np.float32)
            factor = self._nodes.weight(f"{where}.factor", inverse)
            self._made[x, "divided"] = self._nodes.add("Mul", x, factor)
        return self._made[x, "divided"]

    def _grid(self, x: str, where: str, step: Step) -> str:
        if (x, where) not in self._made:
            self._made[x, where] = self._nodes.add("QuantizeLinear", x, *self._step(where, step))
        return self._made[x, where]

    def _restored(self, quantised: str, where: str, step: Step) -> str:
        return self._nodes.add("DequantizeLinear", quantised, *self._step(where, step))

    def _step(self, where: str, step: Step) -> tuple[str, str]:
        scale = self._nodes.constant(f"{where}.scale", np.array(step.scale, np.float32))
        return scale, self._nodes.constant(f"{where}.zero", np.array(step.zero, np.uint8))

    def _floats(self, name: str, *, transposed: bool) -> str:
        """Stored integers as floats, in operators that ONNX Runtime folds when it loads.

        Of DequantizeLinear and Gemm it would make a product that rounds its other operand too.
        """
        self.folded = True
        n, found = self._nodes, self._pressed.integers[name]
        values = found.values.T if transposed else found.values
        x = n.add("Cast", n.weight(f"{name}.int8", values), to=1)
        scales, zeros = found.scales, found.zeros
        if self._pressed.scheme.weights == "tensor":
            scales, zeros = scales[:1], None if zeros is None else zeros[:1]
        if zeros is not None:
            x = n.add("Sub", x, n.weight(f"{name}.zeros", zeros.astype(np.float32)))
        return n.add("Mul", x, n.weight(f"{name}.scales", scales))

    def _matrix(self, name: str) -> str:
        """[in, out], floats made of integers. Without its zeros ORT would make no QGemm of it."""
        found = self._pressed.integers[f"{name}.weight"]
        if found.zeros is None:
            found = replace(found, zeros=np.zeros(found.scales.shape, np.int8))
        values, scales, zeros = self._parts(name, found)
        return self._nodes.add("DequantizeLinear", values, scales, zeros, axis=1)

    def _parts(self, name: str, found: Integers) -> tuple[str, str, str]:
        n, weight = self._nodes, f"{name}.weight"
        values = n.weight(f"{weight}.int8", found.values.T)
        scales = n.weight(f"{weight}.scales", found.scales)
        zeros = "" if found.zeros is None else n.constant(f"{weight}.zeros", found.zeros)
        return values, scales, zeros

    def _zeros(self, name: str, zeros: Small) -> str:
        """The zero points of a table's rows as floats, (rows, 1)."""
        return self._nodes.weight(f"{name}.zeros", zeros[:, None].astype(np.float32))

    def _first_grid(self, name: str, found: Integers) -> tuple[str, str]:
        """The one scale and zero point of a tensor that has one for all of it."""
        scale = self._nodes.constant(f"{name}.scale", np.array(found.scales[0], np.float32))
        zeros = np.zeros(1, np.int8) if found.zeros is None else found.zeros
        return scale, self._nodes.constant(f"{name}.zero", zeros[0].reshape(()))

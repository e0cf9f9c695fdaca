"""What the files of a scheme are called. Knows nothing else, so that it is read at once."""

FOLDER = "onnx"

PLAIN = "fp32"


def file_of(scheme: str) -> str:
    """The name of the file of a scheme, below the folder: `onnx/model-ptq.onnx`."""
    kind = "" if scheme == PLAIN else "-" + scheme.replace(":", "_")
    return f"{FOLDER}/model{kind}.onnx"

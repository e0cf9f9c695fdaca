"""`bench export`: the quantised encoder as one ONNX file: the graph that is timed and scored."""

from pathlib import Path
from typing import Annotated

import typer

from results.errors import BadInputError


def export(
    *,
    model: Annotated[Path, typer.Option(help="Hugging Face BERT folder with its tokenizer.")],
    output: Annotated[Path, typer.Option(help="File to write; ends in .onnx.")],
    scheme: Annotated[str, typer.Option(help="Scheme of the file; see README.")] = "ptq",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Sentences to calibrate static schemes on, one a line."),
    ] = None,
    tokens: Annotated[int, typer.Option(help="Cut calibration sentences after so many.")] = 128,
) -> None:
    """Write a quantised encoder for ONNX Runtime or OpenVINO.

    Inputs: input_ids, attention_mask, token_type_ids; output: last_hidden_state.
    """
    if output.suffix != ".onnx":
        raise BadInputError(f"--output {output}: the file must end in .onnx")
    if not output.resolve().parent.is_dir():
        raise BadInputError(f"--output {output}: there is no folder {output.parent}; create it")
    from bench.text import fed, read
    from nas.checkpoint import architecture_of, load_weights
    from quant.calibrate import calibrate
    from quant.graph import emit, save
    from quant.scheme import parse
    from quant.weights import TensorWeights

    chosen = parse(scheme)
    if chosen.rest != "fp32":
        raise BadInputError(
            f"scheme {scheme}: a file says nothing of bfloat16, which a runtime chooses when it "
            "loads: leave -bf16 out, and give OpenVINO the precision hint bf16"
        )
    architecture = architecture_of(model)
    weights, known = TensorWeights(load_weights(model)), None
    if chosen.calibrated:
        if calibration is None:
            raise BadInputError(f"scheme {scheme} needs --calibration: a text, a sentence a line")
        text = read(calibration, model, min(tokens, architecture.positions))
        known = calibrate(architecture, chosen, weights, fed(text.batches()), text.label)
    graph = emit(architecture, chosen, weights, known)
    save(graph, output)
    typer.echo(f"{output}: {chosen}, {output.stat().st_size / 1e6:.1f} MB")

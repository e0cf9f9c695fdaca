"""Sub-models as models of their own: folders for transformers, files for ONNX runtimes."""

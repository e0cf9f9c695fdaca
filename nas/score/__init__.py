"""How right sub-models are by inherited weights, in any scheme: answers, metrics, rows."""

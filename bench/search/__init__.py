"""From a budget to verified sub-models: where searchers, scores, predictors and clocks meet."""

#!/usr/bin/env bash
# A new user's first minutes with an installed wheel, in an empty folder; no source tree in sight.
set -euo pipefail
python - <<'PY'
import importlib.util
from importlib.metadata import distribution

tops = {str(f).split("/")[0] for f in distribution("subbert").files}
ours = {t for t in tops if ".dist-info" not in t and not t.startswith("..")}
assert ours == {"bench", "nas", "predictors", "profiler", "quant", "results"}, ours
assert importlib.util.find_spec("optimum") is None, "the core must do without extras"
PY
test "$(subbert --version)" = "$(bench --version)"
bench devices
bench profile --device cpu-any --space minilm --samples 2 --json > rows.json
python - <<'PY'
import json

report = json.load(open("rows.json"))
assert report["status"] == "complete", report["status"]
assert len(report["rows"]) == 8, len(report["rows"])
assert all(0 < r["latency_ms"] < 10_000 for r in report["rows"])
PY
bench rows --limit 3
bench rows --export rows.parquet
code=0
bench profile --device nonsense 2> told || code=$?
test "$code" -eq 2
test "$(wc -l < told)" -eq 1
echo "smoke test passed"

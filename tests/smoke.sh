#!/usr/bin/env bash
# A new user's first minutes with an installed wheel, in an empty folder; no source tree in sight.
set -euo pipefail
python - <<'PY'
import importlib.util
from importlib.metadata import distribution

tops = {str(f).split("/")[0] for f in distribution("subbert").files}
ours = {t for t in tops if ".dist-info" not in t and not t.startswith("..")}
assert ours == {"bench", "nas", "predictors", "profiler", "quant", "results"}, ours
for extra in ("optimum", "openvino", "torchao", "optuna", "ray"):
    assert importlib.util.find_spec(extra) is None, "the core must do without extras"
PY
test "$(subbert --version)" = "$(bench --version)"
bench devices
bench devices --json > devices.json
bench profile --device cpu-any --space minilm --samples 2 --json > rows.json
python - <<'PY'
import json

possible = json.load(open("devices.json"))["devices"]["cpu-any"]["possible"]
expected = 2 * sum(map(len, possible.values()))
report = json.load(open("rows.json"))
assert report["status"] == "complete", report["status"]
assert {"torch", "onnxruntime"} <= set(possible), possible
assert len(report["rows"]) == expected, (len(report["rows"]), possible)
assert all(0 < r["latency_ms"] < 10_000 for r in report["rows"])
PY
bench rows --limit 3
bench rows --export rows.parquet
code=0
bench profile --device nonsense 2> told || code=$?
test "$code" -eq 2
test "$(wc -l < told)" -eq 1
code=0
bench profile --device cpu-any --runtime openvino 2> told || code=$?
test "$code" -eq 2
grep -q "pip install 'subbert\[openvino\]'" told
nas compare-searches --searcher random --searcher surrogate --seeds 1 --evaluations 40 --json > played.json
python - <<'PY'
import json

played = json.load(open("played.json"))["searchers"]
assert {"random", "surrogate"} == {row["searcher"] for row in played}, played
PY
code=0
nas search --device cpu-any --latency 10 --task trec6 --searcher bayes 2> told || code=$?
test "$code" -eq 2
grep -q "pip install 'subbert\[search\]'" told
echo "smoke test passed"

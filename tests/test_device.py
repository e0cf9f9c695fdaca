"""devices.yaml: what it may say, and what a host can be."""

from pathlib import Path

import pytest

from profiler.device import (
    CAPS,
    Device,
    Host,
    devices_file,
    find_device,
    load_devices,
    needs_cap,
    refusals,
)
from results.environment import Hardware
from results.errors import BadInputError
from results.measurement import Workload

AVX512 = ("avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx_vnni")

GOOD = """
version: 1
devices:
  d:
    machine: x86_64
    isa: [avx2]
    tokens: [32, 128]
    runtimes: {torch: [fp32]}
"""


def host(isa: tuple[str, ...] = AVX512, machine: str = "x86_64", cpus: int = 2) -> Host:
    hardware = Hardware(machine=machine, cpu="a cpu", isa=isa, logical_cpus=8)
    return Host(hardware, tuple(range(cpus)))


def write(folder: Path, text: str) -> Path:
    path = folder / "devices.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def shipped() -> dict[str, Device]:
    return load_devices(Path(__file__).parent.parent / "devices.yaml")


def test_the_shipped_file_has_the_promised_targets(shipped: dict[str, Device]) -> None:
    promised = ["cpu-avx512", "cpu-avx512-2t", "cpu-avx2", "cpu-any", "arm64-neon", "cuda"]

    assert promised == list(shipped)


def test_a_device_is_what_its_lines_say(tmp_path: Path) -> None:
    device = load_devices(write(tmp_path, GOOD))["d"]

    assert ("x86_64", ["avx2"], {"torch": ["fp32"]}) == (
        device.machine,
        device.isa,
        device.runtimes,
    )
    assert (Workload(1, 32, 1), Workload(1, 128, 1)) == device.workloads()


def test_a_scheme_may_have_settings(tmp_path: Path) -> None:
    schemes = "[ptq:ffn-out=fp32:keep=0+5.ffn-out, int8-static:observer=percentile-99.99]"
    path = write(tmp_path, GOOD.replace("[fp32]", schemes))

    assert schemes[1:-1].split(", ") == load_devices(path)["d"].runtimes["torch"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("threads: 0", "devices.d.threads: input should be greater than or equal to 1 (it is 0)"),
        ("threads: yes", "devices.d.threads: input should be a valid integer (it is True)"),
        ("batch: '1'", "devices.d.batch: input should be a valid integer (it is '1')"),
        ("tokens: []", "devices.d.tokens: list should have at least 1 item"),
        ("tokens: [128, 128]", "tokens lists a value twice"),
        ("isa_cap: avx3", "devices.d.isa_cap: input should be 'avx2' (it is 'avx3')"),
        ("thread: 2", "devices.d.thread: extra inputs are not permitted (it is 2)"),
        ("runtimes: {}", "runtimes must name at least one runtime"),
        ("runtimes: {torch: []}", "devices.d.runtimes.torch: list should have at least 1 item"),
        ("runtimes: torch", "devices.d.runtimes: input should be a valid dictionary"),
        ("runtimes: {torch: [PTQ]}", "runtimes.torch.0: string should match pattern"),
        ("runtimes: {torch: ['ptq:keep']}", "runtimes.torch.0: string should match pattern"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, line: str, told: str) -> None:
    name = line.split(":", maxsplit=1)[0]
    kept = [x for x in GOOD.splitlines() if not x.strip().startswith(f"{name}:")]
    path = write(tmp_path, "\n".join([*kept, f"    {line}"]))

    with pytest.raises(BadInputError) as refused:
        load_devices(path)

    assert told in str(refused.value)
    assert str(path) in str(refused.value)


def test_all_wrong_fields_are_told_at_once(tmp_path: Path) -> None:
    wrong = "    threads: 0\n    batch: -1\n  E: {runtimes: {torch: [fp32]}}"
    path = write(tmp_path, GOOD + wrong)

    with pytest.raises(BadInputError, match=r"threads.*batch.*devices\.E: a name is"):
        load_devices(path)


@pytest.mark.parametrize("text", ["[]", "version: 2\ndevices: {}", "devices: {d: 3}"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInputError, match="mend the file"):
        load_devices(write(tmp_path, text))


def test_a_duplicate_key_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="isa"):
        load_devices(write(tmp_path, GOOD + "    isa: [avx512f]\n"))


def test_an_unknown_device_is_told_the_known_ones(shipped: dict[str, Device]) -> None:
    with pytest.raises(BadInputError, match=r"unknown device 'cpu'.*cpu-avx512, cpu-avx512-2t"):
        find_device(shipped, "cpu", Path("devices.yaml"))


@pytest.mark.parametrize(
    ("name", "where", "why"),
    [
        ("cpu-avx512", host(AVX512[:2]), "lacks avx512f, avx512bw, avx512dq, avx512vl"),
        ("cpu-avx512", host(AVX512[:6]), "this CPU lacks avx512_vnni"),
        ("cpu-avx512-2t", host(cpus=1), "needs 2 CPUs, this process may use 1 of 8"),
        ("arm64-neon", host(), "a target for aarch64, this machine is x86_64"),
        ("cuda", host(), "this host has no NVIDIA driver"),
    ],
)
def test_a_host_that_cannot_serve_hears_why(
    shipped: dict[str, Device], name: str, where: Host, why: str
) -> None:
    assert why in "; ".join(refusals(shipped[name], where))


@pytest.mark.parametrize("name", ["cpu-avx512", "cpu-avx512-2t", "cpu-avx2", "cpu-any"])
def test_a_host_that_has_everything_is_accepted(shipped: dict[str, Device], name: str) -> None:
    assert [] == refusals(shipped[name], host())


def test_a_cap_is_needed_only_where_the_host_has_more(shipped: dict[str, Device]) -> None:
    capped = shipped["cpu-avx2"]

    assert needs_cap(capped, host())
    assert needs_cap(capped, host((*AVX512[:2], "avx_vnni")))
    assert not needs_cap(capped, host(AVX512[:2]))
    assert not needs_cap(shipped["cpu-any"], host())


def test_every_cap_that_can_be_written_can_be_applied() -> None:
    assert {"avx2"} == set(CAPS)


def test_the_digest_follows_what_moves_a_latency_and_nothing_else(
    shipped: dict[str, Device],
) -> None:
    one = shipped["cpu-any"]

    assert one.digest == one.model_copy(update={"description": "x", "name": "y"}).digest
    assert one.digest != one.model_copy(update={"threads": 2}).digest
    assert one.digest != one.model_copy(update={"pin": False}).digest


def test_a_local_file_is_preferred_and_a_given_one_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = devices_file()
    write(tmp_path, GOOD)

    assert elsewhere.is_file()
    assert Path("devices.yaml") == devices_file()
    assert Path("other.yaml") == devices_file(Path("other.yaml"))

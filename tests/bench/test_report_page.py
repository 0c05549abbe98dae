"""The page says what is missing first, shows what results hold, and looks right in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from report_pages import outcomes, page, shown
from report_world import COMMANDS, part, put, result

from quatrefoil.bench.report import layers, records
from quatrefoil.bench.report.panels import PANELS
from quatrefoil.bench.report.parts import NAMES, PARTS
from quatrefoil.bench.report.summary import summary, write_report
from quatrefoil.bench.report.whole import Outcome, measure_all
from quatrefoil.errors import HostError


def test_every_part_has_a_panel_and_every_panel_a_part() -> None:
    assert sorted(one.part for one in PANELS) == sorted(NAMES)


def test_a_whole_page_has_every_command_plot_and_figure(whole, whole_page) -> None:
    made, text = whole_page, shown(whole_page)
    assert f"{len(PARTS)} of {len(PARTS)} benches have figures" in text
    assert "quick run" not in text and "not idle" not in text
    for one in whole:
        assert one.part.title in text and one.part.full in text
    assert made.count("<svg") >= len(PARTS) - 1 and "There are no figures to draw" not in text
    assert "None of this ran." in text and "What is not measured" in text and "unaudited" in text


def test_each_layer_stands_with_figure_shape_range_and_source(tmp_path) -> None:
    contents = {
        "aggregation": {
            "rows": [{"backend": "additive-rlwe/sum-256-w16", "overhead": 4.9, "silos": 8, "parameters": 10**6}]
        },
        "proof": {"prove_over_encrypt": 48.7, "parameters": 1048576, "verify_ms": 3.2},
        "serving": {"rows": [{"model": "resnet-50", "overhead": 0.061, "parameters": 25, "request_bytes": 60}]},
        "score": {"rows": [{"way": "tenseal, a vector a row", "over_plain": 2.7e6}]},
    }
    text = shown(page(outcomes({name: result(part(name), **one) for name, one in contents.items()}, tmp_path)))
    assert "sums, our scheme: 4.9 times the plain sum (8 silos, 1,000,000 float32 each)" in text
    assert "prove, of its encryption: 48.7 times (1,048,576 values)" in text and "verify: 3.2 ms" in text
    assert "served ResNet-50: 1.06 times the plain server (25 parameters, 60 bytes a request" in text
    assert "scores, TenSEAL by rows: 2,700,000 times numpy (? rows of ? columns)" in text
    assert "scores, CKKS: not measured" in text and "handshake alone: not measured" in text
    for layer in layers.LAYERS:
        assert layer.quoted in text and " ".join(layer.source.split()) in text and layer.use in text
    assert "Hardware's own cost was NOT measured" in text


def test_routing_stands_first_with_its_condition_and_what_blankets_lack(tmp_path) -> None:
    row = {
        "workload": "hospital",
        "threats": ["curious-host", "recorder"],
        "plain_ms": 10,
        "routed_ms": 12.0,
        "blanket_ms": {"aggregation": 90.0, "proofs": 900},
        "cheapest": "aggregation",
        "saved_fraction": 0.975,
        "shape": {"score": "score: 30 parameters"},
        "phases": [
            {
                "phase": "score",
                "backends": ["pq-tls", "ckks"],
                "plain_ms": 1,
                "routed_ms": 2,
                "blanket": {"aggregation": {"ms": 77.0}},
            }
        ],
        "unanswered": {"enclave": ["physical-access in score"]},
        "cannot": {"transport": ["it is too slow"]},
        "not_one_choice": {"transport+proofs": {"takes": ["enclave in score"], "ms": 5.0, "routed": True}},
    }
    other = row | {"workload": "credit", "saved_fraction": None}
    controls = [row | {"workload": "hospital-part", "saved_fraction": 0.0}]
    content = result(part("routing"), condition="planned as if", rows=[row, other], controls=controls)
    text = shown(page(outcomes({"routing": content}, tmp_path)))
    assert (
        "98% saved by routing: hospital; nothing beyond the same route found by hand" in text
        and "saved by routing: credit" not in text
    )
    for said in (
        "curious-host, recorder",
        "aggregation: 90.0; proofs: 900.0",
        "Condition. planned as if.",
        "score score: 30 parameters pq-tls, ckks 1.00 2.00 77.00",
        "enclave leaves open: physical-access in score",
        "transport cannot run: it is too slow",
        "transport+proofs is no one choice for all phases, takes besides: takes: enclave in score; ms: 5; routed: yes",
        "hospital-part score 0.0%",
    ):
        assert said in text
    assert text.index("Routed against blanket") < text.index("Encrypted sums")


def test_what_is_missing_is_said_first(tmp_path) -> None:
    made = page(outcomes({"proof": result(part("proof"), prove_ms=1.0)}, tmp_path))
    text = shown(made)
    assert f"1 of {len(PARTS)} benches have figures" in text and "<b>it broke</b>" in text
    assert (
        "aggregation, streams, kernel, committee, simulate, scale, flower, inference-proof, " in text
        and "routing, planner, failed:" in text
    )
    assert text.index("planner, failed:") < text.index("The four layers")
    assert "not measured: the bench is failed" in text and "not computed: its figure was not measured" in text


def test_a_missing_peer_is_shown_as_missing(tmp_path) -> None:
    peers = {peer.name: "" if peer.distribution == "tenseal" else "1.0" for peer in part("score").peers}
    found = outcomes({"score": result(part("score"), rows=[])}, tmp_path, peers=peers)
    text = shown(page(found))
    assert "Not installed, so not measured: TenSEAL (CKKS on SEAL)." in text and "missing: not installed" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"others": 0.4}, "proof (40%)"), ({"others": None}, ""), ({"others": 0.05}, ""), ({"others": 0.0}, "")],
)
def test_a_busy_machine_is_said(tmp_path, changed, said) -> None:
    text = shown(page(outcomes({"proof": result(part("proof"))}, tmp_path, **changed)))
    assert ("The machine was not idle." in text) == bool(said) and said in text


def test_a_quick_run_and_other_code_are_said(tmp_path) -> None:
    (kept,) = [one for one in outcomes({"proof": result(part("proof"))}, tmp_path) if one.kept]
    older = Outcome(kept.part, "older", kept.kept, why="x")
    text = shown(page([older], quick=True))
    assert "A quick run." in text and "Measured with other code, options or peers: proof." in text


def test_extrapolations_are_in_their_box_only(tmp_path) -> None:
    rows = [{"way": "ckks-linear-4096", "total_ms": 123.4, "rows": 10, "columns": 3}]
    made = page(outcomes({"score": result(part("score"), rows=rows)}, tmp_path))
    before, _, box = made.partition('class="extrapolated"')
    assert "12,340.0 ms" in box.partition("</section>")[0] and "12,340" not in before


def test_the_summary_has_every_figure_with_its_path(whole) -> None:
    found = summary(whole, quick=False)
    assert [one["part"] for one in found["parts"]] == list(NAMES)
    assert [one["layer"] for one in found["layers"]] == [layer.name for layer in layers.LAYERS]
    proof = whole[list(NAMES).index("proof")].kept
    (prove,) = [one for layer in found["layers"] for one in layer["times"] if one["path"] == "prove_ms"]
    assert proof is not None and prove["value"] == proof.result["prove_ms"]


def test_the_report_is_written_over_an_older_one_and_not_into_a_file(tmp_path) -> None:
    folder, some = tmp_path / "out", [Outcome(part("proof"), "failed", why="x")]
    folder.mkdir()
    for _ in range(2):
        assert write_report(folder, some, quick=False) == folder / "index.html"
    assert sorted(file.name for file in folder.iterdir()) == ["index.html", "report.json"]
    with pytest.raises(HostError, match="cannot be written"):
        write_report(tmp_path / "none", some, quick=False)


def test_a_damaged_result_is_on_the_page(tmp_path) -> None:
    which = part("proof")
    put(tmp_path, which, result(which))
    records.result_file(tmp_path, which).write_text("{")
    found = measure_all(
        tmp_path, only=(part("score"),), quick=False, commands=COMMANDS, program=("false",), say=lambda _: None
    )
    text = shown(page(found))
    assert "proof, damaged: the result of proof is not the one that its record names" in text
    assert "score, failed: score failed: exit code 1" in text


def test_it_looks_right_in_a_browser(whole_page, tmp_path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("NOT OPENED IN A BROWSER: there is no chromium here (Debian's package chromium)")
    file = tmp_path / "page.html"
    counted = "document.documentElement.scrollWidth + ' ' + document.querySelectorAll('svg text').length"
    probe = f"<script>document.title = {counted}</script>"
    made = whole_page
    file.write_text(
        re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", made).replace("</body>", f"{probe}</body>")
    )
    for width in (1300, 500):
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        ran = subprocess.run([*command, profile, "--dump-dom", str(file)], capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        title = re.search(r"<title>(\d+) (\d+)</title>", ran.stdout)
        assert title is not None and int(title[1]) <= width and int(title[2]) > 100

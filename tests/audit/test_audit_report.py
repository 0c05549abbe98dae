"""The report: it says what the verdict says, takes nothing from a log as markup, and looks right in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from party_logs import AT, ROOT, altered, examined, file, lying
from test_bundle import rewritten

from quatrefoil.audit import Event
from quatrefoil.audit.checks.facts import MOST_LINES, MOST_ROUNDS
from quatrefoil.audit.report import render
from quatrefoil.audit.report.checked import NOT_COVERED
from quatrefoil.audit.verdict import CHECKS

CHROMIUM = shutil.which("chromium")
MARKUP = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}</style>",
    "<!--",
    "]]>&lt;b&gt;",
    "\N{RIGHT-TO-LEFT OVERRIDE}exe.lmth",
    "a\x00b\x1b[2J",
    "x" * 390,
)
ALLOWED = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "section",
        "footer",
        "div",
        "span",
        "p",
        "ul",
    ),
    *("li", "h1", "h2", "h3", "strong", "b", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"class", "data-label", "scope", "lang", "charset", "name", "content", "http-equiv"}


def page(path: Path, trust: Path | None = ROOT, **given) -> str:
    return render(examined(path, trust, **given), name=path.name, at=AT, version="0")


def hostile(folder: Path) -> Path:
    """A log whose owner puts markup wherever it can put text."""
    events = []
    for number, text in enumerate(MARKUP, 1):
        context = f"{number:064x}"
        place = {"round": number, "attempt": 0, "context": context}
        names = {"contributors": sorted([text, "bari"]), "refused": {f"{text}2": text}, "model": text}
        events += [
            Event("enrolment", {"job": text, "silo": text, "samples": text}),
            Event("policy", {"name": text, "digest": text}),
            Event("plan", {"digest": text, "policy": text, "insecure": [text]}),
            Event("measurement", {"enclave": text, "isolation": text, "context": text}),
            Event("round-opened", place),
            Event("round-finished", place | names),
            Event("round-void", {"round": number + 100, "attempt": 0, "reason": text}),
            Event("refusal", {"silo": text, "asked": text, "reason": text}),
            Event("refusal", {"round": text, "attempt": text, "silo": text, "reason": text}),
            Event(f"x-{text}", {}),
        ]
    return lying(folder, events)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(content: str) -> Tags:
    tags = Tags()
    tags.feed(content)
    tags.close()
    return tags


def shown(content: str) -> str:
    return " ".join(" ".join(parsed(content).text).split())


# ------------------------------------------------------------------------------------------------------- what it says


def test_a_valid_bundle_is_said_to_be_and_everything_is_there(job: Path) -> None:
    text = shown(page(job / "bundle.zip"))
    assert "\N{CHECK MARK} All" in text and "did not pass" not in text
    of_samples = {"samples", "proofs", "promised"}  # of servers' logs, and only where some came along
    meanings = [meaning for name, meaning in CHECKS.items() if name not in of_samples]
    assert all(f"{meaning[0].upper()}{meaning[1:]}." in text for meaning in meanings)
    assert all(what in text and why in text for what, why in NOT_COVERED)
    for name in ("ambon", "dakar", "hub", "keeper", "asked for by hub: the network was down", "test-job", "bundle.zip"):
        assert name in text
    assert "given by the auditor" in text and "came along" not in text.partition("What was checked")[0]
    assert "unaudited" in text


def test_a_root_that_came_along_is_told_before_anything_else_but_the_verdict(job: Path) -> None:
    found = examined(job / "bundle.zip", None)
    text = shown(page(job / "bundle.zip", None))
    assert "Whose that is, this check cannot say" in text
    assert found.trusted is not None
    first = text.partition("What is claimed")[0].replace(" ", "")
    assert found.trusted.fingerprints[0] in first


def test_what_failed_is_at_the_top(job: Path) -> None:
    altered(next(file(job / "hub", "payload").iterdir()), 0)
    text = shown(page(job / "hub"))
    assert "did not pass" in text and "Do not rely on this evidence. Not passed: payloads" in text
    assert "All" not in text.partition("What is claimed")[0].partition("Evidence report")[2].split("Do not rely")[0]


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_bundle_has_a_report_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.zip").write_bytes(content)
    text = shown(page(tmp_path / "b.zip"))
    assert "did not pass" in text and "could not be run" in text


def test_one_log_alone_is_said_to_be_one_partys_word(job: Path) -> None:
    assert "its own word alone" in shown(page(job / "hub"))
    assert "its own word alone" not in shown(page(job / "bundle.zip"))


def test_a_stand_in_is_named_at_the_top(tmp_path: Path) -> None:
    event = Event("plan", {"digest": "aa", "policy": "bb", "insecure": ["software-keeper"]})
    assert "Insecure stand-ins were in use: software-keeper." in shown(page(lying(tmp_path, [event])))


def test_a_long_log_makes_no_endless_page_and_says_what_it_left_out(tmp_path: Path) -> None:
    events = []
    for number in range(1, MOST_ROUNDS + 4):
        place = {"round": number, "attempt": 0, "context": f"{number:064x}"}
        events += [
            Event("round-opened", place),
            Event("round-finished", place | {"contributors": ["ambon"], "model": "aa"}),
            Event("refusal", {"reason": "late"}),
        ]
    text = shown(page(lying(tmp_path, events)))
    assert "3 more are in the log." in text and f"{MOST_ROUNDS + 3 - MOST_LINES} more are in the log." in text
    assert f"{MOST_ROUNDS + 3} rounds of training" in text


def test_a_long_text_of_a_log_is_not_cut_off_unseen(tmp_path: Path) -> None:
    text = shown(
        page(lying(tmp_path, [Event("refusal", {"reason": "late " * 200}), Event("refusal", {"reason": "x"})]))
    )
    assert f"{('late ' * 200)[:399]}…" in text and "x…" not in text


# ------------------------------------------------------------------------------------------------------------- attacks


def test_nothing_from_a_log_is_markup(tmp_path: Path) -> None:
    content = page(hostile(tmp_path))
    tags = parsed(content)
    assert {tag for tag, _ in tags.found} <= ALLOWED
    assert {name for _, attributes in tags.found for name, _ in attributes} <= ATTRIBUTES
    assert [tag for tag, _ in tags.found].count("style") == 1
    text = shown(content)
    assert all(one in text for one in MARKUP[:5]), "it is shown as what it is"
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", content)


def test_the_name_of_the_file_is_text_too(job: Path) -> None:
    bad = job / "<img src=x>.zip"
    shutil.copy(job / "bundle.zip", bad)
    assert {tag for tag, _ in parsed(page(bad)).found} <= ALLOWED


def test_nothing_is_loaded_and_nothing_runs(job: Path) -> None:
    content = page(job / "bundle.zip")
    assert "default-src &#x27;none&#x27;" in content
    for word in ("<script", "http:", "https:", "url(", "@import", "src=", "href=", "javascript:"):
        assert word not in content


def test_a_damaged_bundle_cannot_speak_through_its_error(job: Path) -> None:
    rewritten(job / "bundle.zip", {"<script>alert(1)</script>": b""})
    content = page(job / "bundle.zip")
    assert {tag for tag, _ in parsed(content).found} <= ALLOWED and "&lt;script&gt;" in content


# ----------------------------------------------------------------------------------------------------- a real browser


@pytest.fixture(scope="module")
def browser() -> str:
    if CHROMIUM is None:
        pytest.skip("NOT OPENED IN A BROWSER: there is no chromium here (Debian's package chromium)")
    return CHROMIUM


def run(browser: str, folder: Path, *options: str) -> str:
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    profile = f"--user-data-dir={folder / 'profile'}"
    ran = subprocess.run([*command, profile, *options], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def measured(browser: str, folder: Path, content: str, widths: tuple[int, ...]) -> list[dict[str, object]]:
    """The page in frames of these widths: how wide its content is, and what elements it has."""
    frames = "".join(
        f'<iframe srcdoc="{html.escape(content)}" style="width:{width}px;height:900px;border:0"></iframe>'
        for width in widths
    )
    script = """
    const found = [...document.querySelectorAll("iframe")].map(frame => {
      const page = frame.contentDocument, root = page.documentElement;
      return {
        width: frame.clientWidth, content: root.scrollWidth, title: page.title,
        shown: page.querySelector("main").getBoundingClientRect().height,
        color: getComputedStyle(page.querySelector(".verdict strong")).color,
        foreign: page.querySelectorAll("script, img, svg, iframe, link, object").length,
      };
    });
    document.body.innerHTML = "<pre id=found></pre>";
    document.getElementById("found").textContent = JSON.stringify(found);
    """
    wrapper = folder / "frames.html"
    wrapper.write_text(f"<!doctype html><body>{frames}<script>onload = () => {{{script}}}</script></body>")
    out = run(browser, folder, "--dump-dom", wrapper.as_uri())
    match = re.search(r'<pre id="found">(.*?)</pre>', out, re.S)
    assert match is not None, out[-2000:]
    return list(json.loads(html.unescape(match[1])))


def test_in_chromium_it_fits_a_screen_and_a_phone(browser: str, job: Path, tmp_path: Path) -> None:
    for one in measured(browser, tmp_path, page(job / "bundle.zip"), (1280, 390, 320)):
        assert one["content"] == one["width"], "it scrolls sideways"
        assert one["title"] == "Evidence report: test-job" and one["foreign"] == 0
        assert isinstance(one["shown"], int | float) and one["shown"] > 1000
        assert one["color"] == "rgb(11, 107, 74)", "the style was not applied"


def test_in_chromium_a_hostile_log_runs_and_hides_nothing(browser: str, tmp_path: Path) -> None:
    for one in measured(browser, tmp_path, page(hostile(tmp_path / "log")), (1280, 390)):
        assert one["foreign"] == 0 and one["title"] != "owned"
        assert one["content"] == one["width"], "it scrolls sideways"
        assert isinstance(one["shown"], int | float) and one["shown"] > 3000


def test_in_chromium_it_has_pixels_and_paper(browser: str, job: Path, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text(page(job / "bundle.zip"))
    target = (tmp_path / "r.html").as_uri()
    run(browser, tmp_path, f"--screenshot={tmp_path / 'r.png'}", "--window-size=1280,1600", target)
    picture = (tmp_path / "r.png").read_bytes()
    assert struct.unpack(">2I", picture[16:24]) == (1280, 1600) and len(picture) > 50_000
    run(browser, tmp_path, f"--print-to-pdf={tmp_path / 'r.pdf'}", target)
    paper = (tmp_path / "r.pdf").read_bytes()
    assert paper.startswith(b"%PDF") and 2 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 12

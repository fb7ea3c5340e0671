"""Reports as Markdown: the same sentences, and no text from databases or files becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace

from markdown_it import MarkdownIt

from alembic_rescue.evidence.from_empty import FromEmpty
from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, Verdict
from alembic_rescue.model import Action, Excerpt, Note, Recommendation
from alembic_rescue.redact import Secrets
from alembic_rescue.report import pages, text
from alembic_rescue.report.markdown import inline
from tests.report_values import line, report, revision

EVIL = (
    "</details> <script>alert(1)</script> | @octocat #12 GH-7 **bold** _it_ [a](http://x) ![i](http://y) "
    "`tick ``two` \\ ~~gone~~ <!-- c --> &lt; $x$ \n\n# title\n- item\n```\nfence"
)
GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def written(told, hide=str):
    return text.diagnosis(told, page=pages.of("markdown", hide))


def evil_report():
    missing = ObjectEvidence("table", EVIL, "present", Presence.ABSENT, EVIL, "r.py", 7, f"CREATE {EVIL}")
    cause = Cause("b", EVIL, 3, EVIL, EVIL, True, 4, EVIL)
    told = report(
        line("abc"),
        "a",
        [revision("b", Verdict.PARTIAL, EVIL, objects=(missing,)), revision("c", doc=EVIL)],
        findings=(Note("a-code", EVIL, EVIL),),
        causes=(cause,),
        recommendation=Recommendation(Action.STOP, None, EVIL, (f"run {EVIL}",)),
    )
    return replace(told, excerpts=(Excerpt(EVIL, 3, ((3, EVIL.partition("\n")[0]), (4, "```"))),))


def test_it_says_the_same_as_at_a_terminal():
    told = report(
        line("abc"),
        "a",
        [revision("b", Verdict.APPLIED), revision("c")],
        findings=(Note("some-code", "a fact", "do it: `alembic-rescue wait`"),),
        recommendation=Recommendation(Action.STAMP, "b", "b is applied"),
    )
    found = written(told)
    assert found.startswith("### alembic-rescue diagnose\n\n- **Database**: shop at db:5432\n")
    assert "**warning\\[some-code\\]**: a fact\n\n**help**: do it:\n\n```\nalembic-rescue wait\n```\n" in found
    assert "**Recommendation:** stamp b: b is applied.\n\n```\nalembic-rescue stamp b\n```\n" in found
    assert "| `b` | ● applied | \\- | make b | target |" in found


def test_the_chain_is_a_mermaid_graph_whose_ids_and_messages_are_quoted():
    graph = re.search(r"```mermaid\n(.*?)\n```", written(evil_report()), re.DOTALL)[1]
    assert '  n0["a<br>make a<br>DATABASE HERE"]:::applied' in graph
    assert "  n0 --> n1" in graph
    labels = re.findall(r'\["(.*?)"\]', graph)
    assert len(labels) == 3
    assert all(re.fullmatch(r"(?:[\w .,:()/+\-;#]|<br>)*", label) for label in labels)


def test_a_run_from_empty_names_no_database():
    found = FromEmpty(("a", "b", "c", "d", "e"), ("g",), "f", (), "", "", None, ())
    cause = Cause("f", "f.py", 3, "SELECT 1/0", "division by zero", False, None, "fix it")
    told = report(line("abcdefg"), "e", causes=(cause,))
    told = replace(told, databases=tuple(replace(one, from_empty=found) for one in told.databases))
    page = pages.of("markdown", str)
    for part in told.databases:
        page.whole(told, part)
    said = page.text()
    assert "RAN TO HERE" in said
    assert "revisions ran" in said
    assert "What fails, and where" in said
    assert "DATABASE HERE" not in said
    assert "applied" not in said.replace(":::applied", "").partition("classDef")[0]


def test_text_from_a_database_makes_no_markup():
    tokens = list(flat(GITHUB.parse(written(evil_report()))))
    html = {token.content.strip() for token in tokens if token.type in {"html_block", "html_inline"}}
    assert all(re.fullmatch(r"<details>\n<summary>[^<]*</summary>|</details>", one) for one in html), html
    opened = [token for token in tokens if token.content.strip().startswith("<details>")]
    assert len(opened) == sum(token.content.strip() == "</details>" for token in tokens)
    assert not {token.tag for token in tokens} & {"a", "img", "em", "s"}
    said = [token.content for token in tokens if token.type == "text"]
    assert not any(re.search(r"(?<!\w)@\w|(?<!\w)#\d|GH-\d", one) for one in said)
    assert {token.tag for token in tokens if token.type == "heading_open"} == {"h3", "h4"}


def test_each_row_of_a_table_has_all_its_cells():
    page = pages.of("markdown", str)
    page.table(("a", "b", "c"), [["x | y", "`p|q`", "r\\|s"], ["", "`", "``|``"]])
    rows = [token for token in GITHUB.parse(page.text()) if token.type == "td_open"]
    assert len(rows) == 6


def flat(tokens):
    for token in tokens:
        yield token
        yield from flat(token.children or ())


def test_code_in_a_sentence_stays_code():
    assert inline("run `a b` or ``c ` d``, not x_y or _z_") == "run `a b` or ``c ` d``, not x_y or \\_z\\_"


def test_secrets_are_hidden_before_anything_is_escaped():
    secrets = Secrets()
    secrets.add("pa*ss<word>&1")
    told = report(
        line("ab"), "a", [revision("b", doc="with pa*ss<word>&1")], findings=(Note("c", "pa*ss<word>&1", "h"),)
    )
    for name in ("markdown", "html"):
        found = text.diagnosis(told, page=pages.of(name, secrets.net))
        assert "ss&lt;word" not in found
        assert "***" in found.replace("\\", "")

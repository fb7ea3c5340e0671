"""A single call of the command: its global options, and how it answers.

stdout carries the answer; everything else goes to stderr.
"""

from __future__ import annotations

import gc
import os
import re
import shlex
import shutil
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic_rescue import errors
from alembic_rescue.cli import github
from alembic_rescue.redact import Secrets

if TYPE_CHECKING:
    from alembic_rescue.cli.progress import Shown
    from alembic_rescue.client import Project
    from alembic_rescue.model import Report
    from alembic_rescue.worker.process import Request

COMMAND = "alembic-rescue"
VERBS = (
    *("diagnose", "rehearse", "plan", "stamp", "script", "complete", "repair", "undo", "receipts"),
    *("upgrade", "wait", "redeploy"),
)
"""The commands that depend on the selected project."""
_OWN_COMMAND = re.compile(rf"\b{COMMAND}(?=\s+(?:{'|'.join(VERBS)})\b)")
_LOOKS = re.compile(rf"\b{COMMAND} (?:rehearse|diagnose(?: --(?:applied|locate))?)\b(?!(?: --\w+)* --only)")
"""The commands in printed sentences that do not name a database yet."""
_ALEMBICS = re.compile(r"(?<!-m )\balembic (?P<verb>upgrade|downgrade|stamp|merge|revision --autogenerate)\b")
_UNWRAPPED = 10_000
"""Columns if the stream is no terminal and COLUMNS is not set: lines stay whole for grep."""


ANSWERS: list[Any] = [sys.stdout]
"""The stream for answers, even if sys.stdout is replaced."""
_BEGUN: list[str] = []
"""The format of the document that has been started on stdout."""
_FOR_GITHUB = github.Answers()


class Format(str, Enum):
    """The format of the answer."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    GITHUB = "github"


@dataclass(frozen=True)
class Call:
    """The options before the command: the project, and how to answer."""

    config: tuple[str, ...] = ()
    config_from: str | None = None
    app: str | None = None
    python: str | None = None
    section: str | None = None
    x: tuple[str, ...] = ()
    url: str | None = None
    scratch: str | None = None
    revision_timeout: float = 60.0
    """In seconds."""
    baseline: Path | None = None
    receipts: Path | None = None
    format: Format = Format.TEXT
    color: bool = field(default_factory=lambda: not (os.environ.get("NO_COLOR") or "--no-color" in sys.argv))
    """Any value of NO_COLOR counts, see https://no-color.org."""
    debug: bool = False
    secrets: Secrets = field(default_factory=Secrets)
    rest: tuple[str, ...] = ("rescue", "report.text")
    """The modules that the command needs, imported while the worker imports what it needs."""
    typed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The typed options that select the project: ``-n`` -> its values, without secrets."""

    def of_project(
        self, typed: Collection[str], config: tuple[str, ...], config_from: str | None, app: str | None
    ) -> Call:
        """This call with the options that select its project.  What is `typed` overrides environment variables.

        FLASK_APP, which may be set for other reasons, counts only if no project is named.
        """
        if "config_from" in typed and len(typed) > 1:
            raise errors.BadUsage("--config-from replaces -c and --app: use only one of them")
        if config_from and not {"config", "app"} & set(typed):
            return replace(self, config_from=config_from)
        named = "app" in typed
        return replace(self, config=config if "config" in typed or not named else (), app=app if named else None)

    def project(self, lock_timeout: float | None = None, ahead: Request | None = None) -> Project:
        """Load the project that the options select.

        Args:
            lock_timeout: in seconds.
            ahead: see :func:`alembic_rescue.client.load`.
        """
        from alembic_rescue import client

        return client.load(
            self.config,
            self.section,
            self.x,
            self.url,
            lock_timeout,
            self.secrets,
            config_from=self.config_from,
            app=self.app,
            scratch=self.scratch,
            revision_timeout=self.revision_timeout,
            baseline=self.baseline,
            python=self.python,
            tell=self.tell_env,
            meanwhile=self._import_the_rest,
            ahead=ahead,
        )

    def _import_the_rest(self) -> None:
        for name in self.rest:
            import_module(f"alembic_rescue.{name}")
        gc.freeze()
        gc.enable()

    def load(self, lock_timeout: float | None = None, *, yes: bool = False, ahead: Request | None = None) -> Project:
        """Load the project that the options select, or the only one in a subfolder if the user at the terminal agrees.

        Args:
            lock_timeout, ahead: as for :meth:`project`.
            yes: do not ask.
        """
        try:
            with working(self, "Loading the project"):
                return self.project(lock_timeout, ahead)
        except errors.FlaskAppNeeded as needed:
            raise needed.told(self._words_for_another_folder()) from None
        except errors.NoConfig as missing:
            told = missing.told(self._words_for_another_folder())
        if yes or self.format is not Format.TEXT or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise told
        return self._further_down(told).project(lock_timeout, ahead)

    def _words_for_another_folder(self) -> list[str]:
        """The typed words, for use in another folder, where a relative ``--python`` would be a different path."""
        given = self.typed.get("--python", ())
        there = {
            spelled: spelled.replace(one, self.python or one) for one in given for spelled in (one, f"--python={one}")
        }
        return [there.get(word, word) for word in _words_typed()]

    def _further_down(self, missing: errors.NoConfig) -> Call:
        if len(missing.found) != 1 or missing.found[0].app:
            raise missing
        (one,) = missing.found
        within = f", from within {one.folder}" if one.folder else ""
        self.tell(f"There is {missing.message.partition(': ')[0]}. ")
        from alembic_rescue.cli import asking

        if asking.answered(self, f"Use {one.file}{within}? [y/N]: ").lower() not in {"y", "yes"}:
            raise missing
        if one.folder:
            os.chdir(one.folder)
        return replace(self, config=(str(Path(one.file).relative_to(one.folder or ".")),))

    def receipt_folder(self, settings: dict[str, str]) -> Path:
        """``--receipts``, else the project's setting, else the user's own folder."""
        from alembic_rescue.records import receipts

        return self.receipts or receipts.folder_of(settings)

    @property
    def is_document(self) -> bool:
        """Whether everything on stdout, including errors, is formatted for something other than a terminal."""
        return self.format in {Format.MARKDOWN, Format.HTML, Format.GITHUB}

    def answer(self, text: str) -> None:
        """Write the answer to stdout: a text, or part of a document, whose secrets are already removed."""
        if not self.is_document:
            told = self._told(text)
            write(told)
            self._explain_variables(told)
            return
        if self.format is Format.GITHUB:
            _FOR_GITHUB.take(text)
            return
        if self.format is Format.HTML and not _BEGUN:
            from alembic_rescue.report import html

            _BEGUN.append(self.format.value)
            write(html.head())
        write(text)

    def _explain_variables(self, told: str) -> None:
        """Explain the variables in printed commands, after the commands."""
        named = [name for name in ("ALEMBIC_RESCUE_URL", "ALEMBIC_RESCUE_SCRATCH") if f'"${name}"' in told]
        if named:
            self.tell(f"note: first set {errors.listed(named)} to what you passed; passwords are never printed\n")

    def answer_sentence(self, text: str) -> None:
        """Write sentences to stdout, each line separately."""
        page = self.style(sys.stdout)["page"]
        for line in text.splitlines():
            page.line(line)
        self.answer(page.text())

    def finish(self) -> None:
        """Write the answers of a format that needs all of them first."""
        _FOR_GITHUB.finish(write, self.tell)

    def answer_json(self, content: Mapping[str, Any]) -> None:
        """Write a JSON document to stdout."""
        from alembic_rescue.report import json as report_json

        write(report_json.dumped(content, self._told))

    def tell(self, text: str) -> None:
        """Write anything else to stderr."""
        text = self._told(text)
        if self.format is Format.GITHUB:
            from alembic_rescue.report import annotations

            text = annotations.harmless(text)
        with suppress(BrokenPipeError):
            sys.stderr.write(_sayable(text, sys.stderr))
            sys.stderr.flush()

    def tell_env(self, line: str) -> None:
        """With ``--debug``, pass on a line that env.py or Alembic printed."""
        if self.debug:
            self.tell(f"env.py| {line}\n")

    def _told(self, text: str) -> str:
        """Remove secrets, and add the typed options to the commands in the text, which then select the same project."""
        if only := _typed_only():
            text = _LOOKS.sub(lambda found: f"{found[0]} --only {shlex.quote(only)}", text)
        text = _OWN_COMMAND.sub(lambda _: " ".join([COMMAND, *_words(self.typed)]), text)
        return self.secrets.net(_ALEMBICS.sub(lambda found: _alembics(self.typed, found["verb"]), text))

    @property
    def upgrade(self) -> str:
        """The project's own upgrade command, without a revision."""
        return _alembics(self.typed, "upgrade")

    def style(self, stream: Any) -> dict[str, Any]:
        """The page for a stream.  Only stdout's has the requested format."""
        from alembic_rescue.report import pages

        if stream is sys.stdout and self.format is Format.GITHUB:
            return {"page": _FOR_GITHUB.page(self._told)}
        if stream is sys.stdout and self.is_document:
            return {"page": pages.of(self.format.value, self._told)}
        terminal = stream.isatty()
        width = shutil.get_terminal_size().columns if terminal or os.environ.get("COLUMNS") else _UNWRAPPED
        return {"page": pages.Page(width, color=self.color and terminal)}


def keep_stdout_for_the_answer() -> None:
    """Give stdout a separate descriptor: what env.py, or a process that it starts, writes to 1 goes to stderr."""
    if sys.stdout is None or sys.stderr is None:  # closed by the caller
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as the process lives
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
        return
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = ANSWERS[0] = os.fdopen(answers, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)


def write(text: str) -> None:
    """Write to stdout.  The exit status stays, even if its reader has gone or its disk is full."""
    try:
        sys.stdout.write(_sayable(text, sys.stdout))
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            with suppress(OSError):
                sys.stderr.write(f"warning[answer-not-written]: the answer could not be written: {error.strerror}\n")


def _sayable(text: str, stream: Any) -> str:
    """The text, with substitutes for characters that the stream's encoding lacks."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding, stream.errors or "strict")
    except UnicodeEncodeError:
        from alembic_rescue.report import chain

        return text.translate(chain.PLAIN).encode(encoding, "replace").decode(encoding)
    return text


def _words(options: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The options as typed in a shell; a value that begins with ``$ALEMBIC_RESCUE_`` stays a variable."""
    return [word for option, values in options.items() for value in values for word in (option, _quoted(value))]


def _quoted(value: str) -> str:
    return f'"{value}"' if value.startswith("$ALEMBIC_RESCUE_") else shlex.quote(value)


def _alembics(typed: Mapping[str, tuple[str, ...]], verb: str) -> str:
    """The project's own command for Alembic's `verb`."""
    if "--config-from" in typed:
        return f"your own {verb}"
    alike = {option: typed[option] for option in ("-c", "-n", "-x") if option in typed}
    if "--app" in typed:
        application = _words({"--app": typed["--app"]})
        return " ".join([_program(typed, "flask"), *application, f"db {verb}", *_words({"-x": typed.get("-x", ())})])
    return " ".join([_program(typed, "alembic"), *_words(alike), verb])


def _program(typed: Mapping[str, tuple[str, ...]], name: str) -> str:
    """A command of the project; run by its Python if that was given, so that it is found."""
    (python,) = typed.get("--python", ("",))
    inside = os.path.join(python, "bin", "python")  # noqa: PTH118 - ./ stays
    return f"{shlex.quote(inside if os.path.isdir(python) else python)} -m {name}" if python else name  # noqa: PTH112


def _typed_only() -> str | None:
    """The value of ``--only``."""
    words = sys.argv[1:]
    named = (one.partition("=")[2] for one in words if one.startswith("--only="))
    return next(named, words[words.index("--only") + 1] if "--only" in words[:-1] else None)


def _words_typed() -> list[str]:
    """The arguments of the program, without ``-c``."""
    words: list[str] = []
    left_out = False
    for word in sys.argv[1:]:
        if not (left_out or word in {"-c", "--config"} or word.startswith(("--config=", "-c="))):
            words.append(word)
        left_out = word in {"-c", "--config"}
    return words


def working(call: Call, doing: str) -> Shown:
    """Show on stderr that work is going on, until it ends."""
    from alembic_rescue.cli.progress import Shown

    return Shown(doing, call.tell, color=call.color, quiet=call.debug)


def answer_report(call: Call, report: Report) -> None:
    """Write a report to stdout, as JSON."""
    from alembic_rescue.report import json as report_json

    call.answer_json(report_json.document(report))


def answer_written(call: Call, report: Report) -> None:
    """Write the result of a stamp or an undo to stdout."""
    from alembic_rescue.model import Outcome
    from alembic_rescue.records import receipts as kept
    from alembic_rescue.report import text, written

    try:
        if call.format is Format.JSON:
            answer_report(call, report)
        elif report.receipt is not None and report.outcome is Outcome.COMPLETED:
            call.answer(written.completed(report, kept.read(report.receipt), **call.style(sys.stdout)))
        elif report.receipt is None:
            call.answer(text.plan(report, **call.style(sys.stdout)))
        else:
            call.answer(written.stamped(report, kept.read(report.receipt), **call.style(sys.stdout)))
    except KeyboardInterrupt as interrupt:
        done = f"after it was verified; receipt {report.receipt}" if report.receipt else "nothing was written"
        raise errors.Interrupted(done) from interrupt

"""`kdl test`: the tests beside rules, once or after every change, and the rules that none of them reaches."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from kdl.runtime.shell.program import alone_option, compiled, is_in, output_option

if TYPE_CHECKING:
    from kdl.rules.profile import Coverage
    from kdl.rules.program import Program
    from kdl.rules.testing import Result

POLL = 0.3
"""How often files are looked at, in seconds."""
WATCHED = (".dl", ".yaml", ".yml", ".json")


class Ran(NamedTuple):
    """A test's result and how long it took."""

    result: Result
    seconds: float


@click.command("test")
@click.argument("packs", nargs=-1, type=click.Path())
@click.option("-k", "chosen", default="", help="Only the tests whose name contains this.")
@click.option("-v", "--verbose", is_flag=True, help="Name the tests that pass, too.")
@click.option("--coverage", "covered", is_flag=True, help="Tell which rules never derived anything in any test.")
@click.option("--junit", type=click.Path(dir_okay=False), help="Write the results for a CI system to this file.")
@click.option("--watch", is_flag=True, help="Run again whenever a file changes, until interrupted.")
@alone_option
@output_option
def test_command(
    packs: tuple[str, ...], chosen: str, verbose: bool, covered: bool, junit: str | None, watch: bool, alone: bool,
    output: str,
) -> int:  # fmt: skip
    """Run the tests in PACKS; without any, those of the shipped packs."""

    def once() -> int:
        from kdl.rules.profile import Coverage

        program = compiled(packs, alone)
        coverage = Coverage() if covered else None
        started = time.monotonic()
        ran = []
        for one in _ran(_with_tests_of(program, packs), chosen, coverage):
            ran.append(one)
            if output == "text":
                _tell(one.result, verbose)
        if junit is not None:
            _write_junit(Path(junit), ran)
        missing = _coverage(program, packs, coverage) if coverage is not None else None
        if output == "json":
            click.echo(json.dumps(_json(ran, missing), indent=2))
        else:
            failed = sum(not one.result.passed for one in ran)
            seconds = time.monotonic() - started
            click.echo(f"{len(ran) - failed} passed, {failed} failed in {seconds:.1f} s")
            if missing is not None:
                _tell_coverage(missing)
        if not ran:
            click.echo("error: there are no such tests", err=True)
        return 0 if ran and all(one.result.passed for one in ran) else 1

    return _again_and_again(once, packs) if watch else once()


def _ran(program: Program, chosen: str, coverage: Coverage | None) -> Iterator[Ran]:
    from kdl.fact import Fact
    from kdl.parser.manifest.load import load
    from kdl.rules.engine import Engine
    from kdl.rules.testing import run_tests
    from kdl.runtime.shell.scratch import facts_of

    def loader(path: str) -> Iterable[Fact]:
        return [fact for fact, _ in facts_of(load([path]))]

    started = time.monotonic()
    for result in run_tests(program, loader, lambda rules: Engine(rules, observer=coverage), chosen):
        yield Ran(result, time.monotonic() - started)
        started = time.monotonic()


def _tell(result: Result, verbose: bool) -> None:
    if result.failure is not None:
        click.echo(f"failed: {result.test.name}\n  " + str(result.failure).replace("\n", "\n  "))
    elif verbose:
        click.echo(f"passed: {result.test.name}")


def _with_tests_of(program: Program, packs: tuple[str, ...]) -> Program:
    """The program with the tests of these files and folders only, if there are any."""
    from dataclasses import replace

    return replace(program, tests=tuple(test for test in program.tests if is_in(packs, test.span)))


def _json(ran: list[Ran], covered: list[Covered] | None) -> dict[str, Any]:
    passed = sum(one.result.passed for one in ran)
    told: dict[str, Any] = {
        "passed": passed,
        "failed": len(ran) - passed,
        "tests": [
            {
                "name": result.test.name,
                "place": str(result.test.span),
                "passed": result.passed,
                "seconds": round(seconds, 4),
                "failure": str(result.failure or "") or None,
            }
            for result, seconds in ran
        ],
    }
    if covered is not None:
        told["coverage"] = [
            {
                "pack": pack.name,
                "rules": pack.rules,
                "derived": pack.rules - len(pack.missing),
                "missing": [{"place": place, "head": head} for place, head in pack.missing],
            }
            for pack in covered
        ]
    return told


# --- coverage --------------------------------------------------------------------------------------------------------


class Covered(NamedTuple):
    """A pack, how many rules it has, and those that never derived anything: where they are and what they would."""

    name: str
    rules: int
    missing: list[tuple[str, str]]

    @property
    def percent(self) -> int:
        """How many of a hundred rules have derived something; 100 only for all of them."""
        return 100 * (self.rules - len(self.missing)) // self.rules if self.rules else 100


def _coverage(program: Program, packs: tuple[str, ...], coverage: Coverage) -> list[Covered]:
    """Pack by pack: a pack is a folder of rules."""
    from kdl.rules.profile import counted
    from kdl.rules.wording import source_text

    found: dict[str, Covered] = {}
    missing = {id(rule) for rule in coverage.missing(program)}
    for rule in counted(program):
        if is_in(packs, rule.span):
            folder = Path(rule.span.file).resolve().parent
            pack = found.setdefault(str(folder), Covered(folder.name, 0, []))
            if id(rule) in missing:
                pack.missing.append((f"{rule.span.file}:{rule.span.line}", source_text(program, rule.head)))
            found[str(folder)] = pack._replace(rules=pack.rules + 1)
    return [found[folder] for folder in sorted(found)]


def _tell_coverage(packs: list[Covered]) -> None:
    here = Path.cwd()
    for pack in packs:
        for place, head in pack.missing:
            path = Path(place)
            text = str(path.relative_to(here)) if path.is_relative_to(here) else place
            click.echo(f"never derived: {text}  {' '.join(head.split())[:100]}")
    total = Covered("all", sum(pack.rules for pack in packs), [one for pack in packs for one in pack.missing])
    for pack in [*packs, *([total] if len(packs) > 1 else [])]:
        derived = pack.rules - len(pack.missing)
        click.echo(f"{pack.percent:>3} % of rules derived something in {pack.name} ({derived} of {pack.rules})")


# --- for CI systems --------------------------------------------------------------------------------------------------


def _write_junit(file: Path, ran: list[Ran]) -> None:
    """The results in JUnit's XML, one suite for each file of tests."""
    from xml.etree import ElementTree as xml

    root = xml.Element("testsuites", name="kdl")
    suites: dict[str, list[Ran]] = {}
    for one in ran:
        suites.setdefault(one.result.test.span.file, []).append(one)
    for name, tests in suites.items():
        failed = sum(not one.result.passed for one in tests)
        seconds = f"{sum(one.seconds for one in tests):.3f}"
        suite = xml.SubElement(
            root, "testsuite", name=name, tests=str(len(tests)), failures=str(failed), errors="0", time=seconds
        )
        for one in tests:
            test, failure = one.result.test, one.result.failure
            case = xml.SubElement(
                suite, "testcase", classname=Path(name).stem, name=test.name, file=name, line=str(test.span.line),
                time=f"{one.seconds:.3f}",
            )  # fmt: skip
            if failure is not None:
                xml.SubElement(case, "failure", message=failure.message).text = str(failure)
    file.write_bytes(xml.tostring(root, "utf-8", xml_declaration=True))


# --- again after every change ----------------------------------------------------------------------------------------


def _again_and_again(once: Callable[[], int], packs: tuple[str, ...]) -> int:
    """Run, and run again when a file of the packs has changed; mistakes are told and waited out."""
    from kdl.parser.diagnostic import Mistakes
    from kdl.parser.source import shipped

    folders = [Path(pack) for pack in packs] or shipped()
    while True:
        before = _stamps(folders)
        try:
            once()
        except Mistakes as error:
            click.echo(error.render(), err=True)
        click.echo("waiting for a change; interrupt to end", err=True)
        while _stamps(folders) == before:
            time.sleep(POLL)


def _stamps(paths: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """The files of rules and manifests with their times and sizes."""
    found = {}
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.suffix in WATCHED and file.is_file():
                status = file.stat()
                found[file] = (status.st_mtime_ns, status.st_size)
    return found

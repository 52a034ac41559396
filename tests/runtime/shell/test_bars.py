"""Deployments on their way are bars at the foot of a terminal."""

from io import StringIO

from rich.console import Console

from kdl.runtime.shell.bars import Bars, available


def deployment(name: str, wanted: int, ready: int, generation: int = 1, seen: int = 1) -> dict:
    status = {"updatedReplicas": ready, "availableReplicas": ready, "observedGeneration": seen}
    metadata = {"namespace": "default", "name": name, "generation": generation}
    return {"metadata": metadata, "spec": {"replicas": wanted}, "status": status}


def test_a_deployment_has_a_bar_until_it_is_available():
    out = StringIO()
    with Bars(Console(file=out, force_terminal=True, width=80)) as bars:
        bars.show([deployment("web", 3, 1), deployment("done", 2, 2)])
        bars.echo("#1 a line")
        bars.show([deployment("web", 3, 3)])
    shown = out.getvalue()
    assert "default/web" in shown
    assert "1/3" in shown
    assert "#1 a line" in shown
    assert "default/done" not in shown


def test_where_there_is_no_terminal_nothing_but_lines_is_written(capsys):
    out = StringIO()
    with Bars(Console(file=out)) as bars:
        bars.show([deployment("web", 3, 1)])
        bars.echo("#1 a line")
    assert out.getvalue() == ""
    assert capsys.readouterr().out == "#1 a line\n"


def test_a_status_of_an_older_template_makes_nothing_available():
    assert available(deployment("web", 3, 3))
    assert not available(deployment("web", 3, 3, generation=2, seen=1))

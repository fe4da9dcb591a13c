"""`agd test`: the testing framework as a tool of its own, one command a file."""

from __future__ import annotations

from cyclopts import App

app = App(name="test", help="Find, run, cover, generate, judge and suggest tests, in five languages.")
app.command("agentic_diffusion.cli.test_run:run", name="run", help="Run the tests of a project, each file apart.")
app.command("agentic_diffusion.cli.test_mutate:mutate", name="mutate", help="Which small changes go unnoticed?")
app.command("agentic_diffusion.cli.test_history:history", name="history", help="How tests and coverage went over time.")
app.command("agentic_diffusion.cli.test_generate:generate", name="generate", help="Write tests for a Python program.")
app.command("agentic_diffusion.cli.test_suggest:suggest", name="suggest", help="What to do next about the tests.")

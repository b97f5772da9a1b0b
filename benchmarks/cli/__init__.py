"""What all commands share: their arguments, how a person's mistake is shown, and where tables and progress go."""

from benchmarks.cli.arguments import (
    HIGHLIGHT,
    Arguments,
    Parser,
    add_costs,
    add_data_root,
    add_highlight,
    add_results,
    command_parser,
)
from benchmarks.cli.guard import Main, cannot, guarded
from benchmarks.cli.screen import console, next_step, progress, say, warn
from benchmarks.cli.texts import duration, masked, visible

__all__ = [
    "HIGHLIGHT",
    "Arguments",
    "Main",
    "Parser",
    "add_costs",
    "add_data_root",
    "add_highlight",
    "add_results",
    "cannot",
    "command_parser",
    "console",
    "duration",
    "guarded",
    "masked",
    "next_step",
    "progress",
    "say",
    "visible",
    "warn",
]

"""The arguments of a command: a parser that is strict, its help with examples, and the options of many commands."""

import argparse
import re
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from methods.errors import UserError

HIGHLIGHT = "adapterx"  # the method that stands out in figures if no other is asked for


class Arguments(Protocol):
    """Takes arguments: a parser, or one group of a parser."""

    def add_argument(self, *names: str, **settings: Any) -> Any: ...
    def add_mutually_exclusive_group(self) -> Any: ...


class Parser(argparse.ArgumentParser):
    """A parser that tells a mistake in one line, reads numbers strictly, and refuses an option that is given twice."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.given: set[str] = set()
        self.register("action", None, _Once)
        for kind, strict in ((int, _whole), (float, _number), (Path, _path)):
            self.register("type", kind, strict)

    def parse_known_args(self, *args: Any, **named: Any) -> Any:
        """Parse arguments, and forget those of an earlier call."""
        self.given.clear()
        return super().parse_known_args(*args, **named)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments in one line.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; {self.prog} --help shows what can be given")


class _Once(argparse._StoreAction):
    """Stores the values of an option. A second time would replace the first without a word, so it is refused."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if option_string and self.dest in parser.given:
            raise argparse.ArgumentError(self, "given twice; give it once, with all its values")
        parser.given |= {self.dest} if option_string else set()
        super().__call__(parser, namespace, values, option_string)


def _whole(text: str) -> int:
    """A whole number. Python would also read 010, 1_0 and digits of other scripts."""
    if not re.fullmatch("-?(0|[1-9][0-9]{0,39})", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number; give one such as 8")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", text, re.IGNORECASE):
        raise argparse.ArgumentTypeError(f"'{text}' is no number; give one such as 0.5 or 1e-3")
    return float(text)


def _path(text: str) -> Path:
    if not text:  # Path("") is the current folder
        raise argparse.ArgumentTypeError("the name is empty; is a variable of your shell not set?")
    return Path(text)


def command_parser(verb: str, description: str, examples: Mapping[str, str]) -> Parser:
    """Make the parser of ``python -m benchmarks.VERB``, whose help ends with examples.

    ``examples`` maps one line about each example to its arguments: ``{"train LoRA": "--methods lora"}``.
    """
    command = f"python -m benchmarks.{verb}"
    lines = [line for about, words in examples.items() for line in (f"  # {about}", f"  {command} {words}".rstrip())]
    return Parser(
        prog=command,
        description=textwrap.fill(description, shutil.get_terminal_size().columns - 2),
        epilog="\n".join(["examples:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_results(arguments: Arguments, holds: str = "folder that holds the records") -> None:
    """Add ``--results``, the folder that holds the records and what is made from them."""
    folder = Path("results")
    arguments.add_argument("--results", type=Path, default=folder, metavar="DIR", help=f"{holds} (default: {folder})")


def add_highlight(arguments: Arguments) -> None:
    """Add ``--highlight``, the method that stands out in figures."""
    what = f"the method that stands out in figures (default: {HIGHLIGHT})"
    arguments.add_argument("--highlight", default=HIGHLIGHT, metavar="METHOD", help=what)


def add_costs(arguments: Arguments) -> None:
    """Add ``--costs``, which shows what runs cost."""
    arguments.add_argument("--costs", action="store_true", help="also show what runs cost: time, memory, operations")


def add_data_root(arguments: Arguments) -> None:
    """Add ``--data-root``, the folder that holds the data sets."""
    default = "folder that holds the data sets (default: $PEFT_BENCH_DATA, else data)"
    arguments.add_argument("--data-root", type=Path, metavar="DIR", help=default)

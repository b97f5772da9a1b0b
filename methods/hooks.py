"""The forward hooks that methods act through, and the tap that carries a tensor from one hook to a later one.

A hook is a partial of one of these functions, because deepcopy copies the arguments of a partial and never a closure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor, nn

TokenMap: TypeAlias = Callable[[Tensor], Tensor]
Arguments: TypeAlias = tuple[Tensor, ...]  # of a module's forward


class Tap:
    """Hands one tensor from one place of a forward pass to a later place. It is never copied and never saved."""

    def __init__(self) -> None:
        self.value: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Tap:
        return Tap()  # a tensor with a gradient history cannot be copied

    def put(self, value: Tensor) -> None:
        """Put a tensor in."""
        self.value = value

    def take(self) -> Tensor:
        """Return the tensor and leave the tap empty."""
        value = self.look()
        self.value = None
        return value

    def look(self) -> Tensor:
        """Return the tensor and leave it there: checkpointing computes a block a second time."""
        assert self.value is not None, "nothing has passed this tap since it was last taken"
        return self.value


def change_input(f: TokenMap, module: nn.Module, args: Arguments) -> Arguments:
    """The module reads f(x) in place of x."""
    return (f(args[0]), *args[1:])


def exchange_tokens(f: TokenMap, module: nn.Module, args: Arguments) -> Arguments:
    """The module reads the sequence f(x) in place of x: tokens join it or take the place of others."""
    return (f(args[0]), *args[1:])


def exchange_output_tokens(f: TokenMap, module: nn.Module, args: Arguments, output: Tensor) -> Tensor:
    """The module returns the sequence f(y) in place of y: tokens join it or take the place of others."""
    return f(output)


def change_output(f: TokenMap, module: nn.Module, args: Arguments, output: Tensor) -> Tensor:
    """The module returns f(y) in place of y."""
    return f(output)


def replace_output(f: TokenMap, module: nn.Module, args: Arguments, output: Tensor) -> Tensor:
    """The module returns f(x). What it computed itself is not used."""
    return f(args[0])


def add_beside(f: TokenMap, module: nn.Module, args: Arguments, output: Tensor) -> Tensor:
    """The module returns y + f(x)."""
    return output + f(args[0])


def add_beside_linear(f: TokenMap, module: nn.Module, args: Arguments, output: Tensor) -> Tensor:
    """The module, a linear, returns y + f(x), computed in place.

    Its backward pass does not need y, and a new tensor would cost as much time as the sum.
    """
    return output.add_(f(args[0]))


def add_beside_rows(f: TokenMap, rows: slice, module: nn.Module, args: Arguments, output: Tensor) -> Tensor:
    """The module, a linear, returns y with f(x) added to the features that these rows of its weight compute."""
    if rows == slice(0, output.shape[-1]):
        return output.add_(f(args[0]))
    output[..., rows] += f(args[0])
    return output


def add_by_itself(f: Any, module: nn.Module, args: Arguments, output: Tensor) -> Tensor:
    """The module returns y + f(x), where f adds itself to y in place."""
    added: Tensor = f.add_to(output, args[0])
    return added


def fill_tap(tap: Tap, module: nn.Module, args: Arguments) -> None:
    """The module's input goes into the tap; nothing changes."""
    tap.value = args[0]


def read_input(f: Callable[[Tensor], None], module: nn.Module, args: Arguments) -> None:
    """f gets the module's input; nothing changes."""
    f(args[0])


def read_output(f: Callable[[Tensor], None], module: nn.Module, args: Arguments, output: Tensor) -> None:
    """f gets what the module returns; nothing changes."""
    f(output)


def add_tapped(f: TokenMap, tap: Tap, module: nn.Module, args: Arguments, output: Tensor) -> Tensor:
    """The module returns y + f(the tensor in the tap)."""
    return output + f(tap.take())


def add_tapped_before(f: TokenMap, tap: Tap, module: nn.Module, args: Arguments) -> Arguments:
    """The module reads x + f(the tensor in the tap) in place of x."""
    return (args[0] + f(tap.take()), *args[1:])


def only_reads(hook: object) -> bool:
    """Whether a hook reads a module's input or output and changes nothing."""
    return getattr(hook, "func", None) in (fill_tap, read_input, read_output)

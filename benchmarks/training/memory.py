"""Memory that ran out, told from other errors."""

import torch


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out. On a CPU, torch raises a RuntimeError that only its text tells."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def told(error: BaseException) -> str:
    """The first line of such an error, or a plain one."""
    return str(error).partition("\n")[0] or "out of memory"

"""Task files in the format that PETL-ViT publishes, written from its description, one weight at a time."""

import struct
from statistics import NormalDist, fmean, stdev

MEDIAN = NormalDist().inv_cdf(0.75)


def projection(weight):
    """The bytes of one matrix: its bits, the lowest first, then its mean and its deviation."""
    entries = weight.flatten().tolist()
    mean, deviation = fmean(entries), stdev(entries)
    content = bytearray()
    for start in range(0, len(entries), 8):
        content.append(sum((entry > mean) << place for place, entry in enumerate(entries[start : start + 8])))
    return bytes(content) + struct.pack("<2f", mean, deviation)


def projections(method):
    """The matrices of a method in the order of a file."""
    if hasattr(method, "branches"):
        pairs = [branch[-1] for branch in method.branches]
    else:
        pairs = [update.updates[part] for update in method.updates for part in ("q", "v")]
    return [matrix.weight for pair in pairs for matrix in (pair.down, pair.up)]


def content(method, head, *, binary_head):
    """The whole file of a method and its head."""
    numbers = [*head.weight.flatten().tolist(), *head.bias.tolist()]
    last = projection(head.weight) if binary_head else struct.pack(f"<{len(numbers)}f", *numbers)
    return b"".join(projection(weight) for weight in projections(method)) + last


def one_bit_head(head):
    """Make a head what the file of a binary head holds: two values and no bias."""
    entries = head.weight.flatten().tolist()
    mean, deviation = fmean(entries), stdev(entries)
    values = [mean + deviation * (MEDIAN if entry > mean else -MEDIAN) for entry in entries]
    head.weight.data = head.weight.new_tensor(values).view_as(head.weight)
    head.bias.data.zero_()

"""How a backbone is named: NAME[:SIZE][@FILE]."""

import re
from typing import NamedTuple

HUB = "hf-hub:"  # before OWNER/REPOSITORY, for a model of timm's that somebody keeps on the Hugging Face hub
SOURCES = re.compile(r"(?:hf[-_]hub:)?(?=[^/]+/)")  # other ways to write it
TIMM = "timm/"  # the owner of timm's own weights, whose repositories have the names of its models
SIZE = re.compile(r":([1-9]\d{0,4})$")


class Name(NamedTuple):
    """The parts of a backbone's name.

    Attributes:
        model: vit_nano, a name of timm, hf-hub:OWNER/REPOSITORY, or a name of a point transformer.
        size: the side of the images in pixels, if it is not that of the pretraining.
        file: the file of the weights; empty for weights of the model's own.
    """

    model: str
    size: int | None
    file: str

    @property
    def plain(self) -> str:
        """NAME[:SIZE], which identifies a backbone beside the digest of its weights; the path of a file does not."""
        return self.model if self.size is None else f"{self.model}:{self.size}"

    @property
    def elsewhere(self) -> str:
        """The whole name for other machines: the file of the weights without its folder."""
        return str(self._replace(file=self.file.replace("\\", "/").rpartition("/")[2]))

    def __str__(self) -> str:
        return f"{self.plain}@{self.file}" if self.file else self.plain


def parse(name: str) -> Name:
    """The parts of NAME[:SIZE][@FILE].

    timm/NAME, hf-hub:timm/NAME and hf_hub:timm/NAME are timm's own NAME. What is no size stays part of the model's
    name, and is refused as one.

    >>> parse("hf_hub:timm/vit_small_patch14_dinov2.lvd142m:224@weights.pth")
    Name(model='vit_small_patch14_dinov2.lvd142m', size=224, file='weights.pth')
    """
    given, _, file = name.partition("@")
    size = SIZE.search(given)
    plain = given[: size.start()] if size else given
    model = SOURCES.sub(HUB, plain, count=1) if SOURCES.match(plain) else plain
    return Name(model.removeprefix(HUB + TIMM), int(size[1]) if size else None, file)

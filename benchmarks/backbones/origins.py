"""Which model a checkpoint of points is of, by the names of its tensors."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from methods.errors import check

FEWER = "_1k"  # ends the name of a backbone for 1,024 points
START = r"(^|\.)sos$"  # the start token, which every PointGPT has; its width tells the size
SIZES = {
    384: ("PointGPT-S", ("point_gpt_small",)),
    768: ("PointGPT-B", ("point_gpt_base",)),
    1024: ("PointGPT-L", ("point_gpt_large",)),
}
MARKS = (  # names that only one model's files have, what that model is called, and the backbones that may load it
    (r"^ACT_encoder\.", "ACT", ("point_act",)),
    (r"_contrast\.|(^|\.)img_token$", "ReCon", ("point_recon",)),
    (r"\.(cls|lem)\.conv1\.", "Point-FEMAE", ("point_femae",)),
    (r"^transformer_q\.|(^|\.)reduce_dim\.", "Point-BERT", ("point_bert",)),
    (
        *(r"(^|\.)pos_embed\.0\.weight$", "Point-MAE, ACT or ReCon"),
        ("point_mae", "point_act", "point_recon", "point_nano"),  # one architecture
    ),
    (r"^patch_embed\.", "a transformer for images", ()),  # elsewhere in a name it is of ReCon's teacher
)


def check_origin(tensors: Mapping[str, Tensor], backbone: str) -> None:
    """Refuse tensors whose published names show that they are of another model.

    Raises:
        UserError: they are; the line says what they look like, and which backbone loads them.
    """
    width = next((tensor.numel() for name, tensor in tensors.items() if re.search(START, name)), None)
    marked = (mark[1:] for mark in MARKS if _any(mark[0], tensors))
    model = backbone.removesuffix(FEWER)
    title, fits = SIZES[width] if width in SIZES else next(marked, ("", (model,)))
    known = f"give it as {fits[0]}{backbone.removeprefix(model)}@FILE" if fits else "this backbone takes points"
    check(model in fits, f"it looks like a checkpoint of {title}; {known}")


def _any(pattern: str, names: Iterable[str]) -> bool:
    return any(re.search(pattern, name) for name in names)

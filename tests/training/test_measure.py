"""Operations of the embedded backbones, attention on a CPU included, equal closed forms."""

import pytest
import torch

from benchmarks.training import measure, model

WIDTH, TOKENS, DEPTH, RANK = 96, 17, 12, 8
PRODUCTS = 12 * WIDTH**2 + 2 * RANK * WIDTH + 2 * RANK * 3 * WIDTH  # of the linears of a block and of LoRA on q and v
BLOCKS = DEPTH * (TOKENS * PRODUCTS + 2 * TOKENS**2 * WIDTH)  # with q k and the sum of v, over all heads
STEM = 16**2 * 27 * 24 + 8**2 * 9 * 24 * 48 + 4**2 * 9 * 48 * 96 + 16 * WIDTH**2  # convolutions, then the projection
NEIGHBORS = 16 * 16 * (3 * 32 + 32 * 64 + 128 * 96 + 96 * WIDTH)
POSITIONS = 16 * (3 * 64 + 64 * WIDTH)
CASES = [
    ("digits", (3, 32, 32), STEM + BLOCKS + WIDTH * 10),
    ("solids", (256, 3), NEIGHBORS + POSITIONS + BLOCKS + 2 * WIDTH * 96 + 96 * 96 + 96 * 20),
]


@pytest.mark.parametrize(("task", "shape", "products"), CASES)
def test_operations_of_an_embedded_backbone_equal_the_closed_form(task, shape, products, specs):
    (spec,) = specs("lora", tasks=(task,))
    counted = measure.forward_flops(model.build(spec), torch.rand(2, *shape))
    assert counted == 2 * products
    assert task == "solids" or counted == 52_242_816

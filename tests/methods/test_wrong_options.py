"""A wrong option is refused in one line that says what is allowed."""

import pytest
from timm.layers import SwiGLU

import methods
from benchmarks import backbones
from methods.errors import UserError
from tests.support import tiny

AT_LEAST_1 = [
    *((name, "hidden") for name in ("adapter", "adaptformer", "adapterx", "bi_adaptformer", "convpass", "dapt")),
    *((name, "hidden") for name in ("mosa", "repadapter", "adapter_plus", "arc")),
    *((name, "rank") for name in ("bi_lora", "dtl", "dtl_plus", "fact_tk", "fact_tt", "glora")),
    *((name, "rank") for name in ("hydra", "lora", "mlae")),
    *((name, "prompts") for name in ("vpt_deep", "vpt_shallow")),
    *(("adapterx", field) for field in ("experts", "heads", "routing_dim")),
    *(("noah", field) for field in ("supernet_epochs", "population", "parents", "max_params")),
    *(("idpt", "neighbors"), ("mosa", "copies"), ("repadapter", "groups"), ("apla", "rows"), ("gps", "inputs")),
    *((name, field) for name in ("spt_adapter", "spt_lora") for field in ("rank", "batches")),
    *(("spt_lora", field) for field in ("matrix_ratio", "vector_ratio")),
]
OTHERS = [
    ("adapter", {"position": "fnn"}, "unknown position 'fnn'; did you mean 'ffn'? known: both, ffn"),
    ("adapterx", {"experts": 17}, "experts=17 must be at most routing_dim=16"),
    ("adapterx", {"variant": "x"}, "unknown variant 'x'; known: dynamic, parallel, sequential"),
    ("adapter_plus", {"drop_path": 1}, "drop_path=1.0 must be below 1"),
    ("arc", {"position": "mhsa"}, "unknown position 'mhsa'; known: attention, both"),
    ("bi_lora", {"targets": []}, "targets=() must be different and not empty"),
    ("convpass", {"conv": "zero"}, "unknown conv 'zero'; known: identity, xavier"),
    ("dapt", {"head_prompts": "no"}, "head_prompts='no' must be of type bool"),
    (
        "dapt",
        {"rank": 64},
        "unknown option 'rank'; known: dropout, head_patches, head_prompts, hidden, lr, positions, weight_decay",
    ),
    ("dtl_plus", {"kernel": 4}, "kernel=4 must be odd"),
    ("fact_tt", {"scale": -1}, "scale=-1.0 must be a finite number that is not negative"),
    ("mlae", {"targets": ["q", "q"]}, "targets=('q', 'q') must be different and not empty"),
    ("hta", {"targets": []}, "targets=() must be different and not empty"),
    ("idpt", {"block": "last"}, "block='last' must be of type int"),
    ("idpt", {"block": -1}, "block=-1 must be a finite number that is not negative"),
    ("lora", {"targets": []}, "targets=() must be different and not empty"),
    ("lora", {"targets": ["q", "q"]}, "targets=('q', 'q') must be different and not empty"),
    ("lora", {"shared": True}, "shared=True is one update of q, k and v; targets=('q', 'v') must have them"),
    ("lora", {"targets": ["o"]}, "unknown targets 'o'; known: fc1, fc1_g, fc1_x, fc2, k, proj, q, v"),
    ("mosa", {"split": "x"}, "unknown split 'x'; known: both, down, up"),
    ("noah", {"widths": ()}, "widths=() must be positive and not empty"),
    ("noah", {"widths": (0, 5)}, "widths=(0, 5) must be positive and not empty"),
    ("noah", {"supernet_lr": 0.0}, "supernet_lr=0.0 must be positive"),
    ("repadapter", {"hidden": 6, "groups": 4}, "hidden=6 must be a multiple of groups=4"),
    ("snell", {"rank": 7}, "rank=7 must be even: half of it is for each of two distances"),
    ("snell", {"targets": ["q", "q"]}, "targets=('q', 'q') must be different"),
    ("ssf", {"rank": 8}, "unknown option 'rank'; known: lr, weight_decay"),
    ("vpt_deep", {"prompts": "many"}, "prompts='many' must be of type int"),
    (
        "vpt_deep",
        {"prompt": 5},
        "unknown option 'prompt'; did you mean 'prompts'? known: dropout, lr, prompts, weight_decay",
    ),
]
CASES = [
    *((name, {field: 0}, f"{field}=0 must be at least 1") for name, field in AT_LEAST_1),
    *((n, {"dropout": 1}, "dropout=1.0 must be below 1") for n in methods.METHODS if "dropout" in methods.defaults(n)),
    *((name, {"lr": 0}, "lr=0.0 must be positive") for name in methods.METHODS),
    *OTHERS,
]
ON_A_BACKBONE = [
    ("e2vpt", "image", {"pieces": 49}, "pieces=49 must be at most the token width 48"),
    ("adapterx", "image", {"heads": 5}, "heads=5 must divide the token width 48"),
    *(
        ("idpt", "points", {"block": n}, f"block={n} must be from 1 to 2, the last of this backbone")
        for n in (0, 3, 11)
    ),
    ("repadapter", "image", {"hidden": 5, "groups": 5}, "groups=5 must divide the token width 48"),
]


@pytest.mark.parametrize(("name", "options", "message"), CASES)
def test_an_option_is_refused(name, options, message):
    with pytest.raises(UserError) as error:
        methods.config(name, options)
    assert str(error.value) == f"{name}: {message}"


@pytest.mark.parametrize(("name", "modality", "options", "message"), ON_A_BACKBONE)
def test_an_option_that_does_not_fit_the_backbone_is_refused(name, modality, options, message):
    with pytest.raises(UserError) as error:
        tiny.wire(name, modality, **options)
    assert str(error.value) == f"{name}: {message}"


def test_a_gated_ffn_without_fc1_is_refused():
    body = backbones.describe(tiny.vit(mlp_layer=SwiGLU))
    with pytest.raises(UserError) as error:
        methods.build("lora", body, methods.config("lora", {"targets": ["q", "fc1"]}))
    assert str(error.value) == (
        "lora: target fc1: unknown linear of the blocks of this backbone 'fc1'; did you mean 'fc1_x'? "
        "known: fc1_g, fc1_x, fc2, proj, qkv"
    )

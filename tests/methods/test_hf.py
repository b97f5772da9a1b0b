"""The bridge to Hugging Face PEFT: what it keeps of the contract, and that its LoRA and ours are one."""

import pickle
from importlib.util import find_spec

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.contract import checks
from benchmarks.training.model import Classifier
from methods.errors import UserError
from tests.support import tiny

pytestmark = [
    pytest.mark.skipif(
        find_spec("peft") is None, reason="Hugging Face PEFT is not installed: pip install 'peft-vision-bench[hf]'"
    ),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # PEFT warns about sizes as small as these
    pytest.mark.usefixtures("one_thread"),
]

OPTIONS = [  # kinds, and options that fit a width of 48; listed here, because asking PEFT takes seconds
    ("adalora beft boft deft delora dora frod hra ia3 ln_tuning loha lokr lora osf", {}),
    ("pissa rslora tinylora unilora", {}),
    ("glora hira lily peanut shira", {"r": 4}),
    ("gralora psoft randlora", {"r": 8}),
    ("miss pvera vera", {"r": 16}),
    ("fourierft waveft", {"n_frequency": 50}),
    ("adamss", {"r": 12, "num_subspaces": 2}),
    ("c3a", {"block_size": 16}),
    ("oft", {"oft_block_size": 16}),
    ("road", {"group_size": 16}),
    ("supertuning", {"sparsity": 0.9}),
    ("vblora", {"num_vectors": 16, "vector_length": 16}),
]
KINDS = {kind: options for kinds, options in OPTIONS for kind in kinds.split()}
EACH = pytest.mark.parametrize("kind", KINDS)
EVERY = pytest.mark.parametrize("modality", tiny.MODALITIES)


@pytest.fixture(autouse=True)
def _known(request):
    """Releases of PEFT differ in what they have."""
    from methods.hf import config as hf_config

    kind = getattr(request.node, "callspec", None) and request.node.callspec.params.get("kind")
    if kind and kind not in hf_config.kinds():
        pytest.skip(f"this release of PEFT has no {kind}")


def wire(kind, modality="image", layers=2, **options):
    return tiny.wire(f"hf:{kind}", modality, layers, **{**KINDS[kind], **options})


def trained(kind, modality="image", **options):
    return tiny.move(wire(kind, modality, **options))


def own(model):
    """The backbone's state without what was injected, under the names that it has by itself."""
    state = model.backbone.state_dict(keep_vars=True)
    new = {id(state[name]) for name in model.method.injected}
    return {name.replace(".base_layer.", "."): v.detach() for name, v in state.items() if id(v) not in new}


@EACH
@EVERY
def test_wiring_renames_the_backbone_and_changes_no_value(kind, modality, same_state):
    if kind != "pissa":  # it takes the update that it starts with out of the weights
        assert same_state(own(wire(kind, modality)), tiny.backbone(modality, 2).state_dict())


@EACH
def test_only_new_weights_train_and_they_are_counted(kind):
    model, original = wire(kind), tiny.backbone("image", 2)
    trains = {n: p.numel() for n, p in model.backbone.named_parameters() if p.requires_grad}
    assert set() < trains.keys() <= model.method.injected
    assert not list(model.method.parameters())
    counted = model.count()
    assert counted["backbone"] == sum(p.numel() for p in original.parameters())
    assert counted["method"] == sum(trains.values())


@EACH
@EVERY
def test_output_at_the_start_is_the_frozen_backbones_up_to_rounding(kind, modality):
    model, x = wire(kind, modality), tiny.inputs(modality)
    with torch.no_grad():
        near = torch.allclose(model.pooled(x), tiny.backbone(modality, 2)(x), atol=1e-5)
    assert near == (kind not in ("c3a", "fourierft", "unilora", "vblora")) == model.method.identity_at_start


@EACH
def test_nothing_of_the_tuner_is_outside_the_model(kind):
    """A tensor outside would not be saved, counted or moved to a device."""
    model = wire(kind)
    (tuner,) = model.method._tuner
    held = {id(t) for t in [*tuner.parameters(), *tuner.buffers()]}
    assert held <= {id(t) for t in [*model.parameters(), *model.buffers()]}
    names = list(model.trained_state())
    assert len({id(model.state_dict(keep_vars=True)[name]) for name in names}) == len(names)  # each once


@EACH
def test_every_trainable_gets_a_gradient_and_a_step_changes_nothing_else(kind):
    model, x = trained(kind), tiny.inputs("image")
    model.predict(x)  # nothing that inference mode leaves behind may stop the training
    got = checks.gradients(model.train(), x)
    assert got.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    assert all(gradient.isfinite().all() and gradient.any() for gradient in got.values())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.optim.SGD(model.method.param_groups(model), lr=0.01).step()
    aliases = {id(p): n for n, p in model.named_parameters()}  # shared tensors under the name that they train under
    changed = {aliases.get(id(v), n) for n, v in model.state_dict(keep_vars=True).items() if not v.equal(before[n])}
    assert changed == got.keys()


@EACH
@EVERY
def test_saved_and_loaded_model_gives_equal_bits(kind, modality):
    model, x = trained(kind, modality), tiny.inputs(modality)
    body = tiny.backbone(modality, 2)
    torch.manual_seed(77)  # the task file must hold everything that is needed
    method = methods.build(f"hf:{kind}", backbones.describe(body), model.method.config)
    other = Classifier(body, method, nn.Linear(body.head_hidden_size, 5)).eval()
    state = load(save(model.trained_state()))
    assert state.keys() == other.trained_state().keys()
    other.load_state_dict(state, strict=False)
    with torch.no_grad():
        assert torch.equal(other(x), model(x))


@EACH
@EVERY
def test_merge_equals_unmerged_and_gives_the_keys_back(kind, modality):
    model = trained(kind, modality)
    checks.check_merge(model, tiny.inputs(modality), tolerance=1e-4)  # some types rebuild matrices
    kept = kind == "lily" or (kind, modality) == ("beft", "points")  # those linears have no bias to take a change of it
    assert model.method.folded != kept
    if not kept:
        assert model.backbone.state_dict().keys() == tiny.backbone(modality, 2).state_dict().keys()
        assert not hasattr(model.backbone, "peft_config")


def test_what_merges_in_part_is_left_unmerged():
    model = trained("lora", "points", target_modules=["mlp.fc1", "attn.qkv"], lora_bias=True)
    checks.check_merge(model, tiny.inputs("points"))
    assert not model.method.folded
    assert not any(getattr(module, "merged", False) for module in model.backbone.modules())


@EACH
def test_detach_gives_the_backbone_back(kind, same_state):
    model = trained(kind)
    checks.check_detach(model, tiny.inputs("image"), tiny.backbone("image", 2))
    assert not hasattr(model.backbone, "peft_config")


def test_trained_biases_are_put_back(same_state):
    model, original = trained("lora", bias="all"), tiny.backbone("image", 2)
    biases = {n for n, p in original.named_parameters() if n.endswith("bias")}
    trains = {n for n, p in model.backbone.named_parameters() if p.requires_grad} - model.method.injected
    assert {n.replace(".base_layer.", ".") for n in trains} == biases
    assert not same_state(own(model), original.state_dict())
    model.method.detach()
    assert same_state(model.backbone.state_dict(), original.state_dict())


@EACH
def test_a_deepcopy_is_independent(kind):
    checks.check_deepcopy(trained(kind), tiny.inputs("image"))


@EACH
def test_checkpointing_gives_equal_gradients(kind):
    checks.check_checkpointing(trained(kind), tiny.inputs("image"))


@pytest.mark.parametrize(
    "kind", ["lora", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("rslora", "vera", "ia3", "oft"))]
)
def test_compiled_equals_eager(kind):
    checks.check_compiled(trained(kind, layers=1), tiny.inputs("image"))


@EACH
def test_configurations_survive_json_and_are_searched(kind):
    checks.check_json(f"hf:{kind}", **KINDS[kind])
    assert len(list(checks.suggested(f"hf:{kind}", 3))) == 3


@EACH
def test_configurations_survive_pickle(kind):
    config, twin = (methods.config(f"hf:{kind}", KINDS[kind]) for _ in range(2))
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(twin)


DIM, WIDE, DEPTH = 192, 3 * 192, 12


@pytest.mark.parametrize(
    ("kind", "options", "count"),
    [
        ("lora", {}, DEPTH * 8 * (DIM + WIDE)),
        ("lora", {"r": 4, "target_modules": ["attn.proj", "mlp.fc1"]}, DEPTH * 4 * (DIM + DIM + DIM + 4 * DIM)),
        ("lora", {"layers_to_transform": [0, 11]}, 2 * 8 * (DIM + WIDE)),
        ("dora", {}, DEPTH * (8 * (DIM + WIDE) + WIDE)),
        ("adalora", {}, DEPTH * 12 * (DIM + WIDE + 1)),
        ("vera", {}, DEPTH * (256 + WIDE)),
        ("ia3", {}, DEPTH * (WIDE + 4 * DIM)),
        ("ln_tuning", {}, DEPTH * 2 * 2 * DIM),
        ("fourierft", {}, DEPTH * 1000),
        ("loha", {}, DEPTH * 2 * 8 * (DIM + WIDE)),
        ("oft", {}, DEPTH * DIM // 32 * (32 * 31 // 2)),
        ("boft", {}, DEPTH * (DIM // 4 * 16 + WIDE)),
    ],
)
def test_counts_equal_the_closed_form(kind, options, count):
    body = tiny.vit(embed_dim=DIM, depth=DEPTH, mlp_ratio=4)
    assert tiny.wire(f"hf:{kind}", "image", body=body, **options).count()["method"] == count


def test_count_of_lora_is_the_published_one():
    assert tiny.count("hf:lora") == 294_912


def side_by_side(updates):
    """Our pairs for parts of qkv, or our one pair, as PEFT's A and B."""
    if not hasattr(updates, "updates"):
        return updates.down.weight, updates.up.weight
    down = torch.cat([pair.down.weight for pair in updates.updates.values()])
    columns = torch.block_diag(*(pair.up.weight for pair in updates.updates.values()))
    rows = dict(zip(updates.updates, columns.chunk(len(updates.updates)), strict=True))
    return down, torch.cat([rows.get(part, torch.zeros(tiny.WIDTH, len(down))) for part in "qkv"])


@EVERY
@pytest.mark.parametrize(
    ("targets", "names", "ranks"),
    [
        (("q", "v"), ["attn.qkv"], 2),
        (("k",), ["attn.qkv"], 1),
        (("q", "k", "v"), ["attn.qkv"], 3),
        (("proj", "fc1", "fc2"), ["attn.proj", "mlp.fc1", "mlp.fc2"], 1),
    ],
)
def test_lora_here_and_in_peft_are_one(targets, names, ranks, modality):
    ours = tiny.trained("lora", modality, rank=4, alpha=6, targets=targets)
    theirs = tiny.wire("hf:lora", modality, r=4 * ranks, lora_alpha=6 * ranks, target_modules=names)
    x = tiny.inputs(modality)
    pairs = dict(zip([(b, n) for b in range(tiny.DEPTH) for n in names], ours.method.updates, strict=True))
    layers = {(b, n): theirs.backbone.blocks[b].get_submodule(n) for b, n in pairs}
    with torch.no_grad():
        theirs.head.load_state_dict(ours.head.state_dict())
        for place, update in pairs.items():
            for layer, weight in zip((layers[place].lora_A, layers[place].lora_B), side_by_side(update), strict=True):
                layer.default.weight.copy_(weight)
    tiny.close(theirs(x), ours(x))
    mine, peft = checks.gradients(ours, x), checks.gradients(theirs, x)
    for name in ("head.weight", "head.bias"):
        tiny.close(peft[name], mine[name])
    for place, update in pairs.items():
        for parameter in update.parameters():
            parameter.data = parameter.grad  # so that the gradients are laid side by side as the weights were
        down, up = side_by_side(update)
        shared = up != 0  # elsewhere PEFT has weights that ours has not
        tiny.close(layers[place].lora_A.default.weight.grad, down)
        tiny.close(layers[place].lora_B.default.weight.grad * shared, up)
        assert shared.sum() == sum(pair.numel() for n, pair in update.named_parameters() if "up." in n)


def test_adalora_prunes_to_its_budget_and_no_further():
    model = wire("adalora", init_r=6, target_r=2, tinit=1, tfinal=2, deltaT=1)
    data = tiny.inputs("image", 12), torch.arange(12) % 5
    before = model.count()
    model.method.fit(tiny.trainer(model, lambda split: data, epochs=3))
    assert model.count() == before
    singular = [p for n, p in model.named_parameters() if ".lora_E." in n]
    assert sum(int(p.count_nonzero()) for p in singular) == 2 * len(singular)
    assert all(p.shape == (6, 1) for p in singular)


def test_adaloras_loss_pulls_singular_vectors_to_orthogonal():
    model, x = trained("adalora", orth_reg_weight=0.3), tiny.inputs("image")
    named = dict(model.named_parameters())
    matrices = [p.T if ".lora_B." in n else p for n, p in named.items() if ".lora_A." in n or ".lora_B." in n]
    assert len(matrices) == 4
    skew = sum((m @ m.T - torch.eye(len(m))).square().sum().sqrt() for m in matrices) / 4
    expected = F.cross_entropy(model(x), checks.LABELS) + 0.3 * skew
    torch.testing.assert_close(checks.loss(model, x), expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:vear", "unknown method 'hf:vear'; did you mean 'hf:vera'? known: hf:adalora, "),
        ("hf:prompt_tuning", "unknown method 'hf:prompt_tuning'; "),
        ("hf:xlora", "method 'hf:xlora' does not work here: it mixes adapters that were trained before"),
    ],
)
def test_a_wrong_name_is_one_clear_line(name, message):
    with pytest.raises(UserError) as error:
        methods.get(name)
    assert str(error.value).startswith(message)
    assert not methods.known(name)
    assert methods.known("hf:lora")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 4}, "hf:lora: unknown option 'rank'; known: bias, "),
        ({"r": "x"}, "hf:lora: r='x' must be of type int"),
        ({"lr": 0}, "hf:lora: lr=0.0 must be positive"),
        ({"init_lora_weights": "eva"}, "hf:lora: unknown init_lora_weights 'eva'; known: False, True, gaussian, "),
        ({"target_modules": []}, "hf:lora: target_modules=() is empty; name modules of a block, as in attn.qkv"),
        (
            {"target_modules": ["attn.qvk"]},
            "hf:lora: unknown target_modules 'attn.qvk'; did you mean 'attn.qkv'? known: "
            "attn.proj, attn.qkv, mlp.fc1, mlp.fc2, norm1, norm2",
        ),
        ({"layers_to_transform": [0, 3]}, "hf:lora: layers_to_transform=[3] must be from 0 to 2"),
        ({"r": 0}, "hf:lora: PEFT refuses this backbone: `r` should be a positive integer"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options, message):
    with pytest.raises(UserError) as error:
        methods.build("hf:lora", backbones.describe(tiny.backbone("image")), methods.config("hf:lora", options))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)

"""LoRA in the files of Hugging Face PEFT: what is written comes back, and PEFT and this project read each other's."""

import json
import sys
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file, save_file

import methods
from methods.errors import UserError
from methods.formats import hf_layout
from methods.lora import LoRAConfig
from tests.support import tiny

NEEDS_PEFT = pytest.mark.skipif(
    find_spec("peft") is None, reason="Hugging Face PEFT is not installed: pip install 'peft-vision-bench[hf]'"
)
TARGETS = [("q", "v"), ("k",), ("q", "k", "v", "proj", "fc1", "fc2"), ("fc2", "proj"), ("v", "q", "fc1")]


def write(model, folder, **metadata):
    contents = hf_layout.contents(model.method, model.backbone, model.head, metadata)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def filled(modality, folder, hint, **options):
    """A fresh LoRA with the weights and the head of a folder."""
    adapter = hf_layout.read(folder)
    config = hf_layout.fitting(adapter.pairs, hint)
    model = tiny.wire("lora", modality, rank=config.rank, alpha=config.alpha, targets=config.targets, **options)
    hf_layout.fill(model.method, model.backbone, adapter.pairs)
    model.head.load_state_dict({name.removeprefix("head."): value for name, value in adapter.rest.items()})
    return model, config


def bare():
    """The image backbone of tiny with a class head, as timm makes it."""
    model = tiny.backbone("image")
    model.reset_classifier(5)
    return model


@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("targets", TARGETS)
def test_what_is_written_comes_back_bit_for_bit(targets, modality, tmp_path, same_state):
    model = tiny.trained("lora", modality, rank=4, alpha=6, targets=targets)
    write(model, tmp_path, task="digits")
    again, config = filled(modality, tmp_path, model.method.config)
    assert config == model.method.config
    assert same_state(again.trained_state(), model.trained_state())


@pytest.mark.parametrize("targets", TARGETS)
def test_it_comes_back_without_a_hint(targets, tmp_path):
    model, x = tiny.trained("lora", "image", rank=4, alpha=6, targets=targets), tiny.inputs("image")
    write(model, tmp_path)
    again, config = filled("image", tmp_path, LoRAConfig(rank=1, targets=("k",)))
    if targets != ("k",):
        assert (config.rank, set(config.targets)) == (4, set(targets))
    with torch.no_grad():
        tiny.close(again(x), model(x))


def test_a_shared_pair_is_one_pair_of_peft_and_comes_back_as_three(tmp_path):
    model, x = tiny.trained("lora", "image", rank=4, targets=("q", "k", "v"), shared=True), tiny.inputs("image")
    write(model, tmp_path)
    assert {pair.down.shape for pair in hf_layout.read(tmp_path).pairs.values()} == {(4, tiny.WIDTH)}
    again, config = filled("image", tmp_path, model.method.config)
    assert (config.rank, config.shared) == (4, False)
    with torch.no_grad():
        tiny.close(again(x), model(x))


def test_the_folder_holds_what_peft_names_and_nothing_else(tmp_path):
    model = tiny.trained("lora", "image", rank=4, alpha=6, targets=("q", "v", "fc1"))
    write(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_model.safetensors", "adapter_config.json"}
    shapes = {name: tuple(value.shape) for name, value in load_file(tmp_path / hf_layout.WEIGHTS).items()}
    wide = {"attn.qkv": ((8, 48), (144, 8)), "mlp.fc1": ((4, 48), (96, 4))}
    expected = {
        f"base_model.model.blocks.{layer}.{name}.lora_{matrix}.weight": shape
        for layer in range(tiny.DEPTH)
        for name, pair in wide.items()
        for matrix, shape in zip("AB", pair, strict=True)
    }
    assert shapes == {**expected, "base_model.model.head.weight": (5, 48), "base_model.model.head.bias": (5,)}
    config = json.loads((tmp_path / hf_layout.CONFIG).read_text())
    assert config["rank_pattern"] == {"attn.qkv": 8}
    assert config["alpha_pattern"] == {"attn.qkv": 12}


@NEEDS_PEFT
@pytest.mark.parametrize("targets", TARGETS)
def test_peft_reads_what_is_written(targets, tmp_path):
    from peft import PeftModel

    model, x = tiny.trained("lora", "image", rank=4, alpha=6, targets=targets), tiny.inputs("image")
    write(model, tmp_path)
    theirs = PeftModel.from_pretrained(bare(), tmp_path).eval()
    with torch.no_grad():
        tiny.close(theirs(x), model(x))


@NEEDS_PEFT
@pytest.mark.parametrize("rslora", [False, True])
def test_what_peft_writes_is_read(rslora, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(4)
    options = LoraConfig(r=2, lora_alpha=7, use_rslora=rslora, modules_to_save=["head"])
    options.target_modules = {"attn.qkv", "attn.proj", "mlp.fc2"}
    options.rank_pattern, options.alpha_pattern = {"mlp.fc2": 3}, {"proj": 5}
    theirs, x = get_peft_model(bare(), options).eval(), tiny.inputs("image")
    tiny.move(theirs)
    theirs.save_pretrained(tmp_path)
    ours, config = filled("image", tmp_path, LoRAConfig())
    assert (config.rank, config.targets) == (3, ("q", "k", "v", "proj", "fc2"))
    with torch.no_grad():
        tiny.close(ours(x), theirs(x))


def test_an_untrained_adapter_changes_nothing(tmp_path):
    model, x = tiny.wire("lora", "image", rank=4), tiny.inputs("image")
    write(model, tmp_path)
    again, config = filled("image", tmp_path, LoRAConfig(rank=2, targets=("fc1",)))
    assert config == LoRAConfig(rank=2, targets=("fc1",))
    with torch.no_grad():
        assert torch.equal(again(x), model(x))


def test_only_lora_is_written(tmp_path):
    with pytest.raises(UserError, match="only the updates of lora can be written in PEFT's layout"):
        write(tiny.wire("bitfit", "image"), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def changed(folder, **change):
    """A folder that ``write`` wrote, with some values of its configuration replaced; None takes a value out."""
    write(tiny.trained("lora", "image"), folder)
    path = folder / hf_layout.CONFIG
    values = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "{} holds IA3, not LORA"),
        ({"use_dora": True}, "{} holds a LoRA that this one does not cover: use_dora=True"),
        ({"bias": "all", "lora_bias": True}, "{} holds a LoRA that this one does not cover: lora_bias=True, bias=all"),
        ({"use_bdlora": {"a": 1}}, "{} holds a LoRA that this one does not cover: use_bdlora={{'a': 1}}"),
        *(
            (
                {"init_lora_weights": start},
                f"{{}} was trained on changed weights of the backbone: init_lora_weights={start}",
            )
            for start in (
                "pissa",
                "pissa_niter_4",
                "olora",
                "corda",
                "loftq",
                "lora_ga",
                "mica",
                "of_tomorrow",
                ["eva"],
            )
        ),
        ({"lora_alpha": None}, "{}/adapter_config.json: lora_alpha=None for blocks.0.attn.qkv must be a finite number"),
        ({"lora_alpha": [8]}, "{}/adapter_config.json: lora_alpha=[8] for blocks.0.attn.qkv must be a finite number"),
        ({"lora_alpha": "8"}, "{}/adapter_config.json: lora_alpha='8' for blocks.0.attn.qkv must be a finite number"),
        ({"alpha_pattern": ["qkv"]}, "{}/adapter_config.json: alpha_pattern=['qkv'] must be names with numbers"),
        ({"alpha_pattern": {"(": 1}}, "{}/adapter_config.json: a name in alpha_pattern={{'(': 1}} is no regular"),
    ],
)
def test_what_lora_here_does_not_have_is_refused(change, message, tmp_path):
    if "lora_alpha" in change:
        change |= {"alpha_pattern": {}}
    with pytest.raises(UserError) as error:
        hf_layout.read(changed(tmp_path, **change))
    assert str(error.value).startswith(message.format(tmp_path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal"])
def test_a_start_that_leaves_the_backbone_alone_is_read(start, tmp_path):
    assert len(hf_layout.read(changed(tmp_path, init_lora_weights=start)).pairs) == tiny.DEPTH


@NEEDS_PEFT
@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_peft_converts_an_adapter_of_a_changed_backbone(start, tmp_path, recwarn):
    from peft import LoraConfig, get_peft_model

    theirs = get_peft_model(bare(), LoraConfig(r=4, init_lora_weights=start, target_modules=["attn.qkv"])).eval()
    theirs.save_pretrained(tmp_path / "start")
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter += torch.randn_like(parameter) * 0.1 if "lora_" in name else 0
    theirs.save_pretrained(tmp_path / "end")
    with pytest.raises(UserError, match=f"trained on changed weights of the backbone: init_lora_weights={start}"):
        hf_layout.read(tmp_path / "end")
    theirs.save_pretrained(tmp_path / "plain", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    adapter, x = hf_layout.read(tmp_path / "plain"), tiny.inputs("image")
    config = hf_layout.fitting(adapter.pairs, LoRAConfig())
    ours = tiny.wire("lora", "image", rank=config.rank, alpha=config.alpha, targets=config.targets)
    hf_layout.fill(ours.method, ours.backbone, adapter.pairs)
    with torch.no_grad():
        tiny.close(
            ours.pooled(x),
            theirs.base_model.model.forward_head(theirs.base_model.model.forward_features(x), pre_logits=True),
        )


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .* as PEFT's layout"):
        hf_layout.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"cannot read .* as PEFT's layout"),
        ("[]", r"adapter_config\.json holds no names and values"),
        ('{"peft_type": "LORA", "r": 8}', r"lora_alpha=None for blocks\.0\.attn\.qkv must be a finite number"),
    ],
)
def test_a_damaged_configuration_is_refused(text, message, tmp_path):
    write(tiny.trained("lora", "image"), tmp_path)
    (tmp_path / hf_layout.CONFIG).write_text(text)
    with pytest.raises(UserError, match=message):
        hf_layout.read(tmp_path)


@pytest.mark.parametrize(
    ("matrix", "shape", "message"),
    [
        ("A", None, "it has no blocks.0.attn.qkv.lora_A.weight"),
        ("B", None, "it has no blocks.0.attn.qkv.lora_B.weight"),
        (
            "A",
            (3, 48),
            "A of blocks.0.attn.qkv is (3, 48) and its B (144, 16); they must be (rank, in) and (out, rank)",
        ),
        ("A", (16,), "A of blocks.0.attn.qkv is (16,) and its B (144, 16); they must be (rank, in) and (out, rank)"),
        ("B", (144, 16, 1), "A of blocks.0.attn.qkv is (16, 48) and its B (144, 16, 1); they must be"),
    ],
)
def test_half_pairs_and_odd_shapes_are_refused(matrix, shape, message, tmp_path):
    write(tiny.trained("lora", "image"), tmp_path)
    path = tmp_path / hf_layout.WEIGHTS
    state = load_file(path)
    del state[name := f"base_model.model.blocks.0.attn.qkv.lora_{matrix}.weight"]
    save_file(state | ({name: torch.ones(shape)} if shape else {}), path)
    with pytest.raises(UserError) as error:
        hf_layout.read(tmp_path)
    assert str(error.value).startswith(f"{path} is damaged: {message}")


def test_updates_of_other_backbones_are_refused(tmp_path):
    model = tiny.trained("lora", "image", targets=("fc1",))
    write(model, tmp_path)
    state = load_file(tmp_path / hf_layout.WEIGHTS)
    names = [f"base_model.model.blocks.0.mlp.fc1.lora_{matrix}.weight" for matrix in "AB"]
    save_file({**state, names[0]: torch.ones(8, 20)}, tmp_path / hf_layout.WEIGHTS)
    with pytest.raises(UserError, match=r"the update of blocks\.0\.mlp\.fc1 is 96 x 20, its weight 96 x 48"):
        filled("image", tmp_path, model.method.config)
    moved = {name.replace("blocks.2.", "blocks.9."): value for name, value in state.items()}
    save_file(moved, tmp_path / hf_layout.WEIGHTS)
    with pytest.raises(UserError, match=r"not those of this backbone's blocks: blocks\.9\.mlp\.fc1"):
        filled("image", tmp_path, model.method.config)


def test_without_peft_a_bridged_name_is_one_line_that_says_what_to_install(monkeypatch):
    from methods import hf
    from methods.hf import config as hf_config

    monkeypatch.setitem(sys.modules, "peft", None)
    hf.get.cache_clear()
    hf_config.kinds.cache_clear()
    with pytest.raises(UserError, match=r"methods 'hf:\*' need Hugging Face PEFT .*'peft-vision-bench\[hf\]'") as error:
        methods.config("hf:lora", {})
    assert "\n" not in str(error.value)
    assert not methods.known("hf:lora")

"""Published architectures of every family, with random weights, from a folder of photos to merged models."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from benchmarks import load_model, run
from benchmarks.records import store
from tests.support.layout_files import write_image_folder

METHODS = ("linear", "lora", "adapter", "adaptformer", "ssf", "bitfit", "adapterx")
MODELS = {  # with the sets of options that a family without attention needs
    "swin_tiny_patch4_window7_224": (),
    "convnext_tiny": ("lora.targets=[fc1,fc2]", "adapterx.prompts=false"),
    "eva02_tiny_patch14_224": (),
    "vit_small_plus_patch16_dinov3": (),
    "vit_small_patch14_reg4_dinov2:224": (),
    "vit_base_patch32_clip_224": (),
    "vit_base_patch16_siglip_224": (),
    "deit_tiny_distilled_patch16_224": (),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), MODELS.items())
def test_a_published_architecture_trains_and_merges(name, options, tmp_path):
    torch.manual_seed(0)
    weights = timm.create_model(name.partition(":")[0], num_classes=0).state_dict()
    save_file({key: tensor.contiguous().clone() for key, tensor in weights.items()}, tmp_path / "w.safetensors")
    write_image_folder(tmp_path / "data" / "photos", train=4, test=2)
    asked = ["--suite", "folder", "--data-root", str(tmp_path / "data"), "--methods", *METHODS]
    recipe = ["--recipe", "epochs=1", "warmup_epochs=0", "batch_size=4", "train_split=train"]
    sets = ["--set", *options] if options else []
    where = ["--backbone", f"{name}@{tmp_path / 'w.safetensors'}", "--results", str(tmp_path / "out")]
    assert run.main([*asked, *recipe, *sets, *where]) == 0
    records = {record["spec"]["method"]: record for record in store.records(tmp_path / "out")}
    assert set(records) == set(METHODS)
    x = torch.randint(256, (2, 3, 224, 224), dtype=torch.uint8)
    for method in METHODS:
        (path,) = (tmp_path / "out" / "adapters").glob(f"*/photos/{method}-s0-*.safetensors")
        model = load_model(path)
        with torch.no_grad():
            whole, merged = model(x), model.merged(x.float() / 255)(x)
        torch.testing.assert_close(merged, whole, rtol=1e-3, atol=1e-3)
        assert records[method]["params"]["method"] == model.count()["method"]

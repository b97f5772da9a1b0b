"""Files as PETL-ViT publishes them give the logits of the model that they were written from."""

import pytest
import torch
import yaml

from methods.errors import UserError
from methods.formats import petl_vit
from tests.support import petl_vit as files
from tests.support import tiny

OPTIONS = {"bi_adaptformer": {"hidden": 2, "scale": 10.0}, "bi_lora": {"rank": 1, "alpha": 10.0}}
NAMES = pytest.mark.parametrize("name", OPTIONS)
CARD = {"dataset": "svhn", "num_class": 10, "method": "lora", "dim": 32, "bit": 1, "scale": 0.1, "backbone": "vit"}


@NAMES
@pytest.mark.parametrize("binary_head", [False, True])
def test_a_file_gives_the_logits_of_its_model(name, binary_head, tmp_path):
    model, x = tiny.trained(name, "image", **OPTIONS[name]), tiny.inputs("image")
    (tmp_path / "t.bin").write_bytes(files.content(model.method, model.head, binary_head=binary_head))
    if binary_head:
        files.one_bit_head(model.head)
    other = tiny.wire(name, "image", **OPTIONS[name])
    petl_vit.fill(other.method, other.head, tmp_path / "t.bin", binary_head=binary_head)
    with torch.no_grad():
        tiny.close(other(x), model(x))
        assert not torch.allclose(other(x), tiny.wire(name, "image", **OPTIONS[name])(x), atol=0.1)


@NAMES
def test_a_filled_method_keeps_two_values_per_matrix(name, tmp_path, same_state):
    model = tiny.trained(name, "image", **OPTIONS[name])
    (tmp_path / "t.bin").write_bytes(files.content(model.method, model.head, binary_head=False))
    petl_vit.fill(model.method, model.head, tmp_path / "t.bin", binary_head=False)
    assert all(len(weight.unique()) == 2 for weight in files.projections(model.method))
    kept = model.method.state_dict()
    assert same_state(model.method.unpack(model.method.pack(kept)), kept)


@pytest.mark.parametrize("change", [-1, 1, 4])
def test_a_file_of_another_size_is_refused(change, tmp_path):
    model, path = tiny.wire("bi_lora", "image", **OPTIONS["bi_lora"]), tmp_path / "t.bin"
    whole = files.content(model.method, model.head, binary_head=False)
    path.write_bytes((whole + bytes(4))[: len(whole) + change])
    with pytest.raises(UserError) as error:
        petl_vit.fill(model.method, model.head, path, binary_head=False)
    size = f"has {len(whole) + change} bytes, but this method and head have {len(whole)}"
    assert str(error.value) == f"{path} {size}; give the YAML file that belongs to it"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("bi_lora", {"rank": 32, "alpha": 3.2}, False)),
        ({"method": "lora-bihead", "scale": 100}, ("bi_lora", {"rank": 32, "alpha": 3200.0}, True)),
        ({"method": "adaptformer", "dim": 1}, ("bi_adaptformer", {"hidden": 1, "scale": 0.1}, False)),
        ({"method": "adaptformer-bihead"}, ("bi_adaptformer", {"hidden": 32, "scale": 0.1}, True)),
    ],
)
def test_a_card_names_the_method_here_and_its_options(changes, expected, tmp_path):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(CARD | changes))
    card = petl_vit.card(tmp_path / "t.yaml")
    assert (card.dataset, card.classes, (card.method, dict(card.options), card.binary_head)) == ("svhn", 10, expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (yaml.safe_dump(CARD | {"bit": 2}), "bit=2 has no form here; only files with 1 bit per weight have one"),
        (yaml.safe_dump(CARD | {"method": "fact"}), "method fact has no form here; known: adaptformer, lora"),
        (yaml.safe_dump(CARD | {"dim": "wide"}), "has no usable dim; give the YAML file that PETL-ViT has beside"),
        ("[1, 2]", "has no usable dataset, num_class, method, dim, bit, scale; give the YAML file"),
        ("a: [", "while parsing a flow node"),
    ],
)
def test_a_card_that_cannot_be_used_is_refused(text, message, tmp_path):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        petl_vit.card(tmp_path / "t.yaml")
    assert message in str(error.value) and str(tmp_path / "t.yaml") in str(error.value)

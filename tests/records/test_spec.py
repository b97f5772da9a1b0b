"""Spec: what decides a run's key, and what JSON keeps of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records.spec import FOR_IMAGES, Dtype, Recipe, Spec
from benchmarks.sweeps import sweep
from methods.errors import UserError
from methods.options import as_json


@pytest.fixture
def solids(specs: Callable[..., list[Spec]]) -> Spec:
    return specs("lora", tasks=("solids",))[0]


@pytest.fixture
def recorded(root: Path) -> dict[str, Any]:
    """A record that is older than the recipe's ``votes``."""
    record: dict[str, Any] = json.loads(next((root / "results/runs/offline/solids").glob("lora-s0-*.json")).read_text())
    assert "votes" not in record["spec"]["recipe"]
    return record


def test_a_spec_survives_json(solids):
    again = Spec.from_json(json.loads(json.dumps(solids.to_json())))
    assert (again, again.key) == (solids, solids.key)


CHANGES: dict[str, Callable[[Spec], dict[str, Any]]] = {
    "seed": lambda spec: {"seed": 1},
    "dtype": lambda spec: {"dtype": "bfloat16"},
    "data": lambda spec: {"data_fingerprint": "other"},
    "task": lambda spec: {"task": "solids_hard"},
    "weights": lambda spec: {"backbone": replace(spec.backbone, sha256="other")},
    "epochs": lambda spec: {"recipe": replace(spec.recipe, epochs=9)},
    "votes": lambda spec: {"recipe": replace(spec.recipe, votes=2)},
    "compile": lambda spec: {"recipe": replace(spec.recipe, compile=True)},
    "statistics": lambda spec: {"recipe": replace(spec.recipe, frozen_batchnorm="adapt")},
    "resample": lambda spec: {"recipe": replace(spec.recipe, resample=True)},
    "version of the suite": lambda spec: {"suite_version": spec.suite_version + 1},
    "kind of the task": lambda spec: {"kind": "segmentation"},
    "masked": lambda spec: {"recipe": replace(spec.recipe, masked=True)},
    "options": lambda spec: {"config": replace(spec.config, lr=0.5)},
}


@pytest.mark.parametrize("changed", CHANGES)
def test_whatever_decides_the_number_changes_the_key(changed, solids):
    assert replace(solids, **CHANGES[changed](solids)).key != solids.key


def test_what_only_describes_a_run_does_not_change_the_key(solids):
    moved = replace(solids.backbone, name=f"{solids.backbone.name}@elsewhere.safetensors")
    assert replace(solids, backbone=moved, tuning={"study": "s"}, labels=None).key == solids.key


def test_a_record_older_than_a_field_keeps_its_key_and_its_json(recorded):
    old = Spec.from_json(recorded["spec"])
    assert (old.recipe.votes, old.key) == (1, recorded["key"])
    assert json.loads(json.dumps(old.to_json())) == recorded["spec"]


def test_a_later_field_off_its_default_is_in_the_json(recorded):
    old = Spec.from_json(recorded["spec"])
    new = replace(old, recipe=replace(old.recipe, votes=10))
    assert new.to_json()["recipe"]["votes"] == 10
    assert Spec.from_json(json.loads(json.dumps(new.to_json()))) == new


def test_fields_added_later_are_left_out_of_json_at_their_defaults():
    later = {"votes", "compile", "frozen_batchnorm", "resample", "validate_every", *FOR_IMAGES}
    assert later.isdisjoint(as_json(Recipe()))


def test_each_backbone_may_have_its_own_dtype():
    types: dict[str, Dtype] = {"vit_nano": "float32", "point_nano": "bfloat16"}
    asked = sweep.Sweep(methods=("lora",), tasks=("digits", "solids"))
    assert [one.dtype for one in sweep.specs(asked, types.__getitem__)] == ["float32", "bfloat16"]


def test_votes_on_images_are_refused(specs):
    with pytest.raises(UserError, match=r"^recipe: votes=10 is for point clouds, but task 'digits' has images"):
        specs("lora", recipe={"votes": 10})


def test_resampling_images_is_refused(specs):
    with pytest.raises(UserError, match=r"^recipe: resample=true is for point clouds, but task 'digits' has images"):
        specs("lora", recipe={"resample": True})


@pytest.mark.parametrize(
    ("field", "value", "plain"),
    [
        ("rand_augment", 9, "0"),
        ("color_jitter", 0.4, "0.0"),
        ("random_erasing", 0.25, "0.0"),
        ("crop_scale", 0.08, "1.0"),
        ("hflip", 0.5, "0.0"),
        ("resize", "checkpoint", "squash"),
    ],
)
def test_point_clouds_refuse_augmentations_of_images(field, value, plain, specs):
    kind = "is for images, but task 'solids' has point clouds"
    with pytest.raises(UserError, match=rf"^recipe: {field}={value} {kind}; use {field}={plain}$"):
        specs("lora", tasks=("solids",), recipe={field: value})
    (spec,) = specs("lora", recipe={field: value})
    assert spec.to_json()["recipe"][field] == value


def test_points_may_have_votes(specs):
    assert [one.recipe.votes for one in specs("lora", tasks=("solids",), recipe={"votes": 10})] == [10]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"votes": 0}, "votes=0 must be at least 1"),
        ({"epochs": 2, "warmup_epochs": 2}, "warmup_epochs=2 must be from 0 to epochs - 1 = 1"),
        ({"checkpoint_rule": "best_val"}, "add train_split=train"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(recipe, message):
    with pytest.raises(UserError, match=message):
        Recipe(**recipe)

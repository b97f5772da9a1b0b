"""A sweep may give a method a recipe of its own."""

import pytest

from benchmarks import run, tune
from benchmarks.sweeps import arguments, sweep
from methods.errors import UserError

FILE = """
methods: [linear, lora]
tasks: [digits]
recipe: {epochs: 3, warmup_epochs: 0, clip_grad: 0}
recipes:
  lora: {clip_grad: 2, batch_size: [8, 16]}
set:
  lora: {rank: 4}
"""
OWN = {  # what differs in configs/vtab1k.yaml: normalization, batch size and drop-path
    "full": ("imagenet", 64, 0.0),
    "ssf": ("checkpoint", 64, 0.0),
    "bi_adaptformer": ("none", 64, 0.1),
    "bi_lora": ("none", 64, 0.1),
    "mosa": ("imagenet", 128, 0.0),
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(FILE)
    return path


def asked(config, *argv):
    return arguments.sweep(run.parser().parse_args(["--config", str(config), *argv]))


def recipes(given):
    return {(s.method, s.recipe.clip_grad, s.recipe.batch_size, s.recipe.epochs) for s in sweep.specs(given, "float32")}


def test_fields_of_a_methods_recipe_replace_those_of_all(config):
    assert recipes(asked(config)) == {("linear", 0, 16, 3), ("lora", 2, 8, 3), ("lora", 2, 16, 3)}


def test_the_command_line_replaces_both(config):
    given = asked(config, "--recipe", "clip_grad=1", "epochs=4")
    assert recipes(given) == {("linear", 1, 16, 4), ("lora", 1, 8, 4), ("lora", 1, 16, 4)}


def test_what_a_file_says_of_other_methods_is_left_out(config):
    assert recipes(asked(config, "--methods", "linear")) == {("linear", 0, 16, 3)}
    assert asked(config, "--methods", "all").set == {"lora": {"rank": 4}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipes: 3", "'recipes' must be a mapping, not 3"),
        ("recipes: {lora: [{}]}", "the recipe for 'lora' must be a mapping, not [{}]"),
        ("recipes: {ssf: {}}", "a recipe for 'ssf', which is not among the methods: adapterx, lora"),
        ("recipes: {lora: {epoch: 3}}", "recipe: unknown option 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_a_wrong_recipe_of_a_method_is_refused(text, message, tmp_path):
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        sweep.specs(asked(tmp_path / "sweep.yaml", "--tasks", "digits"), "float32")
    assert message in str(error.value)


def test_a_study_judges_every_method_on_val(config):
    given = sweep.Sweep(methods=("lora",), tasks=("digits",), recipes={"lora": {"train_split": "trainval"}})
    (search,) = tune.plan(given, "float32", seed=0, trials=1)
    assert search.base.recipe.train_split == "train"
    wrong = sweep.Sweep(methods=("lora",), tasks=("digits",), recipes={"lora": {"checkpoint_rule": "best_test"}})
    with pytest.raises(UserError, match=r"^checkpoint_rule=best_test: a trial is judged on validation"):
        tune.plan(wrong, "float32", seed=0, trials=1)


def test_the_sweep_of_vtab1k_has_the_recipes_of_the_papers(root):
    specs = sweep.specs(sweep.from_file(root / "benchmarks" / "configs" / "vtab1k.yaml"), "float32", absent=True)
    found = {(s.method, (s.recipe.normalization, s.recipe.batch_size, s.recipe.drop_path)) for s in specs}
    assert dict(found) == {s.method: OWN.get(s.method, ("imagenet", 64, 0.1)) for s in specs}
    assert len(found) == len(dict(found))
    assert {(s.recipe.clip_grad, s.recipe.epochs, s.recipe.warmup_epochs, s.recipe.augment) for s in specs} == {
        (0, 100, 10, "none")
    }
    full = {(s.config.lr, s.config.weight_decay) for s in specs if s.method == "full"}
    assert full == {(1e-4, 0.01), (2.5e-4, 0.01), (1e-3, 0.01)}
    lora = next(s.config for s in specs if s.method == "lora")
    assert (lora.rank, lora.targets, lora.shared, lora.dropout) == (8, ("q", "k", "v"), True, 0.1)

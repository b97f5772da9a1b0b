"""The model card says what the model is, and its lines of Python load it."""

import re

import pytest
import torch
from huggingface_hub import ModelCard

from benchmarks import load_model
from benchmarks.hub import contents, names
from benchmarks.records import store
from tests.training.test_export import inputs


def test_the_card_has_the_method_the_numbers_and_the_command(run, tmp_path):
    first, *_ = [run(accuracy=accuracy, seeds=(seed,)) for seed, accuracy in enumerate((0.90, 0.92, 0.94))]
    contents.write(tmp_path / "own", first.key, "me/photos", tmp_path / "files", "tried")
    card = ModelCard.load(tmp_path / "files" / names.CARD)
    (number,) = card.data.eval_results
    assert (number.metric_type, number.metric_value, number.dataset_name) == ("accuracy", 90.0, "offline/digits")
    assert card.data.tags == ["peft-vision-bench", "lora", "arxiv:2106.09685"]
    for line in (
        "| 0 (this model) | 90.0 |\n| 1 | 92.0 |\n| 2 | 94.0 |",
        "Mean 92.0 ± 5.0: half the 95 % interval over 3 seeds (Student's t).",  # 4.303 x 2 / sqrt(3)
        "    python -m benchmarks.run --suite offline --tasks digits --methods lora --seeds 0 --dtype float32",
        "    python -m benchmarks.pull me/photos --revision tried --results shared\n",
        "Hu et al. 2021, [arXiv:2106.09685](https://arxiv.org/abs/2106.09685)",
        "licence: CC BY 4.0",
    ):
        assert line in card.content


def test_a_single_seed_has_the_interval_of_its_test_split(packed):
    card = packed["adapterx"][1][names.CARD].decode()
    assert "Mean 90.0 ± 1.9: half the 95 % interval of the test split (binomial), from one seed." in card
    assert "There is no checkpoint without the method: adapterx cannot become a plain checkpoint" in card


@pytest.mark.parametrize(
    ("method", "task"),
    [("lora", "digits"), *(pytest.param(method, "solids", marks=pytest.mark.slow) for method in ("lora", "ssf"))],
)
def test_the_lines_of_a_card_load_its_checkpoint(method, task, run, tmp_path, monkeypatch):
    spec = run(method, task)
    contents.write(tmp_path / "own", spec.key, "me/photos", tmp_path / "files", None)
    lines = re.findall(r"```python\n(.*?)```", (tmp_path / "files" / names.CARD).read_text(), re.DOTALL)[0]
    monkeypatch.chdir(tmp_path / "files")
    made = {}
    exec(lines, made)
    with torch.inference_mode():
        found = made["model"](inputs(task))
        found = made["model"].head(found) if task == "solids" else found
        expected = load_model(store.adapter_path(tmp_path / "own", spec))(inputs(task))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

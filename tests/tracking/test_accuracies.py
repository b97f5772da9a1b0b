"""The mean accuracies of a sweep for MLflow: over seeds, and never over runs that may not be compared."""

import pytest

from benchmarks.records import store
from benchmarks.tracking import accuracies
from tests.support.made_records import result


def test_means_are_over_seeds_and_tasks(specs, tmp_path):
    for spec, accuracy in zip(
        specs("lora", seeds=(0, 1), tasks=("digits", "count")), (0.9, 0.5, 0.7, 0.3), strict=True
    ):
        store.write(tmp_path, result(spec, accuracy=accuracy))
    found = accuracies.of_runs(tmp_path, {record["key"] for record in store.records(tmp_path)})
    expected = {"lora/digits": 0.8, "lora/count": 0.4, "lora": 0.6}
    assert found == pytest.approx(
        {f"accuracy/test/{name}": value for name, value in expected.items()} | {"accuracy/test": 0.6}
    )


def test_runs_by_two_recipes_have_no_mean(specs, tmp_path):
    for epochs, accuracy in ((1, 0.5), (2, 0.9)):
        for spec in specs("lora", recipe={"epochs": epochs}):
            store.write(tmp_path, result(spec, accuracy=accuracy))
    for spec in specs("linear"):
        store.write(tmp_path, result(spec, accuracy=0.7))
    found = accuracies.of_runs(tmp_path, {record["key"] for record in store.records(tmp_path)})
    assert found == {"accuracy/test/linear/digits": 0.7, "accuracy/test/linear": 0.7}

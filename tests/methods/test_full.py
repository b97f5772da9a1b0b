"""Full fine-tuning and training from scratch."""

import methods
from tests.support import tiny


def test_everything_trains_and_is_counted():
    assert tiny.count("full") == tiny.count("scratch") == 85_798_656


def test_only_scratch_starts_from_fresh_weights():
    assert methods.get("full").pretrained
    assert not methods.get("scratch").pretrained

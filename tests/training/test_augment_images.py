"""timm's augmentations of images: seeded, one by one as timm does them, and only where the recipe asks for them."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform

from benchmarks.records.spec import FOR_IMAGES, Recipe
from benchmarks.training.augment_images import augment_images, rand_augment
from benchmarks.training.model import Classifier
from tests.support import tiny

ALL = {"rand_augment": 9, "random_erasing": 0.5, "crop_scale": 0.3, "hflip": 0.5}
EACH = [*({name: value} for name, value in ALL.items()), {"color_jitter": 0.4}, ALL]


@pytest.fixture(scope="module")
def model() -> Classifier:
    return tiny.wire("linear", "image")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def changed(x, model, seed, **recipe):
    return augment_images(x, Recipe(**recipe), torch.Generator().manual_seed(seed), model)


@pytest.mark.parametrize("recipe", EACH, ids=lambda recipe: "+".join(recipe))
def test_equal_seeds_give_equal_bits_and_others_do_not(recipe, model, images):
    first = changed(images, model, 0, **recipe)
    assert first.shape == images.shape and first.dtype == torch.float32
    random.seed(5)
    torch.manual_seed(5)
    assert torch.equal(changed(images, model, 0, **recipe), first)
    assert not torch.equal(changed(images, model, 1, **recipe), first)
    assert not torch.equal(first, model.normalized(images))


def test_random_numbers_of_others_are_left_alone(model, images):
    states = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    changed(images, model, 0, **ALL)
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert np.random.get_state()[1].tolist() == states[2]  # type: ignore[union-attr]


def test_rand_augment_is_that_of_timm_image_by_image(model, images):
    options = {"translate_const": 14, "img_mean": (0, 0, 0), "interpolation": Image.Resampling.BICUBIC}
    theirs = rand_augment_transform("rand-m7-mstd0.5-inc1", options)
    seed = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(0)))
    random.seed(seed)
    np.random.seed(seed)
    expected = [np.asarray(theirs(Image.fromarray(image.permute(1, 2, 0).numpy()))) for image in images]
    got = changed(images, model, 0, rand_augment=7)
    assert torch.equal(got, model.normalized(torch.from_numpy(np.stack(expected)).permute(0, 3, 1, 2)))


def test_the_highest_magnitude_keeps_a_bit():
    policy = rand_augment(10, 32, (128, 128, 128))
    (posterize,) = (operation for operation in policy.ops if operation.name == "PosterizeIncreasing")
    assert posterize.level_fn(10, {}) == (1,) and posterize.level_fn(0, {}) == (4,)


def test_a_flip_mirrors_whole_images(model, images):
    always = changed(images, model, 0, hflip=1.0)
    assert torch.equal(always, model.normalized(images).flip(-1))
    some = changed(images, model, 0, hflip=0.5)
    mirrored = [torch.equal(one, two) for one, two in zip(some, always, strict=True)]
    kept = [torch.equal(one, two) for one, two in zip(some, model.normalized(images), strict=True)]
    assert any(mirrored) and any(kept) and all(a != b for a, b in zip(mirrored, kept, strict=True))


def test_a_crop_of_the_whole_image_changes_nothing_and_a_small_one_enlarges(model, images):
    flat = torch.arange(32, dtype=torch.uint8).repeat(8, 3, 32, 1) * 8
    cropped = changed(flat, model, 0, crop_scale=0.1) * 255
    ranges = cropped.amax((1, 2, 3)) - cropped.amin((1, 2, 3))
    assert (ranges < 248).all() and (ranges > 8).all()
    assert (cropped.diff(dim=-1) > -2).all()  # brightness still rises from left to right


def test_color_jitter_gives_way_to_rand_augment_as_in_timm(model, images):
    both = changed(images, model, 0, rand_augment=5, color_jitter=0.4)
    assert torch.equal(both, changed(images, model, 0, rand_augment=5))
    assert not torch.equal(both, changed(images, model, 0, color_jitter=0.4))


def test_erased_rectangles_are_noise_of_normalised_images(model):
    gray = torch.full((64, 3, 32, 32), 128, dtype=torch.uint8)
    erased = changed(gray, model, 0, random_erasing=1.0)
    noise = erased[erased != 128 / 255]
    share = len(noise) / erased.numel()
    assert 0.02 < share < 1 / 3
    assert noise.mean().abs() < 0.05 and abs(noise.std() - 1) < 0.05


def test_training_with_every_augmentation_is_repeatable_and_starts_at_the_images():
    def load(split):
        generator = torch.Generator().manual_seed(len(split))
        x = torch.randint(0, 256, (9, 3, 32, 32), dtype=torch.uint8, generator=generator)
        return x, torch.arange(9) % 3

    def train(**recipe):
        torch.manual_seed(1)
        trainer = tiny.trainer_of("linear", "image", load, epochs=2, batch_size=4, warmup_epochs=0, **recipe)
        trainer.model.method.fit(trainer)
        return trainer

    plain, first, again = train(), train(**ALL), train(**ALL)
    assert plain.prefix and not first.prefix  # features of images that change cannot be computed once
    assert first.history == again.history != plain.history
    restarted = [row["train_loss"] for row in first.history]
    first.restart()
    first.train()
    assert [row["train_loss"] for row in first.history] == restarted * 2


def test_validation_may_be_read_every_few_epochs():
    def load(split):
        return torch.rand(9, 3, 32, 32), torch.arange(9) % 3

    asked = {"batch_size": 4, "warmup_epochs": 0, "train_split": "train", "validate_every": 3}
    trainer = tiny.trainer_of("linear", "image", load, epochs=5, **asked)
    trainer.model.method.fit(trainer)
    assert [row["val_accuracy"] is not None for row in trainer.history] == [False, False, True, False, True]


def test_the_values_that_change_nothing_are_the_defaults():
    recipe = Recipe()
    assert {name: getattr(recipe, name) for name in FOR_IMAGES} == FOR_IMAGES
    assert not recipe.augmented and all(Recipe(**{name: value}).augmented for name, value in ALL.items())

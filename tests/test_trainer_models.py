"""What the trainers' Keras models have in common: formats that keep their weights, and seeds."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from trainers.models import step_seed

from gnf_tf import datasets
from trainers import citation, density, training

SEEDS = [0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32, 2**32 + 1, 3 * 2**32, 2**63 - 1]


def flow(seed=0):
    """A GNF in a Keras model."""
    sizes = {"num_steps": 1, "width": 4, "num_heads": 2, "num_bins": 4, "batch_size": 4}
    config = dataclasses.replace(density.PRESETS["quick"], **sizes, jit=False)
    return density.make_model(density.resolve(config), seed)


def classifier(seed=0):
    """A GRevNet in one."""
    config = dataclasses.replace(citation.PRESETS["quick"], num_steps=1, node_size=4)
    return citation.make_model(citation.resolve(config), datasets.cora(), seed)


@pytest.fixture(scope="module", params=[flow, classifier])
def models(request):
    """Two of one kind with other weights."""
    first, second = request.param(), request.param()
    for variable in first.variables:
        variable.assign(tf.ones_like(variable))
    return first, second


@pytest.mark.parametrize("way", ["save_weights", "save_weights as tf", "Checkpoint"])
def test_a_checkpoint_keeps_every_weight(models, way, tmp_path):
    first, second = models
    for variable in second.variables:
        variable.assign(tf.zeros_like(variable))
    path = str(tmp_path / "weights")
    if way == "Checkpoint":
        tf.train.Checkpoint(model=first).write(path)
        tf.train.Checkpoint(model=second).read(path)
    else:
        first.save_weights(path, save_format="tf" if way.endswith("tf") else None)
        second.load_weights(path)
    assert len(second.variables) > 8
    assert all(np.all(variable.numpy() == 1) for variable in second.variables)


@pytest.mark.parametrize("method", ["save_weights", "save", "load_weights"])
@pytest.mark.parametrize("name", ["x.weights.h5", "x.h5", "x.hdf5", "x.keras"])
def test_a_format_that_loses_weights_is_refused(models, method, name, tmp_path):
    """And nothing is written."""
    with pytest.raises(ValueError, match=f"prefix of a TensorFlow checkpoint, .*{name}', save_f"):
        getattr(models[0], method)(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["save_weights", "save"])
@pytest.mark.parametrize("save_format", ["h5", "keras"])
def test_its_name_is_refused_too(models, method, save_format, tmp_path):
    with pytest.raises(ValueError, match=f"TensorFlow checkpoint, .*save_format='{save_format}'"):
        getattr(models[0], method)(str(tmp_path / "x"), save_format=save_format)
    assert not list(tmp_path.iterdir())


def test_a_file_of_such_a_format_is_refused_whatever_its_name(models, tmp_path):
    tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=[3])]).save_weights(tmp_path / "x.h5")
    os.rename(tmp_path / "x.h5", tmp_path / "x")
    with pytest.raises(ValueError, match="must be the prefix of a TensorFlow checkpoint"):
        models[0].load_weights(str(tmp_path / "x"))


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_keras_functions_refuse_it_as_the_methods_do(models, tmp_path):
    with pytest.raises(ValueError, match="must be the prefix of a TensorFlow checkpoint"):
        tf_keras.models.save_model(models[0], tmp_path / "x.keras")


def test_seeds_of_steps_stay_and_differ():
    pairs = [step_seed(seed, step).numpy() for seed in SEEDS for step in (-1, 0, 1)]
    assert len({tuple(pair) for pair in pairs}) == len(pairs)
    np.testing.assert_array_equal(step_seed(7, tf.constant(-2)), [7, -2])
    np.testing.assert_array_equal(step_seed(2**31 - 1, 5), [2**31 - 1, 5])


def test_every_seed_gives_weights_of_its_own():
    def weights(seed):
        training.set_seed(seed)
        return float(tf.random.normal([]))

    drawn = [weights(seed) for seed in SEEDS]
    assert len(set(drawn)) == len(SEEDS) and drawn == [weights(seed) for seed in SEEDS]
    tf_keras.utils.set_random_seed(7)  # what Keras takes is seeded as by Keras
    expected = float(tf.random.normal([])), np.random.rand()
    assert (weights(7), np.random.rand()) == expected


@pytest.mark.parametrize("make, batch", [(flow, tf.constant([1])), (classifier, 0)])
@pytest.mark.parametrize("seed", [2**31, 2**63 - 1])
def test_large_seeds_train(make, batch, seed):
    model = make(seed)
    assert np.isfinite(model.train_step(batch)["loss"])

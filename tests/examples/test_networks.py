import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

import networks

SCRIPT = Path(networks.__file__)


@pytest.fixture(scope="module", params=sorted(networks.NETWORKS))
def network(request) -> onnx.ModelProto:
    build = networks.NETWORKS[request.param]
    # The three fully connected layers hold 90 % of VGG-16 and would be most of this file's time.
    options = {"fully_connected": False} if request.param == "vgg16" else {}
    return build(sparsity=0.9, seed=0, batch=None, **options)


def zeros(tensor: onnx.TensorProto) -> float:
    return float((numpy_helper.to_array(tensor) == 0).mean())


def test_the_file_is_valid_for_every_onnxruntime_that_is_supported(network):
    onnx.checker.check_model(network, full_check=True)

    assert network.ir_version == 8
    assert [opset.version for opset in network.opset_import] == [17]


def test_every_convolution_but_the_first_and_the_depthwise_is_pruned(network):
    convolutions = [t for t in network.graph.initializer if len(t.dims) == 4]

    first, *others = convolutions

    assert zeros(first) == 0
    for tensor in others:
        expected = 0 if "depthwise" in tensor.name else 0.9
        rounding = 1 / np.prod(tensor.dims)
        assert zeros(tensor) == pytest.approx(expected, abs=rounding), tensor.name


def test_logits_are_in_range_and_differ_between_images(network):
    batch = networks.images(np.random.default_rng(5), 4)
    session = ort.InferenceSession(network.SerializeToString())

    (logits,) = session.run(None, {"input": batch})

    assert logits.shape == (4, 1000)
    assert np.all((logits.std(axis=1) > 0.1) & (logits.std(axis=1) < 10))
    correlation = np.corrcoef(logits)[np.triu_indices(4, k=1)]
    assert correlation.max() < 0.95


def test_the_seed_decides_every_weight():
    twice = [networks.mobilenet_v1(seed=3).SerializeToString() for _ in range(2)]

    assert twice[0] == twice[1]
    assert twice[0] != networks.mobilenet_v1(seed=4).SerializeToString()


def test_the_command_writes_a_network_of_the_batch_asked_for(tmp_path):
    path = tmp_path / "new" / "m.onnx"
    command = [sys.executable, SCRIPT, "mobilenet_v1", "--batch", "2", "-o", path]

    subprocess.run(command, check=True)

    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim] == [2, 3, 224, 224]


def test_a_sparsity_of_one_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    command = [sys.executable, SCRIPT, "resnet50", "--sparsity", "1", "-o", path]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "--sparsity" in done.stderr
    assert not path.exists()

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

ray = pytest.importorskip("ray", reason="ray is not installed: pip install ray")

from ray.cluster_utils import Cluster  # noqa: E402

import fleet  # noqa: E402
from sparsepass import profile  # noqa: E402

NET = """
<ir_version: 8, opset_import: ["": 17]>
g (float[1, 16, 12, 12] x) => (float[1, 16, 12, 12] y) {
  t = Conv <pads = [1, 1, 1, 1]> (x, w)
  y = Relu (t)
}
"""


@pytest.fixture
def models(tmp_path):
    paths = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weight = rng.standard_normal((16, 16, 3, 3), np.float32) * (
            rng.random((16, 16, 3, 3)) > 0.9
        )
        model = onnx.parser.parse_model(NET)
        model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
        paths.append(tmp_path / f"m{seed}.onnx")
        onnx.save(model, paths[-1])
    return paths


@pytest.fixture
def cluster():
    """Two workers that stand for two machines."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False)
    # Workers do not see the folder of the examples.
    ray.cloudpickle.register_pickle_by_value(fleet)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.usefixtures("cluster")
def test_every_model_is_planned_on_two_workers_after_one_calibration(models, tmp_path):
    profiles = tmp_path / "calibrated"
    profiles.mkdir()

    def calibrate(threads: int) -> str:
        (profiles / str(len(list(profiles.iterdir())))).touch()
        return next(profile.shipped()).model_dump_json()

    found = fleet.plan_fleet(models, tmp_path / "out", calibrate=calibrate)

    assert [planned.model for planned in found] == ["m0.onnx", "m1.onnx", "m2.onnx"]
    assert len(list(profiles.iterdir())) == 1
    for planned in found:
        assert planned.speedup > 0
        onnx.checker.check_model(planned.file)

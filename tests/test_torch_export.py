"""Modules as users have them: pruned, parametrized, training, with any structure of outputs."""

import numpy as np
import pytest

from models_in_text import normal
from sparsepass.errors import ModelError
from sparsepass.graph import layers
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session
from sparsepass.pipeline.prepare import prepare

torch = pytest.importorskip("torch")
nn = torch.nn
prune = pytest.importorskip("torch.nn.utils.prune")
X = torch.from_numpy(normal(1, 3, 8, 8))


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)
    )


def masked(module) -> None:
    for part in module[0], module[3]:
        prune.l1_unstructured(part, "weight", amount=0.9)


CHANGES = {
    "masks in place": masked,
    "weight_norm": lambda module: nn.utils.parametrizations.weight_norm(module[3]),
    "spectral_norm": lambda module: nn.utils.parametrizations.spectral_norm(module[3]),
    "old weight_norm": lambda module: nn.utils.weight_norm(module[3]),
    "old spectral_norm": lambda module: nn.utils.spectral_norm(module[3]),
}
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_weights_that_are_computed_are_exported_and_become_constants(change):
    module = network()
    change(module)
    module.train()
    module(X)
    before = {name: value.clone() for name, value in module.state_dict().items()}

    model = load(module, example_inputs=(X,))

    assert module.training
    assert all(part.training for part in module)
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    prepare(model)
    assert len(layers(model).layers) == 2
    with torch.no_grad():
        expected = module.eval()(X).numpy()
    (actual,) = run(model)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=100 * np.finfo(np.float32).eps)


def run(model) -> list[np.ndarray]:
    session = plain_session(to_bytes(model), threads=1)
    (given,) = session.get_inputs()
    return session.run(None, {given.name: X.numpy()})


def test_masks_leave_zeros_for_the_layers_to_show():
    module = network()
    masked(module)

    model = load(module, example_inputs=(X,))

    prepare(model)
    zeros = [float(np.mean(layer.weight == 0)) for layer in layers(model).layers]
    assert min(zeros) > 0.85


class Failing(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else 2 * x


class Uncopied(nn.Module):
    def __init__(self):
        super().__init__()
        self.lines = (line for line in ())

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    "module", [Failing(), Uncopied(), network().to("meta")], ids=lambda m: type(m).__name__
)
def test_an_export_that_fails_in_torch_is_one_line_that_says_so(module, capfd):
    with pytest.raises(ModelError, match="torch cannot export it") as caught:
        load(module, example_inputs=(X,))

    assert "\n" not in str(caught.value)
    assert "give the file" in str(caught.value)
    assert capfd.readouterr().out == ""

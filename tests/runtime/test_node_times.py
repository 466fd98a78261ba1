"""The times of layers inside networks, from ONNX Runtime's profile."""

from models_in_text import model_of, normal
from sparsepass.graph import layers
from sparsepass.model import to_bytes
from sparsepass.runtime.node_times import FEWEST_TURNS, layer_times, names_of_layers
from sparsepass.shapes import infer

NET = """
g (float[1, 16, 8, 8] x) => (float[1, 16, 8, 8] y) {
  [first] a = Conv<pads=[1,1,1,1]>(x, w)
  r = Relu(a)
  [second] y = Conv<pads=[1,1,1,1]>(r, w)
}
"""


def test_every_layer_has_a_time_for_each_turn_of_each_network():
    model = model_of(NET, w=normal(16, 16, 3, 3))
    known = infer(model)
    names = names_of_layers(model, layers(model, known).layers, known.shapes)

    found = layer_times(
        [to_bytes(model)] * 2, names, {"x": normal(1, 16, 8, 8)}, threads=1, seconds=0
    )

    counts = [{layer: len(times) for layer, times in network.items()} for network in found]
    assert counts == [{"first": FEWEST_TURNS, "second": FEWEST_TURNS}] * 2

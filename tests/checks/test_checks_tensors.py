import onnx
import pytest

from models_in_text import proto_of
from refusals import CONV, W, assert_refused, weight_of


@pytest.mark.parametrize("dims", [[4, 4, 3, 4], [1 << 40, 1 << 40, 3, 3], [4, 4, -3, -3]])
def test_a_payload_that_does_not_fit_its_shape_is_refused(dims):
    proto = proto_of(CONV, w=W)
    weight_of(proto).dims[:] = dims

    assert_refused(proto, "'w'")


def test_a_tensor_of_unknown_type_is_refused():
    proto = proto_of(CONV, w=W)
    weight_of(proto).data_type = 999

    assert_refused(proto, "'w'", "999")


@pytest.fixture
def external(tmp_path):
    """A model whose weight lies in the file ``weights`` beside it, to be spoiled."""
    path = tmp_path / "inner" / "model.onnx"
    path.parent.mkdir()
    onnx.save(
        proto_of(CONV, w=W), path, save_as_external_data=True, location="weights", size_threshold=0
    )
    return path


def spoil(path, **entries) -> None:
    proto = onnx.load(path, load_external_data=False)
    weight = weight_of(proto)
    kept = {entry.key: entry.value for entry in weight.external_data} | entries
    del weight.external_data[:]
    for key, value in kept.items():
        weight.external_data.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../secret"},
        {"location": "/etc/passwd"},
        {"location": ""},
        {"location": "absent"},
        {"location": "."},
        {"offset": "1"},
        {"offset": "-1"},
        {"offset": "99999999999999999999"},
        {"offset": "x"},
        {"length": "575"},
        {"length": "-576"},
    ],
    ids=str,
)
def test_external_data_that_cannot_be_trusted_is_refused(external, entries):
    (external.parents[1] / "secret").write_bytes(W.tobytes())
    spoil(external, **entries)

    assert_refused(external, "'w'")


def test_external_data_behind_a_symbolic_link_is_refused(external):
    data = external.parent / "weights"
    data.rename(external.parents[1] / "weights")
    data.symlink_to(external.parents[1] / "weights")

    assert_refused(external, "'w'", "symbolic link")


def test_external_data_cut_short_is_refused(external):
    data = external.parent / "weights"
    data.write_bytes(data.read_bytes()[:-1])

    assert_refused(external, "'w'", "past the end")


def test_external_data_without_a_folder_is_refused(external):
    assert_refused(external.read_bytes(), "'w'", "give the model as a path")

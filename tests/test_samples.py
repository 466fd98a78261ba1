"""Samples from arrays, files and pictures, and what is said about bad ones."""

import struct
import zlib
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from sparsepass.errors import UsageError
from sparsepass.pictures import ImageTransform
from sparsepass.samples import InputSpec, inputs_of, load_samples, random_samples

ONE = (InputSpec("x", np.dtype(np.float32), (1, 3, 4, 4)),)
PAIRS = (InputSpec("x", np.dtype(np.float32), (2, 3, 4, 4)),)
TWO = (*ONE, InputSpec("n", np.dtype(np.int64), (1, 2)))


def ramp(count, shape=(3, 4, 4)):
    return np.arange(count * np.prod(shape), dtype=np.float32).reshape(count, *shape)


def test_open_batch_is_one_image_and_given_shapes_count():
    model = ir.from_onnx_text("""
        <ir_version: 8, opset_import: ["": 17]>
        g (float[N, 3, H, 4] x) => (float[N, 3, H, 4] y) { y = Relu(x) }
    """)

    assert inputs_of(model, {"x": (1, 3, 6, 4)}) == (
        InputSpec("x", np.dtype(np.float32), (1, 3, 6, 4)),
    )


def test_array_is_one_sample_an_image():
    array = ramp(5)

    samples = load_samples(array, ONE)

    assert len(samples) == 5
    assert sorted(float(feed["x"][0, 0, 0, 0]) for feed in samples) == list(array[:, 0, 0, 0])
    assert all(feed["x"].shape == (1, 3, 4, 4) for feed in samples)


def test_fixed_batch_takes_several_images_a_run():
    samples = load_samples(ramp(6), PAIRS)

    assert len(samples) == 3
    assert samples[0]["x"].shape == (2, 3, 4, 4)


def test_seed_decides_the_order_and_limit_the_number():
    first, again, other = (
        [f["x"][0, 0, 0, 0] for f in load_samples(ramp(40), ONE, limit=10, seed=seed)]
        for seed in (1, 1, 2)
    )

    assert len(first) == 10
    assert first == again
    assert first != other


def test_split_shares_no_sample():
    calibration, held_out = load_samples(ramp(10), ONE).split(0.7)

    assert (len(calibration), len(held_out)) == (7, 3)
    assert not set(calibration.order) & set(held_out.order)


def test_one_sample_cannot_be_split():
    with pytest.raises(UsageError, match="at least 2"):
        load_samples(ramp(1), ONE).split(0.5)


def test_several_inputs_come_from_one_npz(tmp_path):
    path = tmp_path / "calibration.npz"
    np.savez(path, x=ramp(3), n=np.zeros((3, 2), np.int64))

    samples = load_samples(path, TWO)

    assert len(samples) == 3
    assert {name: array.shape for name, array in samples[0].items()} == {
        "x": (1, 3, 4, 4),
        "n": (1, 2),
    }


def test_npy_and_folder_of_npy_hold_the_same_samples(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    np.save(tmp_path / "all.npy", ramp(3))
    for index, image in enumerate(ramp(3)):
        np.save(folder / f"{index}.npy", image)

    whole, files = load_samples(tmp_path / "all.npy", ONE), load_samples(folder, ONE)

    for one, other in zip(whole, files, strict=True):
        np.testing.assert_array_equal(one["x"], other["x"])


def test_doubles_become_singles_but_bytes_do_not():
    assert load_samples(ramp(2).astype(np.float64), ONE)[0]["x"].dtype == np.float32
    with pytest.raises(UsageError, match="uint8"):
        load_samples(np.zeros((2, 3, 4, 4), np.uint8), ONE)


def with_nan():
    array = ramp(2)
    array[:, 0, 0, 0] = np.nan
    return array


@pytest.mark.parametrize(
    ("source", "inputs", "said"),
    [
        (np.zeros((2, 3, 5, 4), np.float32), ONE, "2x3x5x4 does not fit input 'x'|1x3x5x4"),
        (np.zeros((3, 4, 4), np.float32), ONE, "does not fit input 'x'"),
        (np.zeros((0, 3, 4, 4), np.float32), ONE, "at least one"),
        (np.zeros((3, 3, 4, 4), np.float32), PAIRS, "multiple of 2"),
        (with_nan(), ONE, "NaN"),
        (ramp(2), TWO, "2 inputs"),
        ({"y": ramp(2)}, ONE, "arrays y; give one for each of the model's inputs x"),
        (
            {"x": ramp(2), "n": np.zeros((3, 2), np.int64)},
            TWO,
            "unequal numbers of samples .x 2, n 3.",
        ),
    ],
)
def test_bad_arrays_are_refused_in_one_line(source, inputs, said):
    with pytest.raises(UsageError, match=said) as caught:
        list(load_samples(source, inputs))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("samples.npz", b"not an archive", "cannot be read"),
        ("samples.npy", b"", "cannot be read"),
        ("samples.txt", b"1 2 3", "not samples"),
        ("absent.npz", None, "cannot be read"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=said) as caught:
        load_samples(path, ONE)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_npy_with_objects_is_not_unpickled(tmp_path):
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{}], object), allow_pickle=True)

    with pytest.raises(UsageError, match="cannot be read"):
        load_samples(path, ONE)


def picture(path, width, height, colour=(255, 0, 51)):
    Image.new("RGB", (width, height), colour).save(path)


def test_pictures_are_decoded_on_demand(tmp_path):
    picture(tmp_path / "a.png", 8, 6)
    (tmp_path / "b.png").write_bytes(b"no picture")

    samples = load_samples(tmp_path, ONE)

    assert len(samples) == 2
    with pytest.raises(UsageError, match=r"b\.png: not a picture"):
        list(samples)


def test_default_transform_is_imagenet(tmp_path):
    picture(tmp_path / "a.png", 8, 6)
    expected = (np.array([1.0, 0.0, 0.2]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]

    feed = load_samples(tmp_path, ONE)[0]["x"]

    assert feed.shape == (1, 3, 4, 4)
    # One division, one subtraction and one division of values up to 1 / 0.225.
    np.testing.assert_allclose(feed[0, :, 2, 2], expected, atol=3 * 2.0**-23 / 0.225)


def test_order_mean_and_scale_are_read_from_text(tmp_path):
    picture(tmp_path / "a.png", 4, 4)
    transform = ImageTransform.parse("mean=104,117,123;std=1;scale=1;order=bgr")

    feed = load_samples(tmp_path, ONE, transform=transform)[0]["x"]

    assert list(feed[0, :, 0, 0]) == [51 - 104, 0 - 117, 255 - 123]


def test_crop_takes_the_middle_of_the_resized_picture(tmp_path):
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 255
    Image.fromarray(wide).save(tmp_path / "a.png")
    transform = ImageTransform.parse("mean=0;std=1;size=4")

    feed = load_samples(tmp_path, ONE, transform=transform)[0]["x"]

    assert (feed == 1).all()


def test_size_above_the_input_crops_closer(tmp_path):
    edge = np.full((8, 8, 3), 255, np.uint8)
    edge[2:6, 2:6] = 0
    Image.fromarray(edge).save(tmp_path / "a.png")

    near, whole = (
        load_samples(tmp_path, ONE, transform=ImageTransform.parse(f"mean=0;std=1{size}"))[0]["x"]
        for size in (";size=8", "")
    )

    assert (near == 0).all()
    assert whole.max() > 0


def test_gray_and_channels_last_inputs_are_fed(tmp_path):
    picture(tmp_path / "a.png", 8, 8, (255, 255, 255))
    gray = (InputSpec("x", np.dtype(np.float32), (1, 1, 4, 4)),)
    last = (InputSpec("x", np.dtype(np.float32), (1, 4, 4, 3)),)

    one = load_samples(tmp_path, gray, transform=ImageTransform.parse("mean=0;std=1;order=gray"))
    other = load_samples(tmp_path, last, transform=ImageTransform.parse("mean=0;std=1"))

    assert one[0]["x"].shape == (1, 1, 4, 4)
    assert other[0]["x"].shape == (1, 4, 4, 3)


@pytest.mark.parametrize(
    "text",
    [
        "mean=a",
        "mean=1,2",
        "std=0",
        "scale=-1",
        "order=cmyk",
        "size=0",
        "blur=3",
        "mean",
        "size=1;size=2",
    ],
)
def test_bad_transforms_are_refused_in_one_line(text):
    with pytest.raises(UsageError, match="image transform") as caught:
        ImageTransform.parse(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [((), "has 0 pictures"), (("a.png", "b.npy"), "one kind")],
)
def test_bad_folders_are_refused(tmp_path, files, said):
    for name in files:
        (tmp_path / name).write_bytes(b"")

    with pytest.raises(UsageError, match=said):
        load_samples(tmp_path, ONE)


def test_random_samples_are_the_same_for_a_seed():
    first, again, other = (random_samples(TWO, seed=seed, count=2) for seed in (5, 5, 6))

    np.testing.assert_array_equal(first[1]["x"], again[1]["x"])
    assert not np.array_equal(first[0]["x"], first[1]["x"])
    assert not np.array_equal(first[1]["x"], other[1]["x"])
    assert first[0]["n"].dtype == np.int64


def claimed_picture(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a few bytes."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + data))
        parts.append(struct.pack(">I", len(data)) + kind + data + check)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("width", "height"), [(60_000, 60_000), (12_000, 9_000), (50_000_000, 1), (1, 80_000_000)]
)
def test_a_picture_made_to_fill_memory_is_refused_in_one_line(width, height, tmp_path, recwarn):
    (tmp_path / "bomb.png").write_bytes(claimed_picture(width, height))
    spec = InputSpec("x", np.dtype(np.float32), (1, 3, 8, 8))

    with pytest.raises(UsageError, match=r"bomb\.png: not a picture") as caught:
        load_samples(tmp_path, [spec])[0]

    assert "\n" not in str(caught.value)
    assert list(recwarn) == []


def test_an_input_larger_than_memory_is_refused():
    model = ir.from_onnx_text("""
        <ir_version: 8, opset_import: ["": 17]>
        g (float[1, 3, H, W] x) => (float[1, 3, H, W] y) { y = Relu(x) }
    """)

    with pytest.raises(UsageError, match="give smaller sizes with --shape"):
        inputs_of(model, {"x": (1, 3, 10**6, 10**6)})


def test_a_folder_that_cannot_be_looked_into_is_named_with_the_remedy_for_reading(
    tmp_path, monkeypatch
):
    def denied(folder, pattern):
        raise PermissionError(13, "Permission denied", str(tmp_path / "closed"))

    monkeypatch.setattr(Path, "rglob", denied)

    with pytest.raises(UsageError, match=r"closed: cannot be read .*; give a folder"):
        load_samples(tmp_path, ONE)

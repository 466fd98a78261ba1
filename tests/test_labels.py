"""Labels from folders and files, and what is said about those that do not fit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsepass.errors import UsageError
from sparsepass.labels import folder_labels, read_labels
from sparsepass.samples import InputSpec, load_samples

ONE = (InputSpec("x", np.dtype(np.float32), (1, 3, 4, 4)),)
PAIRS = (InputSpec("x", np.dtype(np.float32), (2, 3, 4, 4)),)


def files(folder: Path, *names: str) -> list[Path]:
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("cat/a.png", "dog/a.png", "cat/b.png"), (0, 1, 0)),
        (("7/a.png", "12/a.png"), (7, 12)),
        (("cat/x/a.png", "dog/a.png"), (0, 1)),
        (("a.png", "dog/a.png"), None),
        (("cat/a.png", "cat/b.png"), None),
    ],
)
def test_folders_are_classes_in_order_or_by_their_numbers(tmp_path, names, labels):
    assert folder_labels(tmp_path, files(tmp_path, *names)) == labels


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "3\n1\n"),
        ("l.txt", "d/b.png 1\nother.png 9\na.png 3\n"),
        ("l.csv", "file,label\na.png,3\nd/b.png,1\n"),
        ("l.tsv", "a.png\t3\nb.png\t1\n"),
        ("l.txt", "a.png 3\r\nb.png 1\r\n\r\n"),
        ("l.txt", "\ufeff3\n1\n"),
    ],
)
def test_a_file_has_numbers_in_order_or_names_in_any(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)

    found = read_labels(path, 2, files(tmp_path, "a.png", "d/b.png"), tmp_path)

    assert found == (3, 1)


def test_numbers_come_as_arrays_too(tmp_path):
    np.save(tmp_path / "l.npy", np.array([[3], [1]]))

    assert read_labels(tmp_path / "l.npy", 2) == read_labels([3, 1], 2) == (3, 1)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("l.txt", "3\n", "1 labels for 2 samples"),
        ("l.txt", "3\n-1\n", "-1 is below 0"),
        ("l.txt", "a.png 3\n", "no label for"),
        ("l.txt", "a.png 3\na.png 4\nd/b.png 1\n", "the labels 3 and 4"),
        ("l.txt", "a.png cat\nd/b.png dog\n", "line 1: 'a.png cat' does not end in a class number"),
        ("l.csv", "a,cat\nb,dog\n", "line 2"),
        ("l.txt", "", "0 labels for 2 samples"),
        ("l.txt", "9" * 20 + "\n1\n", "line 1: '9+' does not end in a class number"),
        ("l.txt", "9" * 5000 + "\n1\n", "line 1: '9+' does not end in a class number"),
        ("l.doc", "3\n1\n", "give an .npy, a .txt"),
        ("l.npy", "3\n1\n", "cannot be read"),
    ],
)
def test_labels_that_do_not_fit_are_one_line(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(UsageError, match=words) as caught:
        read_labels(path, 2, files(tmp_path, "a.png", "d/b.png"), tmp_path)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [[0.5, 1.5], [[1, 2], [3, 4]], 3, [], ["cat", "dog"]])
def test_numbers_that_are_no_classes_are_refused(labels):
    with pytest.raises(UsageError, match="labels"):
        read_labels(labels, 2)


def test_names_need_files(tmp_path):
    path = tmp_path / "l.txt"
    path.write_text("a.png 3\n")

    with pytest.raises(UsageError, match="the samples are arrays"):
        read_labels(path, 1)


def test_an_absent_file_is_one_line(tmp_path):
    for name in ("l.npy", "l.txt"):
        with pytest.raises(UsageError, match="No such file"):
            read_labels(tmp_path / name, 2)


@pytest.mark.parametrize("shape", [(10**12,), (-1,)], ids=["more than follows", "negative"])
def test_a_header_that_lies_is_one_line(tmp_path, shape):
    path = tmp_path / "l.npy"
    with path.open("wb") as file:
        header = {"descr": "<i8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

    with pytest.raises(UsageError, match=r"l\.npy: cannot be read \((its header claims|shape is)"):
        read_labels(path, 2)


def test_a_batch_has_the_labels_of_its_images():
    array = np.arange(6 * 48, dtype=np.float32).reshape(6, 3, 4, 4)

    samples = load_samples(array, PAIRS, labels=list(range(6)))

    for position, feed in enumerate(samples):
        first = int(feed["x"][0, 0, 0, 0]) // 48
        assert samples.labels_of(position).tolist() == [first, first + 1]


def test_pictures_have_the_labels_of_their_folders(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("RGB", (4, 4)).save(tmp_path / name / f"{number}.png")

    samples = load_samples(tmp_path, ONE)

    labels = [int(samples.labels_of(position)[0]) for position in range(6)]
    assert sorted(labels) == [0, 0, 0, 1, 1, 1]
    assert labels == [index // 3 for index in samples.order]

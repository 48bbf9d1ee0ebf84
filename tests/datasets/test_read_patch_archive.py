"""Findings that arrive already cut out."""

import itertools
import re

import numpy as np
import pytest

from lesion_transfer.datasets import patch_archive
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding
from lesion_transfer.datasets.patch_scale import DisplayScale


def write(folder, images, text):
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", images, allow_pickle=True)
    (folder / "findings.csv").write_text(text)
    return folder


def read(folder, channels=("t2",), tables=None):
    return list(patch_archive.read_findings(folder, tables or folder, channels, "world"))


FULL = """patient_id,finding_id,label,zone,x,y,spacing_x,spacing_y
B,1,True,PZ,1.5,2,0.5,0.25
A,1,False,,,,,
B,1,,TZ,1,1,,
"""


def test_rows_join_images_by_their_order(tmp_path):
    images = np.arange(3 * 4 * 6, dtype=np.uint8).reshape(3, 1, 4, 6)
    first, second, third = read(write(tmp_path, images, FULL))
    assert [one.finding_key for one in (first, second, third)] == ["B/1/1", "B/1/2", "A/1/1"]
    assert (first.label, second.label, third.label) == (True, None, False)
    assert (first.zone, first.slices["t2"].centre_xy, first.slices["t2"].spacing_mm) == ("PZ", (1.5, 2), (0.25, 0.5))
    assert (third.slices["t2"].centre_xy, third.slices["t2"].spacing_mm) == ((2.5, 1.5), None)
    np.testing.assert_array_equal(second.slices["t2"].pixels, images[2, 0])
    assert second.slices["t2"].pixels.dtype == np.float32


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_may_be_saved_in_any_way_that_excel_knows(tmp_path, encoding, separator):
    folder = write(tmp_path, np.ones((1, 1, 3, 3), np.uint8), "")
    text = "patient_id,finding_id,zone\r\nÄ,7,PZ\r\n".replace(",", separator)
    (folder / "findings.csv").write_bytes(text.encode(encoding))
    (finding,) = read(folder)
    assert (finding.patient_id, finding.finding_id, finding.zone) == ("Ä", "7", "PZ")


def test_only_the_ids_are_needed(tmp_path):
    folder = write(tmp_path, np.ones((1, 2, 3, 3), np.uint8), "patient_id,finding_id\nA,7\n")
    (finding,) = read(folder, ["t2", "adc"])
    assert (finding.label, tuple(finding.slices)) == (None, ("t2", "adc"))


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (np.array([0, 100, 255], np.uint8), [0, 100, 255]),
        (np.array([0.2, 0.5, 1.0], np.float32), [51, 127.5, 255]),
        (np.array([0.0, 0.5, 0.5], np.float16), [0, 127.5, 127.5]),
        (np.array([False, True, True]), [0, 255, 255]),
        (np.array([-1.0, 0.0, 3.0]), [0, 63.75, 255]),
        (np.array([1000, 2000, 3000], np.int16), [0, 127.5, 255]),
        (np.array([5.0, 5.0, 5.0]), [0, 0, 0]),
    ],
)
def test_any_range_becomes_display_values(tmp_path, stored, shown):
    folder = write(tmp_path, stored.reshape(1, 1, 1, 3), "patient_id,finding_id\nA,1\n")
    np.testing.assert_allclose(read(folder)[0].slices["t2"].pixels, [shown], atol=1e-4)


def test_channels_of_other_ranges_are_stretched_each_on_its_own(tmp_path):
    images = np.zeros((2, 2, 1, 2), np.float32)
    images[1, 0, 0] = [0, 10]
    images[1, 1, 0] = [0, 3000]
    _, finding = read(write(tmp_path, images, "patient_id,finding_id\nA,1\nA,2\n"), ["a", "b"])
    for one in finding.slices.values():
        np.testing.assert_allclose(one.pixels, [[0, 255]])


def stretched_by_one_pixel():
    images = np.random.default_rng(0).uniform(0, 300, (4, 2, 30, 30)).astype(np.float32)
    images[2, 1, 3, 4] = 1e6
    return images


FOUR = "patient_id,finding_id\nA,1\nA,2\nB,1\nC,1\n"


def test_a_scale_that_a_few_extreme_pixels_make_is_warned_of(tmp_path, caplog):
    found = read(write(tmp_path, stretched_by_one_pixel(), FOUR), ["t2", "adc"])
    (said,) = caplog.messages
    assert re.search(r"images\.npy, channel adc: .* to 1e\+06 .*0\.1 to 99\.9 % .* to 29\d", said)
    assert found[0].slices["adc"].pixels.max() < 1


@pytest.mark.parametrize("change", [lambda one: one.clip(0, 300), lambda one: one.astype(bool)])
def test_other_scales_are_not_warned_of(tmp_path, caplog, change):
    read(write(tmp_path, change(stretched_by_one_pixel()), FOUR), ["t2", "adc"])
    assert not caplog.messages


def test_the_scale_of_the_training_is_not_warned_of(tmp_path, caplog):
    folder = write(tmp_path, stretched_by_one_pixel(), FOUR)
    trained = DisplayScale((0.0, 0.0), (300.0, 300.0))
    list(patch_archive.read_findings(folder, folder, ["t2", "adc"], "world", trained))
    assert not caplog.messages


def test_rows_that_cannot_be_used_are_excluded(tmp_path):
    images = np.ones((8, 1, 4, 4), np.float32)
    images[5] = np.nan
    text = """patient_id,finding_id,label,x,y,spacing_x,spacing_y
A,1,True,1,1,1,1
,2,True,1,1,1,1
A,3,so so,1,1,1,1
A,4,True,one,1,1,1
A,5,True,1,1,0,1
A,6,True,1,1,1,1
A,7,True,9,1,1,1
A,8,True,1,1,1,1
"""
    found = read(write(tmp_path, images, text))
    reasons = {one.finding_id: one.reason for one in found if isinstance(one, Exclusion)}
    assert reasons == {
        "2": "bad_row",
        "3": "bad_label",
        "4": "bad_position",
        "5": "bad_spacing",
        "6": "not_finite",
        "7": "outside_volume",
    }
    assert sum(isinstance(one, Finding) for one in found) == 2


@pytest.mark.parametrize(("first", "second", "name"), [("A#1", "A@1", "A_1"), ("7", "-7", "7"), ("A_1", "A#1", "A_1")])
def test_two_patients_whose_names_would_be_one_stop(tmp_path, first, second, name):
    text = f"patient_id,finding_id\n{first},1\nB,1\n{second},1\n"
    folder = write(tmp_path, np.ones((3, 1, 2, 2), np.uint8), text)
    said = f"findings.csv: '{first}' and '{second}' would both be the patient {name}, .*rename one"
    with pytest.raises(DatasetError, match=said):
        read(folder)


def test_an_id_that_is_refused_anyway_merges_nobody(tmp_path):
    folder = write(tmp_path, np.ones((3, 1, 2, 2), np.uint8), "patient_id,finding_id\nA_1,1\nA/1,1\nA_1,2\n")
    assert [getattr(one, "reason", None) for one in read(folder)] == [None, "bad_row", None]


@pytest.mark.parametrize("n_images", [1, 3])
def test_another_number_of_images_than_of_rows_is_refused(tmp_path, n_images):
    """One that is missing in the middle would put every later image under another finding."""
    folder = write(tmp_path, np.ones((n_images, 1, 2, 2), np.uint8), "patient_id,finding_id\nA,1\nA,2\n")
    with pytest.raises(DatasetError, match=f"holds {n_images} images and findings.csv has 2 rows"):
        read(folder)


def test_wrong_number_of_channel_names_stops(tmp_path):
    folder = write(tmp_path, np.ones((1, 3, 2, 2), np.uint8), "patient_id,finding_id\nA,1\n")
    with pytest.raises(DatasetError, match="3 channels and 1 were named"):
        read(folder)


@pytest.mark.parametrize(
    "images", [np.ones((2, 3)), np.array([{}]), np.ones((1, 1, 2, 2), complex), np.ones((0, 1, 2, 2))]
)
def test_arrays_of_another_kind_stop(tmp_path, images):
    with pytest.raises(DatasetError, match=r"images\.npy"):
        read(write(tmp_path, images, "patient_id,finding_id\nA,1\n"))


def test_an_archive_is_found_one_folder_down_but_never_guessed(tmp_path):
    write(tmp_path / "t2", np.ones((1, 1, 2, 2), np.uint8), "patient_id,finding_id\nA,1\n")
    assert patch_archive.published_tables(tmp_path) == [tmp_path / "t2" / "findings.csv"]
    assert list(patch_archive.image_files(tmp_path)) == [tmp_path / "t2" / "images.npy"]
    write(tmp_path / "adc", np.ones((1, 1, 2, 2), np.uint8), "patient_id,finding_id\nA,1\n")
    with pytest.raises(DatasetError, match="2 folders"):
        patch_archive.published_tables(tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "channels", "count", "positive"),
    [
        ("prostatex/patches/t2", ["t2"], 251, 57),
        ("prostatex/patches/t2_adc_bval", ["t2", "adc", "dwi"], 244, 54),
        ("lung/lidc_nodules", ["ct"], 882, 267),
    ],
)
def test_real_archives(real_data, name, channels, count, positive):
    found = read(real_data / name, channels)
    assert all(isinstance(one, Finding) for one in found)
    assert (len(found), sum(one.label for one in found)) == (count, positive)
    assert len({one.finding_key for one in found}) == count
    patients = [one.patient_id for one in found]
    assert len(dict.fromkeys(patients)) == 1 + sum(a != b for a, b in itertools.pairwise(patients))

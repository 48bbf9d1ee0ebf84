"""Ktrans maps beside the DICOM: the grid that the tables tell, the slice by position, and headers that lie."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from lesion_transfer.datasets import prostatex
from lesion_transfer.datasets.finding import Exclusion, Finding
from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom import write_phantom
from lesion_transfer.datasets.prostatex_ktrans import read_ktrans
from lesion_transfer.datasets.prostatex_series import choose_series
from lesion_transfer.imaging.dicom_index import group_series, index_folder

RECIPE = Path(__file__).parents[2] / "phantom" / "prostatex.yaml"
CHANNELS = ["ktrans", "adc"]


def numbers(text: str, separator: str | None = None) -> np.ndarray:
    return np.array([float(cell) for cell in text.split(separator)])


def table_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    """Three training patients and two of the test set, with maps; T2 small, as nothing here looks at it."""
    folder = tmp_path_factory.mktemp("ktrans")
    (folder / "recipe.yaml").write_text(
        RECIPE.read_text().replace("columns: 384\n  rows: 384", "columns: 48\n  rows: 48")
    )
    options = PhantomOptions(n_patients=3, n_slices=5, n_test_patients=2, ktrans=True)
    write_phantom("prostatex", folder / "recipe.yaml", folder / "data", options, 5)
    return folder / "data"


@pytest.fixture
def damaged(phantom, tmp_path) -> Path:
    """A copy in which a test may damage the first patient's map."""
    import shutil

    return Path(shutil.copytree(phantom, tmp_path / "data"))


def read(source: Path, channels=CHANNELS, rule="world", chosen="train") -> list[Finding | Exclusion]:
    return list(prostatex.read_findings(source, source, channels, rule, chosen=chosen))


def test_a_map_is_a_channel_beside_the_others(phantom):
    found = read(phantom, chosen="both")
    assert {one.patient_id for one in found} == {f"ProstateX-{n:04d}" for n in range(5)}
    assert [one.label is None for one in found] == [one.patient_id >= "ProstateX-0003" for one in found]
    for one in found:
        ktrans, adc = (one.slices[channel] for channel in CHANNELS)
        assert ktrans.pixels.shape == (128, 128)
        assert ktrans.spacing_mm == pytest.approx((1.5, 1.5))
        assert ktrans.file.name == f"{one.patient_id}-Ktrans.mhd"
        assert [path.name for path in ktrans.companions] == [f"{one.patient_id}-Ktrans.raw"]
        assert ktrans.distance_mm <= 1.5 + 1e-6
        # Both are the same lesion: bright in the map, dark in the ADC.
        for image, sign in ((ktrans, 1), (adc, -1)):
            x, y = (round(v) for v in image.centre_xy)
            inside = sign * image.pixels[y - 1 : y + 2, x - 1 : x + 2].mean()
            reach = round(20 / image.spacing_mm[0])
            around = sign * np.median(image.pixels[y - reach : y + reach, x - reach : x + reach])
            assert inside > around


def test_maps_are_in_the_manifest(phantom):
    names = {path.name for path in prostatex.image_files(phantom)}
    assert {"ProstateX-0000-Ktrans.mhd", "ProstateX-0000-Ktrans.raw", "000000.dcm"} <= names


def test_voxels_of_any_name_are_in_the_manifest(damaged):
    folder = damaged / "Ktrans" / "ProstateX-0000"
    (folder / "ProstateX-0000-Ktrans.raw").rename(folder / "voxels.bin")
    rewrite(folder / "ProstateX-0000-Ktrans.mhd", "ElementDataFile", "voxels.bin")
    ktrans = read(damaged)[0].slices["ktrans"]
    assert {ktrans.file, *ktrans.companions} <= set(prostatex.image_files(damaged))
    rewrite(folder / "ProstateX-0000-Ktrans.mhd", "ElementDataFile", "../voxels.bin")
    assert ktrans.file in set(prostatex.image_files(damaged))


def test_the_voxel_of_the_table_is_where_the_position_falls(phantom):
    rows = {row["ProxID"]: row for row in table_rows(phantom / "ProstateX-Images-KTrans-Train.csv")}
    for patient, row in rows.items():
        ktrans = read_ktrans(phantom / "Ktrans" / patient / f"{patient}-Ktrans.mhd")
        k, j, i = ktrans.grid.index_of(numbers(row["pos"]))
        assert np.abs(np.array([i, j, k]) + 0.5 - numbers(row["ijk"])).max() <= 0.501


def test_the_table_rule_takes_the_tables_k(damaged):
    path = damaged / "ProstateX-Images-KTrans-Train.csv"
    rows = table_rows(path)
    ks = {"ProstateX-0000": "1", "ProstateX-0001": "-2", "ProstateX-0002": "9"}
    lines = [f'{r["ProxID"]},{r["fid"]},{r["pos"]},"{r["WorldMatrix"]}",60 60 {ks[r["ProxID"]]}' for r in rows]
    path.write_text("\n".join(["ProxID,fid,pos,WorldMatrix,ijk", *lines]))
    found = {one.patient_id: one for one in read(damaged, ["ktrans"], "instance_number")}
    shown = read_ktrans(damaged / "Ktrans" / "ProstateX-0000" / "ProstateX-0000-Ktrans.mhd").shown
    np.testing.assert_array_equal(found["ProstateX-0000"].slices["ktrans"].pixels, shown[1])
    assert found["ProstateX-0001"].reason.value == "negative_k"
    assert found["ProstateX-0002"].reason.value == "outside_volume"
    path.unlink()
    assert {one.reason.value for one in read(damaged, ["ktrans"], "instance_number")} == {"missing_slice"}


def rewrite(header: Path, key: str, value: str) -> None:
    lines = [f"{key} = {value}" if line.startswith(f"{key} ") else line for line in header.read_text().splitlines()]
    header.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ElementDataFile", "../../PROSTATEx/secret.raw"),
        ("ElementDataFile", "/etc/passwd"),
        ("ElementDataFile", "missing.raw"),
        ("DimSize", "30000 30000 30000"),
        ("DimSize", "128 128 6"),
        ("ElementType", "MET_OTHER"),
        ("TransformMatrix", "1 0 0 1 0 0 0 0 1"),
    ],
)
def test_a_header_that_lies_costs_the_channel_of_one_patient(damaged, key, value):
    rewrite(damaged / "Ktrans" / "ProstateX-0000" / "ProstateX-0000-Ktrans.mhd", key, value)
    found = {one.patient_id: one for one in read(damaged)}
    lost = found["ProstateX-0000"]
    assert set(lost.slices) == {"adc"}
    assert lost.lacking["ktrans"].reason.value == "unreadable_file"
    assert str(damaged) not in lost.lacking["ktrans"].detail
    assert all(set(one.slices) == set(CHANNELS) for patient, one in found.items() if patient != "ProstateX-0000")


@pytest.mark.parametrize("axes", [[0], [0, 1]])
def test_a_map_that_is_stored_mirrored_or_turned_is_set_aside(damaged, axes):
    """The same voxels in the same places of the patient, so that neither the position nor a dot at the lesion tells."""
    header = damaged / "Ktrans" / "ProstateX-0000" / "ProstateX-0000-Ktrans.mhd"
    image = SimpleITK.ReadImage(str(header))
    flipped = SimpleITK.Flip(image, [axis in axes for axis in range(3)])
    voxel = np.array(image.GetSpacing()) * [axis in axes for axis in range(3)]
    flipped.SetOrigin((np.array(flipped.GetOrigin()) + np.array(image.GetDirection()).reshape(3, 3) @ voxel).tolist())
    before = read_ktrans(header)
    SimpleITK.WriteImage(flipped, str(header), useCompression=True)
    after = read_ktrans(header)
    place = before.grid.position_lps_mm_of((1, 2, 3))
    assert after.shown[tuple(np.rint(after.grid.index_of(place)).astype(int))] == before.shown[1, 2, 3]
    lost = next(one for one in read(damaged) if one.patient_id == "ProstateX-0000")
    assert set(lost.slices) == {"adc"}
    assert lost.lacking["ktrans"].reason.value == "turned_image"


def test_missing_and_ambiguous_maps_are_named(damaged):
    first, second = (damaged / "Ktrans" / f"ProstateX-000{n}" / f"ProstateX-000{n}-Ktrans.mhd" for n in (0, 1))
    first.unlink()
    (damaged / "more").mkdir()
    (damaged / "more" / second.name).write_bytes(second.read_bytes())
    found = {one.patient_id: one for one in read(damaged)}
    assert found["ProstateX-0000"].lacking["ktrans"].reason.value == "missing_series"
    assert found["ProstateX-0001"].lacking["ktrans"].reason.value == "ambiguous_file"
    alone = {one.patient_id: one for one in read(damaged, ["ktrans"])}
    assert alone["ProstateX-0000"].reason.value == "not_in_source"


@pytest.mark.real
def test_the_headers_offset_is_the_corner_of_the_dynamic_series_grid(real_data):
    """ITK takes Offset for the centre of the first voxel, and so puts every published map half a voxel off."""
    source = real_data / "prostatex"
    dynamic = {}
    for row in table_rows(source / "ProstateX-Images-Train.csv"):
        if row["DCMSerDescr"].startswith(("tfl_3d", "Perfusie")):
            key = row["ProxID"], row["fid"], row["pos"]
            dynamic.setdefault(key, []).append(numbers(row["WorldMatrix"], ","))
    rows = table_rows(source / "ProstateX-Images-KTrans-Train.csv")
    assert len({(row["ProxID"], row["fid"], row["pos"]) for row in rows}) == 330
    seen = 0
    for row in rows:
        matrix = numbers(row["WorldMatrix"], ",")
        differences = [np.abs(matrix - other).max() for other in dynamic[row["ProxID"], row["fid"], row["pos"]]]
        assert min(differences) < 1e-3
        header = source / "ktrans" / row["ProxID"] / f"{row['ProxID']}-Ktrans.mhd"
        if header.is_file():
            image = SimpleITK.ReadImage(str(header))
            np.testing.assert_allclose(image.GetOrigin(), matrix.reshape(4, 4)[:3, 3], atol=1e-4)
            seen += 1
    assert seen == 13


@pytest.mark.real
def test_real_maps_show_every_finding(real_data):
    source = real_data / "prostatex"
    rows = {(r["ProxID"], r["fid"], r["pos"]): r for r in table_rows(source / "ProstateX-Images-KTrans-Train.csv")}
    voxels = {(patient, fid, tuple(numbers(pos))): numbers(r["ijk"]) for (patient, fid, pos), r in rows.items()}
    positions = {}
    for row in table_rows(source / "ProstateX-Findings-Train.csv"):
        positions.setdefault((row["ProxID"], row["fid"]), []).append(tuple(numbers(row["pos"])))
    found = [one for one in read(source, ["ktrans"]) if isinstance(one, Finding)]
    assert len(found) == 13
    for one in found:
        _, fid, n = one.finding_key.split("/")
        position = positions[one.patient_id, fid][int(n) - 1]
        ktrans = read_ktrans(one.slices["ktrans"].file)
        k, j, i = ktrans.grid.index_of(position)
        assert np.abs(np.array([i, j, k]) + 0.5 - voxels[one.patient_id, fid, position]).max() <= 0.501
        assert one.slices["ktrans"].distance_mm <= ktrans.grid.spacing_mm[0] / 2
        itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(one.slices["ktrans"].file)))
        np.testing.assert_allclose(ktrans.shown, np.clip(itk, 0, 10) * 25.5, atol=1e-3)


@pytest.mark.real
@pytest.mark.parametrize("channel", ["t2", "adc"])
def test_maps_and_images_planned_on_one_centre_share_it_only_on_the_corrected_grid(real_data, channel):
    """Scanners put pixel N/2 of a matrix at the planned centre: six of eight patients have one for all sequences."""
    source = real_data / "prostatex"
    offsets = {}
    for patient, images in index_folder(source / "PROSTATEx").by_patient().items():
        instances = choose_series(channel, group_series(images), patient).instances
        centres = [one.geometry.position_lps_mm_at(one.columns / 2, one.rows / 2) for one in instances]
        name = patient.replace("prostatex", "ProstateX")
        ktrans = read_ktrans(source / "ktrans" / name / f"{name}-Ktrans.mhd")
        n_slices, n_rows, n_columns = ktrans.shown.shape
        planned = np.array([(n_slices - 1) / 2, n_rows / 2, n_columns / 2])
        offsets[patient] = np.abs(np.array(ktrans.grid.index_of(np.mean(centres, axis=0))) - planned).max()
    together = {patient for patient, offset in offsets.items() if offset < 0.01}
    assert together == {f"prostatex-{n:04d}" for n in (0, 2, 3, 4, 5, 6)}
    # Half a voxel off in all three axes, as the headers have it, none would be.
    assert not {patient for patient, offset in offsets.items() if abs(offset - 0.5) < 0.01}


def test_a_map_in_a_folder_that_cannot_be_read_is_not_missing(damaged, make_unreadable):
    (header,) = damaged.rglob("ProstateX-0000-Ktrans.mhd")
    folder = header.parent / "ProstateX-0000"
    folder.mkdir()
    for file in header.parent.glob("ProstateX-0000-Ktrans.*"):
        file.rename(folder / file.name)
    make_unreadable(folder)
    lost = {one.reason for one in read(damaged, channels=["ktrans"]) if one.patient_id == "ProstateX-0000"}
    assert lost == {"unreadable_file"}


def test_a_map_whose_name_is_no_utf8_is_set_aside(damaged):
    (header,) = damaged.rglob("ProstateX-0000-Ktrans.mhd")
    folder = header.parent / os.fsdecode(b"Pr\xfcfung")
    folder.mkdir()
    for file in header.parent.glob("ProstateX-0000-Ktrans.*"):
        file.rename(folder / file.name)
    lost = [one for one in read(damaged, channels=["ktrans"]) if one.patient_id == "ProstateX-0000"]
    assert {one.reason for one in lost} == {"unreadable_file"}
    assert all(r"Pr\xfcfung/ProstateX-0000-Ktrans.mhd: the name is not UTF-8" in one.detail for one in lost)

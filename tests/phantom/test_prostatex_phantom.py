"""The PROSTATEx phantom against the rules measured on the real archive, from headers and tables alone."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from ruamel.yaml import YAML

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom import write_phantom

RECIPES = Path(__file__).parents[2] / "phantom"
IMAGE_COLUMNS = (
    "ProxID,Name,fid,pos,WorldMatrix,ijk,TopLevel,SpacingBetweenSlices,VoxelSpacing,Dim,DCMSerDescr,DCMSerNum"
)


def numbers(text: str, separator: str | None = None) -> np.ndarray:
    return np.array([float(x) for x in text.split(separator)])


def read_series(folder: Path) -> dict[tuple[str, int], list[pydicom.Dataset]]:
    """(PatientID, SeriesNumber) -> its images, sorted along the slice normal (and by b-value)."""
    series = defaultdict(list)
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        series[dataset.PatientID, int(dataset.SeriesNumber)].append(dataset)
    return {key: sorted(images, key=lambda d: (along_normal(d), b_value(d))) for key, images in series.items()}


def directions(dataset: pydicom.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cosines = np.array(dataset.ImageOrientationPatient, dtype=float)
    return cosines[:3], cosines[3:], np.cross(cosines[:3], cosines[3:])


def along_normal(dataset: pydicom.Dataset) -> float:
    return round(float(np.dot(np.array(dataset.ImagePositionPatient, dtype=float), directions(dataset)[2])), 3)


def b_value(dataset: pydicom.Dataset) -> int:
    element = dataset.get((0x0019, 0x100C))
    return int(element.value.decode()) if element else 0


def continuous_index(images: list[pydicom.Dataset], position: np.ndarray) -> np.ndarray:
    """DICOM's (column, row, slice) of an LPS position, whole at the centres of voxels."""
    row, column, normal = directions(images[0])
    offset = position - np.array(images[0].ImagePositionPatient, dtype=float)
    between_rows, between_columns = (float(x) for x in images[0].PixelSpacing)
    planes = sorted({along_normal(d) for d in images})
    step = planes[1] - planes[0]
    return np.array([offset @ row / between_columns, offset @ column / between_rows, offset @ normal / step])


@pytest.fixture(scope="module")
def tables(tiny: dict[str, Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = tiny["prostatex"]
    return pd.read_csv(folder / "ProstateX-Findings-Train.csv"), pd.read_csv(folder / "ProstateX-Images-Train.csv")


@pytest.fixture(scope="module")
def series(tiny: dict[str, Path]) -> dict[tuple[str, int], list[pydicom.Dataset]]:
    return read_series(tiny["prostatex"])


def test_tables_have_the_published_columns(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    findings, images = tables
    assert list(findings.columns) == ["ProxID", "fid", "pos", "zone", "ClinSig"]
    assert ",".join(images.columns) == IMAGE_COLUMNS
    assert findings["ClinSig"].dtype == bool
    assert set(findings["zone"]) <= {"PZ", "TZ", "AS"}
    assert images["VoxelSpacing"].isin(["2,2,3", "0.5,0.5,3"]).all()
    assert images["Dim"].isin(["84x128x5x1", "384x384x5x1"]).all()


def test_the_oddities_of_the_archive_are_there(
    tables: tuple[pd.DataFrame, pd.DataFrame], series: dict[tuple[str, int], list[pydicom.Dataset]]
) -> None:
    findings, images = tables
    assert findings.duplicated(["ProxID", "fid"]).any()
    assert len(set(findings["ProxID"]) - {patient for patient, _ in series}) == 1
    t2 = images[images["DCMSerDescr"] == "t2_tse_tra"].groupby("ProxID")["DCMSerNum"].nunique()
    assert (t2 == 2).sum() == 1
    outside = [numbers(ijk)[2] >= 5 or numbers(ijk)[2] < 0 for ijk in images["ijk"]]
    assert images[outside].groupby(["ProxID", "fid"]).ngroups == 1


def test_ijk_obeys_both_published_rules(
    tables: tuple[pd.DataFrame, pd.DataFrame], series: dict[tuple[str, int], list[pydicom.Dataset]]
) -> None:
    checked = 0
    for row in tables[1].itertuples():
        position, ijk = numbers(row.pos), numbers(row.ijk)
        matrix = numbers(row.WorldMatrix, ",").reshape(4, 4)
        assert np.abs((np.linalg.inv(matrix) @ [*position, 1])[:3] - ijk).max() <= 0.501
        if (row.ProxID, row.DCMSerNum) in series:
            index = continuous_index(series[row.ProxID, row.DCMSerNum], position)
            assert np.abs(index + 0.5 - ijk).max() <= 0.5 + 1e-4
            checked += 1
    assert checked >= 30


def test_instance_numbers_run_against_k(
    tables: tuple[pd.DataFrame, pd.DataFrame], series: dict[tuple[str, int], list[pydicom.Dataset]]
) -> None:
    for images in series.values():
        by_b = defaultdict(list)
        for dataset in images:
            by_b[b_value(dataset)].append(int(dataset.InstanceNumber))
        for instance_numbers in by_b.values():
            assert instance_numbers == sorted(instance_numbers, reverse=True)
    t2 = tables[1][tables[1]["DCMSerDescr"] == "t2_tse_tra"]
    for row in t2.itertuples():
        k = round(numbers(row.ijk)[2])
        if (row.ProxID, row.DCMSerNum) not in series or not 0 <= k < 5:
            continue
        images = series[row.ProxID, row.DCMSerNum]
        true = images[round(continuous_index(images, numbers(row.pos))[2])]
        assert int(true.InstanceNumber) != k + 1


def test_headers_are_those_of_an_oblique_anonymous_examination(
    series: dict[tuple[str, int], list[pydicom.Dataset]],
) -> None:
    descriptions = defaultdict(set)
    for (patient, _), images in series.items():
        first = images[0]
        descriptions[patient].add(first.SeriesDescription)
        row, column, normal = directions(first)
        assert abs(np.linalg.norm(row) - 1) < 1e-8
        assert abs(row @ column) < 1e-8
        assert 4.9 < np.degrees(np.arccos(normal[2])) < 18.1
        assert (first.PatientIdentityRemoved, first.BitsStored, first.PixelRepresentation) == ("YES", 12, 0)
        assert float(first.WindowWidth) > 1
        assert not first.StudyDate
        if first.SeriesDescription == "ep2d_diff_tra_DYNDIST":
            assert {b_value(d) for d in images} == {50, 400, 800}
            assert first[0x0019, 0x0010].value == "SIEMENS MR HEADER"
            assert {d[0x0019, 0x100C].value for d in images} == {b"50", b"400 ", b"800 "}
            assert len({int(d.InstanceNumber) for d in images}) == 3 * 5
    assert all(len(names) == 4 for names in descriptions.values())


def test_files_lie_in_three_layouts(tiny: dict[str, Path]) -> None:
    root = tiny["prostatex"] / "PROSTATEx"
    parents = {path.parent.name for path in root.rglob("*.dcm")}
    assert any(name.startswith("1.2.826") for name in parents)
    assert any(name.startswith("4-t2tsetra-") for name in parents)
    assert any(name.startswith("4.000000-t2tsetra-") for name in parents)


@pytest.fixture(scope="module")
def smooth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom of smooth lesions in a body of one tissue, without noise or texture."""
    root = tmp_path_factory.mktemp("smooth")
    recipe = YAML(typ="safe").load((RECIPES / "prostatex.yaml").read_text())
    for trait in ("raggedness", "mottling"):
        recipe["lesion"][trait] = {"middle": 0, "per_sd": 0, "low": 0, "high": 0}
    for series in recipe["series"]:
        for image in series["images"]:
            image["noise"] = image["texture"] = 0
            image["tissues"] = dict.fromkeys(image["tissues"], 1000)
    with (root / "recipe.yaml").open("w") as file:
        YAML(typ="safe").dump(recipe, file)
    write_phantom("prostatex", root / "recipe.yaml", root / "out", PhantomOptions(n_patients=3, n_slices=5), 2)
    return root / "out"


def test_the_lesion_lies_where_the_table_says(smooth: Path) -> None:
    findings = pd.read_csv(smooth / "ProstateX-Findings-Train.csv")
    all_series = read_series(smooth)
    for row in findings.itertuples():
        for number, sign in ((4, -1), (6, 1), (7, -1), (8, 1)):
            images = all_series[row.ProxID, number]
            images = [d for d in images if b_value(d) == max(map(b_value, images))]
            volume = sign * np.stack([d.pixel_array for d in images]).astype(float)
            i, j, k = continuous_index(images, numbers(row.pos))
            spacing = float(images[0].PixelSpacing[0])
            jj, ii = np.mgrid[: volume.shape[1], : volume.shape[2]]
            near = (np.abs(ii - i) <= 9 / spacing) & (np.abs(jj - j) <= 9 / spacing)
            brightest = np.where(near, volume, -np.inf)
            assert abs(brightest.max(axis=(1, 2)).argmax() - k) <= 1
            top = brightest[round(k)] >= brightest[round(k)].max() - 1
            assert np.hypot(ii[top].mean() - i, jj[top].mean() - j) <= max(1.0, 0.5 / spacing)

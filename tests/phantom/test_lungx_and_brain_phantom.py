"""The LUNGx and brain phantoms: their tables as published, their images as their tables say."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from ruamel.yaml import YAML

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom import write_phantom

RECIPES = Path(__file__).parents[2] / "phantom"


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter=";"))


def test_lungx_tables_look_like_the_published_ones(tiny: dict[str, Path]) -> None:
    calibration = rows(tiny["lungx"] / "CalibrationSet_NoduleData.csv")
    test = rows(tiny["lungx"] / "TestSet_NoduleData_PublicRelease_wTruth.csv")
    assert calibration[0] == ["Scan Number", "Nodule Center x,y Position*", "Nodule Center Image", "Diagnosis"]
    assert test[0][1:] == ["Nodule Number", *calibration[0][1:3], "Final Diagnosis"]
    assert len(calibration) == 1 + 1 + 4
    assert {len(row) for row in test} == {5}
    assert test[-3][0].startswith("*specified in pixels")
    assert [row[4] for row in test].count("Suspicious malignant nodule") == 1
    assert ", " in test[1][2]
    assert ", " not in calibration[1][1]


def test_lungx_scans_hold_the_images_that_the_tables_name(tiny: dict[str, Path]) -> None:
    root = tiny["lungx"]
    images = {}
    for path in root.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        images[dataset.PatientID, int(dataset.InstanceNumber)] = dataset
    test = rows(root / "TestSet_NoduleData_PublicRelease_wTruth.csv")[1:-4]
    calibration = [[row[0], "1", *row[1:]] for row in rows(root / "CalibrationSet_NoduleData.csv")[1:-4]]
    for patient, _, xy, number, _ in calibration + test:
        dataset = images[patient, int(number)]
        hounsfield = dataset.pixel_array.astype(float) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        x, y = (int(text) - 1 for text in xy.split(","))
        assert hounsfield.shape == (512, 512)
        assert np.median(hounsfield[:20, :20]) < -900
        # a nodule is denser than lung
        assert hounsfield[y - 3 : y + 4, x - 3 : x + 4].mean() > -800
    positions = {key: float(dataset.ImagePositionPatient[2]) for key, dataset in images.items()}
    patient = test[0][0]
    numbers = sorted(number for name, number in images if name == patient)
    assert numbers[0] > 1
    assert [positions[patient, n] for n in numbers] == sorted((positions[patient, n] for n in numbers), reverse=True)


def test_brain_table_and_files_agree(tiny: dict[str, Path]) -> None:
    root = tiny["brain"]
    table = pd.read_csv(root / "ground_truth.csv", keep_default_na=False)
    assert ",".join(table.columns) == (
        "file,label,x,y,box_x0,box_y0,box_x1,box_y1,keep,patient_group,duplicate_group,drawn,view,quality_note"
    )
    assert set(table["file"]) == {f"{p.parent.name}/{p.name}" for p in root.rglob("*") if p.suffix in {".jpg", ".png"}}
    assert (table["file"].str.startswith("yes/") == table["label"]).all()
    assert (~table["keep"]).sum() == 1
    for row in table.itertuples():
        with Image.open(root / row.file) as image:
            assert 0 < row.box_x0 < row.x < row.box_x1 < image.width
            assert 0 < row.box_y0 < row.y < row.box_y1 < image.height


def test_brain_copies_share_bytes_and_group(tiny: dict[str, Path]) -> None:
    table = pd.read_csv(tiny["brain"] / "ground_truth.csv", keep_default_na=False)
    hashes = [hashlib.sha256((tiny["brain"] / name).read_bytes()).hexdigest() for name in table["file"]]
    copied = table[pd.Series(hashes).duplicated(keep=False)]
    assert len(copied) == 2
    assert set(copied["patient_group"]) == {"P01"}
    assert (table["patient_group"] != "").sum() == 2


def test_brain_lesions_are_brightest_where_the_table_says(tmp_path: Path) -> None:
    recipe = YAML(typ="safe").load((RECIPES / "brain.yaml").read_text())
    for trait in ("raggedness", "mottling"):
        recipe["lesion"][trait] = {"middle": 0, "per_sd": 0, "low": 0, "high": 0}
    recipe["noise"] = recipe["texture"] = 0
    recipe["tissues"] = dict.fromkeys(recipe["tissues"], 80)
    with (tmp_path / "recipe.yaml").open("w") as file:
        YAML(typ="safe").dump(recipe, file)
    write_phantom("brain", tmp_path / "recipe.yaml", tmp_path / "out", PhantomOptions(n_patients=5), 1)
    table = pd.read_csv(tmp_path / "out" / "ground_truth.csv")
    for row in table.itertuples():
        with Image.open(tmp_path / "out" / row.file) as image:
            grey = np.asarray(image.convert("L"), dtype=float)
        box = grey[int(row.box_y0) : int(row.box_y1) + 1, int(row.box_x0) : int(row.box_x1) + 1]
        centre = grey[row.y - 1 : row.y + 2, row.x - 1 : row.x + 2].mean()
        assert centre >= np.percentile(box, 90)
        assert abs(grey[:5].mean() - 80) < 1
        rows_at, columns_at = np.nonzero(grey > (80 + grey.max()) / 2)
        assert abs(columns_at.mean() - row.x) < 1.0
        assert abs(rows_at.mean() - row.y) < 1.0


@pytest.mark.parametrize("kind", ["prostatex", "lungx", "brain"])
def test_two_patients_and_one_slice_are_enough(tmp_path: Path, kind: str) -> None:
    write_phantom(kind, RECIPES / f"{kind}.yaml", tmp_path, PhantomOptions(n_patients=2, n_slices=1), 0)
    assert sum(path.suffix in {".dcm", ".jpg", ".png"} for path in tmp_path.rglob("*")) >= 2

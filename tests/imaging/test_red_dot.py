"""Dots in image files land where they are drawn, through rescale and window, and SimpleITK places them by itself."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.red_dot import DicomCanvas, gaussian_dot, place_by_simpleitk
from lesion_transfer.imaging.series_kind import series_kind


def centroid(image):
    weight = np.abs(image - np.median(image)).astype(float)
    rows, columns = np.indices(image.shape)
    return (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()


@pytest.mark.parametrize("centre", [(20.0, 15.0), (19.37, 14.81), (20.5, 15.5)])
@pytest.mark.parametrize("sigma", [(0.7, 0.7), (1.0, 3.0)])
def test_a_dot_has_its_centroid_at_the_place_asked_for(centre, sigma):
    dot = gaussian_dot((31, 41), centre, sigma)
    np.testing.assert_allclose(centroid(dot), centre, atol=2e-3)
    assert dot.min() >= 0
    assert dot.max() <= 1
    across = dot.sum(axis=0) / dot.sum()
    width = np.sqrt((across * (np.arange(41) - centre[0]) ** 2).sum())
    assert width == pytest.approx(sigma[0], rel=1e-2)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"WindowCenter": 300, "WindowWidth": 500},
        {"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": 0, "WindowWidth": 2500},
        {"PhotometricInterpretation": "MONOCHROME1"},
    ],
    ids=["no window", "window", "rescale", "inverted"],
)
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint8])
def test_a_dot_in_the_stored_values_is_displayed_where_it_was_drawn(tmp_path, write_dicom, tags, dtype):
    top = 250 if dtype is np.uint8 else 900
    pixels = np.random.default_rng(0).integers(0, top, (30, 40)).astype(dtype)
    path = write_dicom(tmp_path / "a.dcm", pixels, **tags)
    before = path.read_bytes()
    shown = DicomCanvas(path).with_dot(gaussian_dot((30, 40), (12.3, 17.8), (1.5, 1.5)))
    assert shown is not None
    np.testing.assert_allclose(centroid(shown), (12.3, 17.8), atol=0.05)
    assert np.median(shown) != shown[18, 12]
    assert path.read_bytes() == before


def test_a_file_without_a_window_takes_the_one_of_its_data_set(tmp_path, write_dicom):
    pixels = np.random.default_rng(0).integers(0, 900, (30, 40)).astype(np.uint16)
    path = write_dicom(tmp_path / "a.dcm", pixels)
    dot = gaussian_dot((30, 40), (12.0, 17.0), (1.5, 1.5))
    plain, windowed = DicomCanvas(path).with_dot(dot), DicomCanvas(path, Window(450, 900)).with_dot(dot)
    assert plain is not None
    assert windowed is not None
    assert np.ptp(windowed) > 3 * np.ptp(plain)


def test_an_image_of_one_value_cannot_be_drawn_into(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", np.full((30, 40), 77, np.uint16))
    assert DicomCanvas(path).with_dot(gaussian_dot((30, 40), (12.0, 17.0), (1.5, 1.5))) is None


@pytest.mark.parametrize("seed", range(4))
def test_simpleitk_puts_a_position_on_an_oblique_slice_as_the_standard_says(tmp_path, write_dicom, seed):
    """DICOM PS3.3 C.7.6.2.1.1: position = IPP + column * spacing * row cosine + row * spacing * column cosine."""
    rng = np.random.default_rng(seed)
    row_cosine, column_cosine, normal = Rotation.from_rotvec(rng.normal(0, 0.4, 3)).as_matrix().T
    first = rng.normal(0, 50, 3)
    path = write_dicom(
        tmp_path / "a.dcm",
        np.zeros((64, 48), np.uint16),
        ImagePositionPatient=[round(float(part), 6) for part in first],
        ImageOrientationPatient=[round(float(part), 8) for part in (*row_cosine, *column_cosine)],
        PixelSpacing=[1.25, 0.75],
        SliceThickness=3.0,
    )
    position = first + 20.3 * 0.75 * row_cosine + 31.6 * 1.25 * column_cosine + 1.4 * normal
    np.testing.assert_allclose(place_by_simpleitk(path, position), (20.3, 31.6, 1.4), atol=1e-3)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_the_kind_of_series_is_told_by_codes_and_never_by_free_text(tmp_path, write_dicom):
    path = write_dicom(
        tmp_path / "a.dcm",
        ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "John Doe"],
        ScanningSequence="EP",
        MRAcquisitionType="2D",
        MagneticFieldStrength=3,
        SeriesDescription="John Doe",
        PatientName="John Doe",
    )
    assert series_kind(path) == "MR ADC DIFFUSION EP 2D 3 T"
    assert series_kind(write_dicom(tmp_path / "b.dcm", ScanningSequence="born 1950!", MagneticFieldStrength=1.5)) == (
        "MR 1.5 T"
    )
    assert series_kind(write_dicom(tmp_path / "c.dcm", Modality=None)) == "unknown"

"""Display values against the thesis's equations 4.1-4.4, written out here once more."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence

from lesion_transfer.imaging.display import Window, display_values
from lesion_transfer.imaging.errors import UnreadableFileError

RAMP = np.arange(0, 4096, 37, dtype=np.uint16)[:110].reshape(11, 10)


def window_by_equations(stored, centre, width, slope=1.0, intercept=0.0):
    shown = np.empty(stored.shape)
    for place, value in np.ndenumerate(stored):
        p = slope * float(value) + intercept
        if p <= centre - 0.5 - (width - 1) / 2:
            shown[place] = 0.0
        elif p > centre - 0.5 + (width - 1) / 2:
            shown[place] = 255.0
        else:
            shown[place] = ((p - (centre - 0.5)) / (width - 1) + 0.5) * 255.0
    return shown


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(-2000, 5000),
    st.integers(1, 6000),
    st.sampled_from([(None, None), (1, -1024), (2.5, 3), (-1, 100), (0, 7)]),
    st.sampled_from([np.uint16, np.int16]),
)
def test_window_is_the_thesis_equations(make_dicom, centre, width, rescale, dtype):
    slope, intercept = rescale
    stored = RAMP.astype(dtype) - (1000 if dtype is np.int16 else 0)
    dataset = make_dicom(
        stored,
        BitsStored=16,
        HighBit=15,
        WindowCenter=centre,
        WindowWidth=width,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
    )
    expected = window_by_equations(stored, centre, width, 1 if slope is None else slope, intercept or 0)
    shown = display_values(dataset)
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown, expected, atol=1e-4)


def test_first_of_several_windows_counts(make_dicom):
    several = display_values(make_dicom(RAMP, WindowCenter=[500, 9], WindowWidth=[800, 3]))
    np.testing.assert_allclose(several, window_by_equations(RAMP, 500, 800), atol=1e-4)


def test_monochrome1_is_inverted(make_dicom):
    tags = {"WindowCenter": 900, "WindowWidth": 1500}
    inverted = display_values(make_dicom(RAMP, PhotometricInterpretation="MONOCHROME1", **tags))
    np.testing.assert_allclose(inverted, 255 - display_values(make_dicom(RAMP, **tags)), atol=1e-4)


def test_without_a_window_the_stored_bits_are_the_range(make_dicom):
    np.testing.assert_allclose(display_values(make_dicom(RAMP)), RAMP / 4095 * 255, rtol=1e-5)


def test_without_a_window_signed_bits_begin_below_zero(make_dicom):
    stored = np.array([[-2048, 2047]], np.int16)
    np.testing.assert_allclose(display_values(make_dicom(stored)), [[0, 255]], atol=1e-4)
    rescaled = make_dicom(stored, RescaleSlope=-2, RescaleIntercept=5)
    np.testing.assert_allclose(display_values(rescaled), [[255, 0]], atol=1e-4)


def test_default_window_is_used_only_where_the_file_has_none(make_dicom):
    default = Window(-600, 1500)
    rescale = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    np.testing.assert_allclose(
        display_values(make_dicom(RAMP, **rescale), default),
        window_by_equations(RAMP, -600, 1500, 1, -1024),
        atol=1e-4,
    )
    own = make_dicom(RAMP, WindowCenter=40, WindowWidth=400, **rescale)
    np.testing.assert_allclose(display_values(own, default), display_values(own))


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 5, "WindowWidth": 0},
        {"WindowCenter": 5, "WindowWidth": -3},
        {"WindowCenter": 5},
        {"WindowCenter": "", "WindowWidth": ""},
    ],
)
def test_a_window_that_is_none_counts_as_absent(make_dicom, tags):
    np.testing.assert_allclose(display_values(make_dicom(RAMP, **tags)), display_values(make_dicom(RAMP)))


@pytest.mark.parametrize(
    "tags", [{}, {"WindowCenter": 7, "WindowWidth": 1}, {"RescaleSlope": 0, "RescaleIntercept": 9}]
)
def test_constant_images_stay_finite(make_dicom, tags):
    shown = display_values(make_dicom(np.full((3, 4), 7, np.uint16), **tags))
    assert np.isfinite(shown).all()
    assert shown.min() >= 0
    assert shown.max() <= 255


def test_an_unknown_function_of_the_header_is_the_standards_default(make_dicom):
    window = {"WindowCenter": 2000, "WindowWidth": 900}
    shown = display_values(make_dicom(RAMP, VOILUTFunction="LINEAR_INTERP", **window))
    np.testing.assert_array_equal(shown, display_values(make_dicom(RAMP, **window)))


def test_sigmoid_function_of_the_header_is_applied(make_dicom):
    shown = display_values(make_dicom(RAMP, WindowCenter=2000, WindowWidth=900, VOILUTFunction="SIGMOID"))
    np.testing.assert_allclose(shown, 255 / (1 + np.exp(-4 * (RAMP - 2000.0) / 900)), atol=1e-3)


def test_voi_lut_of_the_header_is_scaled_by_its_own_bits(make_dicom):
    lut = Dataset()
    lut.LUTDescriptor = [4, 10, 16]
    lut["LUTDescriptor"].VR = "US"
    lut.LUTData = [0, 100, 30000, 65535]
    lut["LUTData"].VR = "US"
    dataset = make_dicom(np.array([[0, 11, 12, 99]], np.uint16), VOILUTSequence=Sequence([lut]))
    np.testing.assert_allclose(display_values(dataset), [[0, 100 / 257, 30000 / 257, 255]], atol=1e-3)


def test_colour_is_refused(make_dicom):
    with pytest.raises(UnreadableFileError, match="RGB"):
        display_values(make_dicom(PhotometricInterpretation="RGB", SamplesPerPixel=3))


def test_frames_are_refused(make_dicom):
    dataset = make_dicom(np.zeros((4, 5), np.uint16), Rows=2, NumberOfFrames=2)
    with pytest.raises(UnreadableFileError, match="2 frames"):
        display_values(dataset)

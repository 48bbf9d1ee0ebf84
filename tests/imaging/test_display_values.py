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


def lut_of(entries, bits, first):
    lut = Dataset()
    lut.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    lut.add_new("LUTData", "US", [int(entry) for entry in entries])
    return Sequence([lut])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([8, 12, 16]), st.integers(2, 4096), st.integers(-3000, 3000), st.integers(0, 99))
def test_every_value_finds_its_entry_of_a_voi_lut(make_dicom, bits, n, first, seed):
    entries = np.random.default_rng(seed).integers(0, 2**bits, n)
    dataset = make_dicom(RAMP.astype(np.int16) - 2000, RescaleSlope=3, RescaleIntercept=-5)
    dataset.VOILUTSequence = lut_of(entries, bits, first)
    place = np.clip((RAMP.astype(int) - 2000) * 3 - 5 - first, 0, n - 1)
    np.testing.assert_allclose(display_values(dataset), entries[place] * 255 / (2**bits - 1), atol=1e-4)


def test_values_beyond_16_bits_take_the_last_entry_of_a_voi_lut(make_dicom):
    dataset = make_dicom(RAMP, RescaleSlope=100, RescaleIntercept=0, VOILUTSequence=lut_of([0, 100, 200], 8, 0))
    assert set(display_values(dataset)[RAMP > 0]) == {200}


def test_entries_of_more_bits_than_a_voi_lut_says_are_refused(make_dicom):
    dataset = make_dicom(RAMP, VOILUTSequence=lut_of([0, 300], 8, 0))
    with pytest.raises(UnreadableFileError, match="entries above 255"):
        display_values(dataset)


def test_every_value_finds_its_entry_of_a_modality_lut(make_dicom):
    entries = np.arange(60000)
    dataset = make_dicom(np.array([[-30000, 0, 29000]], np.int16), BitsStored=16, HighBit=15)
    dataset.ModalityLUTSequence = lut_of(entries, 16, -30000)
    np.testing.assert_allclose(display_values(dataset), np.array([[0, 30000, 59000]]) * 255 / 65535, atol=1e-4)


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (12, 10), (16, 11)])
def test_values_that_are_not_in_the_lowest_bits_are_refused(make_dicom, stored, high):
    with pytest.raises(UnreadableFileError, match=f"HighBit is {high} where BitsStored is {stored}"):
        display_values(make_dicom(RAMP, BitsStored=stored, HighBit=high))


def test_many_frames_are_refused_before_they_are_decoded(make_dicom, monkeypatch):
    dataset = make_dicom(NumberOfFrames=300)
    monkeypatch.setattr(type(dataset), "pixel_array", property(lambda self: pytest.fail("decoded")))
    with pytest.raises(UnreadableFileError, match="300 frames"):
        display_values(dataset)


def test_floating_point_pixels_without_a_window_are_refused(make_dicom):
    dataset = make_dicom(RAMP, BitsAllocated=32, BitsStored=None, HighBit=None, PixelRepresentation=None)
    del dataset.PixelData
    dataset.FloatPixelData = RAMP.astype("<f4").tobytes()
    with pytest.raises(UnreadableFileError, match="neither a window nor BitsStored"):
        display_values(dataset)
    np.testing.assert_allclose(display_values(dataset, Window.spanning(0, 4095)), RAMP / 4095 * 255, rtol=1e-5)

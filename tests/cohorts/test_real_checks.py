"""The eight real PROSTATEx patients and the real brain images: dots land in the centre of every channel."""

from pathlib import Path

import pytest

from lesion_transfer.cohorts.build import build_cohort
from lesion_transfer.cohorts.dot_summary import dot_summary, failure_sentences
from lesion_transfer.cohorts.examine import examine
from lesion_transfer.cohorts.options import CheckOptions, CohortOptions
from lesion_transfer.datasets.options import DatasetOptions
from lesion_transfer.datasets.registry import reader_of, source_images
from lesion_transfer.datasets.source_image import PIXEL, POSITION

pytestmark = [pytest.mark.real, pytest.mark.slow]


class AnyHash(dict):
    """A manifest that knows every file: these tests are not about hashes."""

    def __missing__(self, key: str) -> str:
        return "0"


def summary_of(kind, source: Path, out: Path, options: CohortOptions):
    reader = reader_of(DatasetOptions(kind=kind, source=str(source)))
    read = [*reader.read_findings(source, source, options.channels, options.slice_rule)]
    cohort = build_cohort(read, options, out, AnyHash())
    return dot_summary(examine(cohort, read, options, source_images(kind)), CheckOptions())


@pytest.mark.parametrize(
    ("channels", "crop_mm"), [(["t2", "dwi", "adc"], 32.5), (["dwi"], 65.0)], ids=["stacked", "single"]
)
def test_dots_in_real_dicom_land_within_a_fifth_of_a_pixel(real_data, tmp_path, channels, crop_mm):
    options = CohortOptions(dataset="prostatex", channels=channels, crop_mm=crop_mm)
    summary = summary_of("prostatex", real_data / "prostatex", tmp_path / "c", options)
    assert failure_sentences(summary) == []
    assert summary["placed_by"] == {POSITION: summary["n_dots"]}
    assert summary["n_dots"] == 13 * len(channels)
    assert summary["not_measurable"] == []
    for name in ("centre_error_px", "off_centre_error_px"):
        assert summary[name]["max"] < 0.2
    assert summary["slice_distance_mm"]["max"] <= 1.5, "half of 3 mm"


def test_dots_in_real_pictures_land_in_the_centre(real_data, tmp_path):
    options = CohortOptions(dataset="brain", channels=["grey"], crop_fraction=[2 / 7, 0.25])
    summary = summary_of("brain", real_data / "brain", tmp_path / "c", options)
    assert failure_sentences(summary) == []
    assert summary["placed_by"] == {PIXEL: 245}
    assert summary["off_centre_error_px"]["max"] < 0.05

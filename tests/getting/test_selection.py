"""Which series are fetched, held against the index that idc-index brings and against the published tables."""

import csv
import dataclasses

import duckdb
import idc_index_data
import pytest

from lesion_transfer.getting.errors import DownloadError
from lesion_transfer.getting.idc import RemoteSeries, listed_series
from lesion_transfer.getting.selection import PUBLISHED, choose_prostatex, needed_series


@pytest.fixture(scope="module")
def prostatex() -> list[RemoteSeries]:
    return listed_series(PUBLISHED["prostatex"].collection)


def counted(where: str) -> tuple[int, int, int]:
    """Series, files and bytes of the index by SQL, which shares nothing with the rules under test."""
    return duckdb.sql(
        "SELECT count(*), sum(instanceCount)::BIGINT, sum(round(series_size_MB * 1000000))::BIGINT "
        f"FROM '{idc_index_data.IDC_INDEX_PARQUET_FILEPATH}' WHERE analysis_result_id IS NULL AND {where}"
    ).fetchone()


def summed(series) -> tuple[int, int, int]:
    return len(series), sum(one.n_files for one in series), sum(one.n_bytes for one in series)


@pytest.mark.parametrize(
    ("channel", "where"),
    [
        ("t2", "starts_with(SeriesDescription, 't2_tse_tra')"),
        ("adc", "(ends_with(SeriesDescription, '_ADC') OR starts_with(SeriesDescription, 'ADC_'))"),
        (
            "dwi",
            # One study has no computed b-value, but diffusion images up to b = 1400.
            "(ends_with(SeriesDescription, 'CALC_BVAL') OR SeriesDescription ="
            " 'ep2d_DIFF_tra_b50_500_800_1400_alle_spoelen')",
        ),
    ],
)
def test_series_files_and_bytes_are_those_of_the_index(prostatex, channel, where):
    chosen = [one.series for one in needed_series("prostatex", prostatex, [channel])]
    assert summed(chosen) == counted(f"collection_id = 'prostatex' AND {where}")


def test_what_is_needed_is_three_of_sixteen_gigabytes(prostatex):
    needed = sum(one.series.n_bytes for one in needed_series("prostatex", prostatex))
    assert 2.5e9 < needed < 3.5e9
    assert sum(one.n_bytes for one in prostatex) == counted("collection_id = 'prostatex'")[2] > 16e9


def test_every_lung_scan_is_fetched_whole_and_no_segmentation():
    lung = listed_series(PUBLISHED["lungx"].collection)
    chosen = [one.series for one in needed_series("lungx", lung)]
    assert summed(chosen) == counted("collection_id = 'spie_aapm_lung_ct_challenge' AND Modality = 'CT'")
    assert len({one.patient_id for one in chosen}) == 70


def remote(description, study="1.1", **changes) -> RemoteSeries:
    one = RemoteSeries("prostatex", "P1", study, f"{study}.{description}", 4, description, "MR", 2, 20, "CC BY 3.0")
    return dataclasses.replace(one, **changes)


def test_measured_diffusion_is_fetched_only_where_the_study_has_no_computed_b_value():
    series = [
        remote("ep2d_diff_tra_DYNDIST"),
        remote("ep2d_diff_tra_DYNDISTCALC_BVAL"),
        remote("ep2d_diff_tra_DYNDIST", study="2.2"),
        remote("ep2d_diff_tra_DYNDIST_ADC", study="2.2"),
    ]
    chosen = [(one.series.study_uid, one.series.description, one.channel) for one in choose_prostatex(series)]
    assert chosen == [
        ("1.1", "ep2d_diff_tra_DYNDISTCALC_BVAL", "dwi"),
        ("2.2", "ep2d_diff_tra_DYNDIST", "dwi"),
        ("2.2", "ep2d_diff_tra_DYNDIST_ADC", "adc"),
    ]


def test_a_segmentation_with_the_name_of_a_channel_is_not_fetched():
    assert choose_prostatex([remote("t2_tse_tra", modality="SEG")]) == []


@pytest.mark.parametrize(
    ("channels", "patients", "said"), [(["flair"], [], "flair"), ([], ["ProstateX-9999"], "ProstateX-9999")]
)
def test_an_unknown_channel_or_patient_is_named(prostatex, channels, patients, said):
    with pytest.raises(DownloadError, match=said):
        needed_series("prostatex", prostatex, channels, patients)


@pytest.mark.parametrize(
    "name", ["t2_tse_sag", "t2_tse_cor_320_p2", "t2_localizer", "tfl_3d dynamisch fast", "DYNDIST_FA"]
)
def test_other_planes_and_kinds_are_not_fetched(name):
    assert choose_prostatex([remote(name)]) == []


@pytest.mark.real
def test_every_series_of_the_published_tables_that_is_a_channel_by_name_is_fetched(prostatex, real_data):
    needed = {
        (one.series.patient_id, one.series.number, one.series.description)
        for one in needed_series("prostatex", prostatex)
    }
    missing, n_rows = set(), 0
    for part in ("Train", "Test"):
        with (real_data / "prostatex" / f"ProstateX-Images-{part}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                if row["DCMSerDescr"].startswith("t2_tse_tra") or row["DCMSerDescr"].endswith(("_ADC", "CALC_BVAL")):
                    n_rows += 1
                    key = (row["ProxID"], int(row["DCMSerNum"]), row["DCMSerDescr"])
                    missing |= {key} - needed
    assert n_rows > 1500
    assert not missing


@pytest.mark.real
def test_the_index_gives_the_bytes_of_the_real_files(prostatex, real_data):
    """So that a count and a sum of bytes prove that a series is whole."""
    from lesion_transfer.imaging.dicom_index import group_series, index_folder

    found = group_series(index_folder(real_data / "prostatex" / "PROSTATEx").instances)
    by_uid = {one.series_uid: one for one in prostatex}
    for series in found:
        sizes = [image.file.stat().st_size for image in series.instances]
        assert (len(sizes), sum(sizes)) == (by_uid[series.series_uid].n_files, by_uid[series.series_uid].n_bytes)
    assert len(found) > 30

"""The eight real PROSTATEx patients and the complete published tables."""

import csv
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from lesion_transfer.datasets import prostatex
from lesion_transfer.datasets.finding import Exclusion, Finding
from lesion_transfer.datasets.prostatex_published import resolve_table, rows_by_rule, unresolved
from lesion_transfer.datasets.prostatex_series import CHANNELS, choose_series, matches
from lesion_transfer.datasets.prostatex_tables import read_finding_rows, read_image_rows
from lesion_transfer.imaging.dicom_index import group_series, index_folder, read_header
from lesion_transfer.imaging.geometry import order_along_normal, slice_spacing_mm

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def source(real_data):
    return real_data / "prostatex"


@pytest.fixture(scope="module")
def index(source):
    return index_folder(source / "PROSTATEx")


@pytest.fixture(scope="module")
def by_world(source):
    return list(prostatex.read_findings(source, source, CHANNELS, "world"))


@pytest.fixture(scope="module")
def by_number(source):
    return list(prostatex.read_findings(source, source, CHANNELS, "instance_number"))


def test_every_finding_of_the_eight_patients_has_its_slices(by_world):
    findings = [one for one in by_world if isinstance(one, Finding)]
    assert Counter(one.label for one in findings) == {True: 4, False: 9}
    assert {one.patient_id for one in findings} == {f"ProstateX-{number:04d}" for number in range(8)}
    assert all(tuple(one.slices) == CHANNELS for one in findings)
    assert {one.reason for one in by_world if isinstance(one, Exclusion)} == {"not_in_source"}
    assert len(by_world) == 330
    assert len({one.finding_key for one in by_world}) == 330


def test_projection_agrees_with_the_published_voxels(source, by_world):
    rows = read_finding_rows(source, "train")
    described = read_image_rows(source, "train")
    by_key = {row.finding_key: row for row in rows}
    for finding in by_world:
        if not isinstance(finding, Finding):
            continue
        row = by_key[finding.finding_key]
        for one_slice in finding.slices.values():
            header = read_header(one_slice.file)
            (ijk,) = [
                image.ijk
                for image in described[row.key]
                if (image.series_number, image.series_description) == (header.series_number, header.series_description)
            ]
            x, y = one_slice.centre_xy
            assert abs(x + 0.5 - ijk[0]) <= 0.501
            assert abs(y + 0.5 - ijk[1]) <= 0.501


def test_every_slice_is_the_nearest_one_and_the_published_k_counts_from_the_bottom(source, index, by_world):
    series = {one.series_uid: one for one in group_series(index.instances)}
    rows = {row.finding_key: row for row in read_finding_rows(source, "train")}
    described = read_image_rows(source, "train")
    for finding in by_world:
        if not isinstance(finding, Finding):
            continue
        position = rows[finding.finding_key].position_lps_mm
        for one_slice in finding.slices.values():
            geometries = [image.geometry for image in series[one_slice.series_uid].instances]
            assert one_slice.distance_mm <= slice_spacing_mm(geometries) / 2
            nearest = min(abs(geometry.project(position)[2]) for geometry in geometries)
            assert one_slice.distance_mm == pytest.approx(nearest)
            one = series[one_slice.series_uid]
            (ijk,) = [row.ijk for row in described[rows[finding.finding_key].key] if matches(one, row)]
            first = geometries[order_along_normal(geometries)[0]]
            k = first.project(position)[2] / slice_spacing_mm(geometries)
            assert abs(k + 0.5 - ijk[2]) <= 0.501


def test_the_thesis_rule_gives_another_slice_for_most(by_world, by_number):
    world = {one.finding_key: one for one in by_world if isinstance(one, Finding)}
    number = {one.finding_key: one for one in by_number if isinstance(one, Finding)}
    assert set(world) == set(number)
    same = Counter(
        channel
        for key, finding in world.items()
        for channel, one_slice in finding.slices.items()
        if number[key].slices[channel].sop_uid == one_slice.sop_uid
    )
    assert dict(same) == {"dwi": 4, "adc": 4}  # of 13 each, and of no T2
    for key, finding in world.items():
        for channel, one_slice in finding.slices.items():
            assert number[key].slices[channel].centre_xy == pytest.approx(one_slice.centre_xy, abs=1e-3)


def test_channels_of_a_patient_share_their_axes(index):
    for patient, images in index.by_patient().items():
        series = group_series(images)
        t2, *others = (choose_series(channel, series, patient).instances[0].geometry for channel in CHANNELS)
        for other in others:
            for axis in ("row_cosine", "column_cosine"):
                cosine = np.clip(np.dot(getattr(t2, axis), getattr(other, axis)), -1, 1)
                assert math.degrees(math.acos(cosine)) < 0.01


def test_the_channels_are_the_series_expected(index):
    chosen = {}
    for patient, images in index.by_patient().items():
        series = group_series(images)
        chosen[patient] = {channel: choose_series(channel, series, patient) for channel in CHANNELS}
    assert len(chosen) == 8
    for channels in chosen.values():
        assert channels["t2"].description == "t2_tse_tra"
        assert channels["dwi"].description.endswith("CALC_BVAL")
        assert channels["adc"].description.endswith("_ADC")
        assert {image.b_value for image in channels["dwi"].instances} in ({1400.0}, {1000.0})
    assert chosen["prostatex-0001"]["t2"].number == 10  # it also has a series 6 of that name


@pytest.mark.parametrize("part", ["Train", "Test"])
def test_world_matrix_gives_the_voxel_on_all_published_rows(source, part):
    with (source / f"ProstateX-Images-{part}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == {"Train": 3869, "Test": 1771}[part]
    for row in rows:
        matrix = np.array([float(cell) for cell in row["WorldMatrix"].split(",")]).reshape(4, 4)
        position = [float(cell) for cell in row["pos"].split()]
        voxel = np.linalg.solve(matrix, [*position, 1.0])[:3]
        assert np.abs(voxel - [float(cell) for cell in row["ijk"].split()]).max() <= 0.501


PUBLISHED = {
    "Train": {
        "adc_map": 343,
        "dwi_computed_b": 341,
        "dwi_measured": 1023,
        "dynamic_or_proton_density": 751,
        "localizer": 300,
        "not_transverse": 697,
        "t2": 414,
    },
    "Test": {
        "adc_map": 211,
        "diffusion_map": 1,
        "dwi_computed_b": 207,
        "dwi_measured": 634,
        "dynamic_or_proton_density": 74,
        "not_transverse": 431,
        "t2": 209,
        "volume_estimation": 4,
    },
}
"""Image rows of the published tables by the rule that resolves them; none is left without a rule."""
NO_CHANNEL = {
    "Train": [
        "Perfusie_t1_twist_1.3x1.3x3_temp_2s_TT=...",
        "t2_loc sag",
        "t2_loc tra",
        "t2_localizer",
        "t2_localizer_prostate",
        "t2_tse_cor",
        "t2_tse_sag",
        "tfl_3d PD ref_tra_1.3x1.3x3",
        "tfl_3d PD ref_tra_1.5x1.5_t3",
        "tfl_3d PD reference",
        "tfl_3d dynamisch fast",
    ],
    "Test": [
        "Prostate-Volume-Estimation-Trufi",
        "Prostate-Volume-Estimation-Trufi_COR_MPR",
        "Prostate-Volume-Estimation-Trufi_SAG_MPR",
        "Prostate-Volume-Estimation-Trufi_TRA_MPR",
        "Twist_dynamic_Wip576_TT=...",
        "ep2d-advdiff-MDDW-12dir_spair_511b_FA",
        "fl3d_vibe_pre_flip_10deg_Wip403d",
        "fl3d_vibe_pre_flip_20deg_Wip403d",
        "fl3d_vibe_pre_flip_2deg_Wip403d_PD",
        "fl3d_vibe_pre_flip_5deg_Wip403d",
        "t2_tse_cor",
        "t2_tse_cor_320_p2",
        "t2_tse_sag",
        "t2_tse_sag_320_p2",
        "t2_tse_sag_S3_ND",
    ],
}
"""The descriptions of the image rows that are no channel (dynamic series without their times)."""


@pytest.mark.parametrize("part", ["Train", "Test"])
def test_every_published_image_row_falls_under_a_rule(source, part):
    rows = resolve_table(source / f"ProstateX-Images-{part}.csv")
    assert rows_by_rule(rows) == PUBLISHED[part]
    assert list(unresolved(rows)) == NO_CHANNEL[part]
    assert sum(PUBLISHED[part].values()) == {"Train": 3869, "Test": 1771}[part]
    # Every finding has a series for every channel, before any file is opened.
    series = {
        channel: {(row.finding, row.series_number) for row in rows if row.channel == channel} for channel in CHANNELS
    }
    for named in series.values():
        assert len({finding for finding, _ in named}) == {"Train": 330, "Test": 208}[part]
    several_t2 = Counter(finding for finding, _ in series["t2"])
    assert sum(n > 1 for n in several_t2.values()) == {"Train": 76, "Test": 1}[part]


def test_all_published_findings_but_one_lie_within_a_series_of_every_channel(source):
    """And where repeated series or studies differ, not within the one of the highest number: so position decides."""
    last_misses, outside = defaultdict(set), set()
    for part in ("Train", "Test"):
        inside = defaultdict(list)
        table = source / f"ProstateX-Images-{part}.csv"
        with table.open(newline="") as file:
            for row, resolved in zip(csv.DictReader(file), resolve_table(table), strict=True):
                if resolved.channel is None or resolved.rule == "dwi_measured":
                    continue
                matrix = np.array([float(cell) for cell in row["WorldMatrix"].split(",")]).reshape(4, 4)
                voxel = np.linalg.solve(matrix, [*map(float, row["pos"].split()), 1.0])[:3]
                size = np.array([float(cell) for cell in row["Dim"].split("x")[:3]])
                shown = bool(((voxel >= 0) & (voxel <= size)).all())
                inside[resolved.channel, resolved.finding].append((int(resolved.series_number), shown))
        for (channel, finding), series in inside.items():
            if not any(shown for _, shown in series):
                outside.add((finding[0], channel))
            elif not all(shown for number, shown in series if number == max(series)[0]):
                last_misses[channel].add(finding[0])
    assert last_misses == {
        "t2": {"ProstateX-0025", "ProstateX-0148"},
        "dwi": {"ProstateX-0025"},
        "adc": {"ProstateX-0025"},
    }
    # The one finding that is excluded from diffusion: half a slice below the first slice's edge.
    assert outside == {("ProstateX-0335", "dwi"), ("ProstateX-0335", "adc")}


@pytest.mark.parametrize("part", ["Train", "Test"])
def test_the_channels_of_every_published_finding_share_their_axes(source, part):
    """So that a crop in mm along each slice's own rows and columns covers the same tissue: DWI lies on T2's grid."""
    axes = defaultdict(dict)
    table = source / f"ProstateX-Images-{part}.csv"
    with table.open(newline="") as file:
        for row, resolved in zip(csv.DictReader(file), resolve_table(table), strict=True):
            matrix = np.array([float(cell) for cell in row["WorldMatrix"].split(",")]).reshape(4, 4)[:3, :3]
            if resolved.channel:
                axes[resolved.finding].setdefault(resolved.channel, matrix / np.linalg.norm(matrix, axis=0))
    tilted = set()
    for finding, of_channel in axes.items():
        for channel in ("dwi", "adc"):
            cosines = np.clip((of_channel[channel] * of_channel["t2"]).sum(axis=0), -1, 1)
            across, down, normal = np.degrees(np.arccos(cosines))
            assert across < 0.02
            assert abs(down - normal) < 0.1
            if normal > 0.1:
                tilted.add((finding[0], round(float(normal), 1)))
    assert tilted == {"Train": set(), "Test": {("ProstateX-0233", 2.4)}}[part]


def test_tables_are_read_whole(source):
    train = read_finding_rows(source, "train")
    assert (len(train), sum(row.label is True for row in train), sum(row.label is False for row in train)) == (
        330,
        76,
        254,
    )
    test = read_finding_rows(source, "test")
    assert (len(test), {row.label for row in test}) == (208, {None})
    described = read_image_rows(source, "train")
    assert all(row.key in described for row in train)
    assert not [row for row in [*train, *test] if row.refusal]


def test_published_tables_are_all_carried(source):
    assert [path.name for path in prostatex.published_tables(source)] == [
        "ProstateX-Findings-Train.csv",
        "ProstateX-Images-Train.csv",
        "ProstateX-Findings-Test.csv",
        "ProstateX-Images-Test.csv",
        "ProstateX-Images-KTrans-Train.csv",
    ]

"""The real idc-index with its real s5cmd, against a bucket that is served here: everything but the network."""

import pytest

from lesion_transfer.getting.fetch import fetch
from lesion_transfer.getting.idc import COLLECTIONS, IdcTransfer, RemoteSeries, listed_series

index = pytest.importorskip("idc_index.index")


@pytest.fixture(scope="module")
def transfer() -> IdcTransfer:
    return IdcTransfer()


def put(bucket, transfer: IdcTransfer, series: RemoteSeries) -> list[str]:
    """Objects of the number and the sum of bytes that the index gives for a series, in its place in the bucket."""
    rows = transfer._client.index
    (uuid,) = rows.loc[rows["SeriesInstanceUID"] == series.series_uid, "crdc_series_uuid"]
    size = series.n_bytes // series.n_files
    keys = [f"{uuid}/{n:04d}.dcm" for n in range(series.n_files)]
    bucket.objects |= dict.fromkeys(keys, b"x" * size)
    bucket.objects[keys[-1]] += b"x" * (series.n_bytes - size * series.n_files)
    return keys


def test_series_arrive_in_their_folders_and_only_what_is_missing_is_sent_again(bucket, transfer, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "aws_endpoint_url", bucket.url)
    folder = tmp_path / "it's a folder"
    listed = listed_series(COLLECTIONS[0])
    series = [
        one for one in listed if one.patient_id == "ProstateX-0000" and one.description.endswith(("_ADC", "BVAL"))
    ]
    assert len(series) == 2
    keys = [put(bucket, transfer, one) for one in series]

    # A connection that is always cut off while one file is sent: the series is listed, its other files are there.
    bucket.broken = {keys[0][3]}
    done = fetch(series, folder, transfer)
    assert list(done.failed) == [series[0].series_uid]
    assert "18 of 19 files" in done.failed[series[0].series_uid]

    # The connection works again, a file was damaged meanwhile.
    bucket.broken.clear()
    bucket.sent.clear()
    damaged = folder / series[1].folder / "0007.dcm"
    damaged.write_bytes(b"x")
    assert fetch(series, folder, transfer).failed == {}
    assert sorted(bucket.sent) == sorted([keys[0][3], keys[1][7]])
    assert damaged.read_bytes() == bucket.objects[keys[1][7]]

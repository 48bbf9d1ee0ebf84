"""The NCI Imaging Data Commons (IDC): its index, which comes with the package, and its transfer."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import idc_index_data
import pyarrow.parquet

BYTES_A_MB = 1_000_000
"""The index gives series sizes in units of 10^6 bytes with six decimals: to the byte."""


@dataclass(frozen=True)
class RemoteSeries:
    """A series as the index describes it; n_bytes is the sum over its n_files files, exactly."""

    collection: str
    patient_id: str
    study_uid: str
    series_uid: str
    number: int | None
    description: str
    modality: str
    n_files: int
    n_bytes: int
    licence: str

    @property
    def folder(self) -> PurePosixPath:
        """Where its files come to lie, relative to the folder of the download."""
        return PurePosixPath(self.collection, self.patient_id, self.study_uid, self.series_uid)


Transfer = Callable[[Sequence[RemoteSeries], Path], None]
"""Brings the files of series into `folder`/RemoteSeries.folder; what is there already, whole, may stay."""

COLLECTIONS = ("prostatex", "spie_aapm_lung_ct_challenge")
"""The names of PROSTATEx and LUNGx on IDC."""

_TEMPLATE = "%collection_id/%PatientID/%StudyInstanceUID/%SeriesInstanceUID"
_COLUMNS = {
    "collection_id": "collection",
    "PatientID": "patient_id",
    "StudyInstanceUID": "study_uid",
    "SeriesInstanceUID": "series_uid",
    "SeriesNumber": "number",
    "SeriesDescription": "description",
    "Modality": "modality",
    "instanceCount": "n_files",
    "series_size_MB": "size_mb",
    "license_short_name": "licence",
    "analysis_result_id": "analysis",
}


def index_version() -> str:
    """The version of the index, whose major number is the IDC release that it describes."""
    return str(idc_index_data.__version__)


def listed_series(collection: str) -> list[RemoteSeries]:
    """The collection's original images (no segmentations or reports of others), by patient, study and number.

    As of the index that the package holds; no network is used.
    """
    table = pyarrow.parquet.read_table(
        idc_index_data.IDC_INDEX_PARQUET_FILEPATH,
        columns=list(_COLUMNS),
        filters=[("collection_id", "=", collection)],
    )
    rows = ({_COLUMNS[name]: value for name, value in row.items()} for row in table.to_pylist())
    series = [_series(row) for row in rows if not row["analysis"]]
    return sorted(series, key=lambda one: (one.patient_id, one.study_uid, one.number or -1, one.series_uid))


def _series(row: dict[str, object]) -> RemoteSeries:
    number = str(row["number"] or "")
    return RemoteSeries(
        collection=str(row["collection"]),
        patient_id=str(row["patient_id"]),
        study_uid=str(row["study_uid"]),
        series_uid=str(row["series_uid"]),
        number=int(number) if number.isdigit() else None,
        description=str(row["description"] or ""),
        modality=str(row["modality"]),
        n_files=int(str(row["n_files"])),
        n_bytes=round(float(str(row["size_mb"])) * BYTES_A_MB),
        licence=str(row["licence"]),
    )


class IdcTransfer:
    """A Transfer by idc-index, which runs s5cmd on IDC's public buckets; files of the right size are not sent again."""

    def __init__(self) -> None:
        from idc_index import IDCClient  # loads the index of all collections: seconds and 1.6 GB, for transfers alone

        logging.getLogger("idc_index").setLevel(logging.ERROR)
        self._client = IDCClient()
        listed = self._client.index  # it is joined with at every call: a hundredth of it will do
        self._client.index = listed[listed["collection_id"].isin(COLLECTIONS)]

    def __call__(self, series: Sequence[RemoteSeries], folder: Path) -> None:
        """idc-index reports no failed file: who calls has to look at what has come."""
        self._client.download_from_selection(
            str(folder),
            seriesInstanceUID=[one.series_uid for one in series],
            dirTemplate=_TEMPLATE,
            use_s5cmd_sync=True,
            show_progress_bar=False,
        )

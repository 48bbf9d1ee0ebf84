"""Which series of a published collection the cohorts need: chosen by name, as the readers choose by header."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from lesion_transfer.datasets import lungx, prostatex_series
from lesion_transfer.datasets.prostatex_names import DWI, T2, has_computed_b, named_sequence, names_other_plane
from lesion_transfer.getting.errors import DownloadError
from lesion_transfer.getting.idc import COLLECTIONS, RemoteSeries


@dataclass(frozen=True)
class Needed:
    """A series and the channel that it is fetched for."""

    series: RemoteSeries
    channel: str


@dataclass(frozen=True)
class Published:
    """A data set on IDC: its collection there, the channels, and which series are which."""

    collection: str
    channels: tuple[str, ...]
    choose: Callable[[Iterable[RemoteSeries]], list[Needed]]


def choose_prostatex(series: Iterable[RemoteSeries]) -> list[Needed]:
    """Transverse T2, ADC and the computed high b-value; measured diffusion images in studies without a computed one.

    All that go by a channel's name, repeated series included, unless the name tells another plane: which of them counts
    is decided by their headers, which the index does not have.
    """
    mr = [one for one in series if one.modality == "MR"]
    computed = {one.study_uid for one in mr if has_computed_b(one.description)}
    chosen = []
    for one in mr:
        channel = named_sequence(one.description)
        another_plane = channel == T2 and names_other_plane(one.description)
        measured = channel == DWI and not has_computed_b(one.description) and one.study_uid in computed
        if channel is not None and not another_plane and not measured:
            chosen.append(Needed(one, channel))
    return chosen


def choose_lungx(series: Iterable[RemoteSeries]) -> list[Needed]:
    """Every CT series: nodules are numbered by image, so a scan is needed whole."""
    return [Needed(one, "ct") for one in series if one.modality == "CT"]


PUBLISHED = {
    "prostatex": Published(COLLECTIONS[0], prostatex_series.CHANNELS, choose_prostatex),
    "lungx": Published(COLLECTIONS[1], lungx.CHANNELS, choose_lungx),
}
"""By the name under which `lesion download` knows it."""


def needed_series(
    dataset: str, series: Sequence[RemoteSeries], channels: Collection[str] = (), patients: Collection[str] = ()
) -> list[Needed]:
    """The series of a data set to fetch, only those of `channels` and `patients` where given.

    Raises DownloadError for a channel or a patient that the collection does not have.
    """
    published = PUBLISHED[dataset]
    for given, known, what in (
        (channels, published.channels, "channel"),
        (patients, {one.patient_id for one in series}, "patient"),
    ):
        unknown = sorted(set(given) - set(known))
        if unknown:
            few = ", ".join(sorted(known)[:5])
            raise DownloadError(f"{dataset} has no {what} {', '.join(unknown)} on IDC. It has, for instance, {few}.")
    return [
        one
        for one in published.choose(series)
        if (not channels or one.channel in channels) and (not patients or one.series.patient_id in patients)
    ]

"""Which series of a published collection the cohorts need: chosen by name, as the readers choose by header."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from lesion_transfer.datasets import lungx, prostatex_series
from lesion_transfer.getting.errors import DownloadError
from lesion_transfer.getting.idc import COLLECTIONS, RemoteSeries

_T2 = re.compile(r"t2_tse_tra", re.IGNORECASE)
_ADC = re.compile(r"(^|_)ADC(_|$)", re.IGNORECASE)
_COMPUTED_B = re.compile(r"CALC_BVAL", re.IGNORECASE)
_DIFFUSION = re.compile(r"diff", re.IGNORECASE)
_OTHER_MAP = re.compile(r"(^|_)(FA|COLFA|TENSOR|EXP)(_|$)", re.IGNORECASE)


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


def named_channel(description: str) -> str | None:
    """The channel that a description alone speaks for, before any file is at hand: a b-value or a plane is not known.

    `t2`, `adc`, `dwi` (a computed b-value) or `measured_dwi` (diffusion images that may be the highest there are).
    """
    if _ADC.search(description):
        return "adc"
    if _COMPUTED_B.search(description):
        return "dwi"
    if _T2.match(description):
        return "t2"
    return "measured_dwi" if _DIFFUSION.search(description) and not _OTHER_MAP.search(description) else None


def choose_prostatex(series: Iterable[RemoteSeries]) -> list[Needed]:
    """Transverse T2, ADC and the computed high b-value; measured diffusion images in studies without a computed one.

    All that go by a channel's name, repeated series included: which of them counts is decided by their headers.
    """
    named = [(one, named_channel(one.description)) for one in series if one.modality == "MR"]
    computed = {one.study_uid for one, channel in named if channel == "dwi"}
    chosen = []
    for one, channel in named:
        if channel == "measured_dwi":
            channel = None if one.study_uid in computed else "dwi"
        if channel is not None:
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

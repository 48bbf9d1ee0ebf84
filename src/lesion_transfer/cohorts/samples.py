"""A finding -> the images that a cohort keeps of it: one, or one for each sequence."""

from collections.abc import Iterator
from dataclasses import dataclass

from lesion_transfer.cohorts.options import SEPARATE_CHANNEL, CohortOptions
from lesion_transfer.datasets.finding import Exclusion, Finding, SequenceSlice
from lesion_transfer.datasets.reasons import Reason


@dataclass(frozen=True)
class Sample:
    """One image of a finding: a slice for each channel of the image.

    sequence: which of the lesion's sequences it is, in mode separate; empty: all of them.
    """

    finding: Finding
    slices: dict[str, SequenceSlice]
    sequence: str = ""

    def statistic_of(self, channel: str) -> str:
        """The sequence whose mean and std normalise a channel of the image."""
        return self.sequence or channel


@dataclass(frozen=True)
class LostSample:
    """An image that cannot be had, and why."""

    exclusion: Exclusion
    sequence: str = ""


def samples_of(finding: Finding, options: CohortOptions) -> Iterator[Sample | LostSample]:
    """The images of a finding, or why there are none; a stacked image needs every channel."""
    if options.mode == "separate":
        for sequence in options.channels:
            if sequence in finding.slices:
                yield Sample(finding, {SEPARATE_CHANNEL: finding.slices[sequence]}, sequence)
            else:
                yield LostSample(_lacking(finding, sequence), sequence)
        return
    missing = [channel for channel in options.channels if channel not in finding.slices]
    if missing:
        yield LostSample(_lacking(finding, missing[0]))
    else:
        yield Sample(finding, {channel: finding.slices[channel] for channel in options.channels})


def _lacking(finding: Finding, channel: str) -> Exclusion:
    return finding.lacking.get(channel) or Exclusion(
        finding.finding_key,
        finding.patient_id,
        finding.finding_id,
        Reason.MISSING_CHANNEL,
        f"{finding.finding_key} has no slice of {channel}; find the series, or take the channel out of this cohort.",
    )

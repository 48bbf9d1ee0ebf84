"""Why a finding cannot be used: every reason that a reader or a crop may give, as it stands in excluded.csv."""

from enum import StrEnum


class Reason(StrEnum):
    """The kind of fault; the sentence beside it in excluded.csv says what, where and what to do."""

    NOT_IN_SOURCE = "not_in_source"
    """The tables name a patient or an image that is not below the source."""
    NOT_KEPT = "not_kept"
    """The table itself says that the image is not to be used."""
    UNCERTAIN_LABEL = "uncertain_label"
    """The table itself gives a diagnosis that is neither of the two classes."""

    BAD_ROW = "bad_row"
    """An id that could not be part of a key or of a file name, or more cells than columns."""
    BAD_PATH = "bad_path"
    """A file name that leads out of the source."""
    BAD_LABEL = "bad_label"
    ABSENT_LABEL = "absent_label"
    """A blank in a column of labels (a table without such a column has unknown labels, and is used)."""
    BAD_POSITION = "bad_position"
    BAD_SPACING = "bad_spacing"
    AMBIGUOUS_FILE = "ambiguous_file"
    """Several files may be the one that is meant."""

    IDENTIFIED = "identified"
    """The patient's images do not say that patient identity was removed, and `allow_identified` is false."""
    MISSING_SERIES = "missing_series"
    MISSING_SLICE = "missing_slice"
    NEGATIVE_K = "negative_k"
    """The images table puts the finding before the first slice (slice_rule instance_number)."""
    OUTSIDE_VOLUME = "outside_volume"
    TURNED_IMAGE = "turned_image"
    """An image that is stored mirrored, upside down or turned, against the patient or against the other channels."""
    UNREADABLE_FILE = "unreadable_file"
    NOT_FINITE = "not_finite"
    BAD_PIXELS = "bad_pixels"
    """Pixels that are no 2-D image of finite numbers."""

    MISSING_CHANNEL = "missing_channel"
    """The reader gave no slice for a channel, and no reason."""
    NO_SPACING = "no_spacing"
    """A crop in mm of an image whose pixel spacing is unknown."""
    OUTSIDE_IMAGE = "outside_image"

    @property
    def is_declared(self) -> bool:
        """Whether the data set itself leaves the finding out: counted, but no sign that something went wrong."""
        return self in {Reason.NOT_IN_SOURCE, Reason.NOT_KEPT, Reason.UNCERTAIN_LABEL}

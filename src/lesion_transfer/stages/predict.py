"""Tool `lesion predict`: a model reads lesions that it has never seen, as it read those that it was trained on."""

import logging
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import torch

from lesion_transfer.cohorts.build import build_cohort
from lesion_transfer.cohorts.cohort import EXCLUDED_COLUMNS, Cohort, CohortError, load_cohort
from lesion_transfer.cohorts.normalise import ZScore
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets import patch_archive, prostatex
from lesion_transfer.datasets.finding import Exclusion, Finding
from lesion_transfer.datasets.patch_scale import DisplayScale
from lesion_transfer.evaluation.predictions import COLUMNS, predictions_of_images, read_predictions
from lesion_transfer.files import file_sha256, write_csv
from lesion_transfer.imaging.walk import name_problem
from lesion_transfer.learning.checkpoint import load_model
from lesion_transfer.learning.enhanced import augmented_probabilities
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import AugmentationOptions
from lesion_transfer.learning.scoring import predict_probabilities
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.stages.layout import StageError, find_layout
from lesion_transfer.stages.training.learnt import learnt_from

log = logging.getLogger(__name__)
NEW = "new"
"""The subset of findings that belong to no split."""
DISPLAY_MAXIMUM_OF_UNIT_RANGE = 1.0
MUCH_PADDED = 0.25
"""The share of a patch outside its image that is warned of."""
SAME_PITCH = 0.01
"""Relative difference of pixels' sizes that is let pass."""


@dataclass(frozen=True)
class Model:
    """A network and how it was shown its images: cohort options, normalisation and augmentation of its training."""

    folder: Path
    network: LesionNetwork
    options: CohortOptions
    zscore: ZScore
    augmentation: AugmentationOptions
    kind: str
    seed: int
    display_scale: DisplayScale | None
    """Of the patch archive that it was trained on."""
    info: Mapping[str, Any]
    """model.json."""


def open_model(name: str) -> Model:
    """The model in a folder, or of a phase of the project around the current folder; StageError where it has none."""
    folder = Path(name)
    if not folder.is_dir():
        folder = find_layout().model(name)
    _refuse_several(folder)
    network, info = load_model(folder)
    try:
        options = CohortOptions.model_validate(info["cohort_options"])
        augmentation = AugmentationOptions.model_validate(info["augmentation"])
        zscore = ZScore.from_dict(info["zscore"])
        scale = DisplayScale.from_dict(info["display_scale"]) if "display_scale" in info else None
        made_of = str(info["kind"]), int(info["seed"])
        return Model(folder, network, options, zscore, augmentation, *made_of, scale, info)
    except (KeyError, TypeError, ValueError, pydantic.ValidationError) as error:
        raise StageError(
            f"{folder / 'model.json'} does not say how the model's images were made ({error}): name the model of a "
            "phase, of the reproduction or of the challenge; the roulette's is not trained."
        ) from error


def _refuse_several(folder: Path) -> None:
    """Raises StageError for a folder of models, as the challenge makes it."""
    if (folder / "model.json").is_file():
        return
    if several := sorted(path.parent for path in folder.glob("*/model.json")):
        raise StageError(f"{folder} holds {len(several)} models, one a folder; name one, as {several[0]}.")


def predict_folder(model: Model, folder: Path, copies: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of every finding of a cohort or patch archive, and the findings that could not be read.

    A folder with cohort.json, or with float32 images of the size that the model's own cohort stores, is a cohort and
    is read as it is; anything else with images.npy and findings.csv is a patch archive and is cut out anew, as the
    model's cohort was. Labels may be absent. copies: augmented copies beside the plain prediction.
    """
    _refuse_misnamed(folder)
    if not (folder / "images.npy").is_file():
        raise StageError(f"{folder} holds no images.npy: name a cohort or a patch archive, or use --dicom.")
    with tempfile.TemporaryDirectory(prefix="lesion-predict-") as temporary:
        if _is_cohort(model, folder):
            log.info("%s is read as a cohort: display values, the lesion in the centre", folder)
            cohort, excluded = load_cohort(folder, _stored_info(model, folder)), pd.DataFrame()
        else:
            log.info(
                "%s is read as a patch archive and cut out as the model's cohort was; its channels are taken as %s, in "
                "this order",
                *(folder, ", ".join(model.options.channels)),
            )
            findings = patch_archive.read_findings(
                folder, folder, model.options.channels, model.options.slice_rule, model.display_scale
            )
            cohort, excluded = _built(model, findings, Path(temporary), folder)
        return _predict(model, cohort, folder.absolute().name, copies), excluded


def predict_position(
    model: Model,
    folder: Path,
    position_lps_mm: Sequence[float],
    patient_id: str | None = None,
    copies: int = 0,
    *,
    allow_identified: bool = False,
) -> pd.DataFrame:
    """The prediction at one position of one patient, whose DICOM files lie below `folder` in any layout.

    The series are found by their headers and cut out as the model's cohort was. Raises StageError for a model that was
    not trained on PROSTATEx's sequences, DatasetError where a series, or a slice at the position, is missing.
    """
    if model.kind != "prostatex":
        raise StageError(
            f"{model.folder} was trained on a data set of kind {model.kind}: --dicom finds PROSTATEx's sequences only. "
            "Give it a cohort or a patch archive."
        )
    _refuse_misnamed(folder)
    finding = prostatex.read_position(
        folder, position_lps_mm, model.options.channels, patient_id, allow_identified=allow_identified
    )
    with tempfile.TemporaryDirectory(prefix="lesion-predict-") as temporary:
        cohort, _ = _built(model, [finding], Path(temporary), folder)
        for channel, one in finding.slices.items():
            log.info("%s: %s, %.2f mm from the position", channel, one.file, one.distance_mm or 0.0)
        return _predict(model, cohort, folder.absolute().name, copies)


def _refuse_misnamed(folder: Path) -> None:
    """Raises StageError for a folder that the table of predictions could not name."""
    place = folder.absolute()
    if problem := name_problem(place, Path(place.anchor)):
        raise StageError(f"{place.anchor}{problem}")


def refuse_foreign_file(path: Path) -> None:
    """Raises StageError where `path`, or what is written beside it, is there and is no table of ours.

    It may be what is to be read, or somebody's work.
    """
    for own, columns in ((path, COLUMNS), (excluded_beside(path), EXCLUDED_COLUMNS)):
        header = ",".join(columns).encode()
        if own.exists() and not (own.is_file() and _begins_with(own, header)):
            raise StageError(f"--out: {own} is there and is no table of predictions; it stays as it is, name another")


def excluded_beside(path: Path) -> Path:
    """Where the findings are listed that the predictions of `path` lack."""
    return path.with_suffix(".excluded.csv")


def _begins_with(path: Path, header: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(header)) == header


def write_predictions(path: Path, table: pd.DataFrame, excluded: pd.DataFrame) -> Path | None:
    """Writes the table, and PATH with .excluded.csv beside it where findings could not be read, which is returned."""
    beside = excluded_beside(path)
    write_csv(path, table)
    beside.unlink(missing_ok=True)
    if excluded.empty:
        return None
    write_csv(beside, excluded)
    return beside


class _Hashes(dict[str, str]):
    """The SHA-256 of a file, computed when it is asked for."""

    def __missing__(self, file: str) -> str:
        self[file] = file_sha256(Path(file))
        return self[file]


def _built(
    model: Model, findings: Iterable[Finding | Exclusion], out: Path, source: Path
) -> tuple[Cohort, pd.DataFrame]:
    """The cohort that was cut out into `out`, a temporary folder, and its exclusions; StageError where none is left."""
    options = model.options.model_copy(update={"max_excluded_share": 1.0})
    try:
        cohort = build_cohort(findings, options, out, _Hashes())
    except CohortError as error:
        excluded = _excluded(out) if (out / "excluded.csv").is_file() else pd.DataFrame()
        if excluded.empty:
            raise
        first = excluded.iloc[0]
        raise StageError(
            f"{source}: nothing to predict, {len(excluded)} could not be used. The first, {first['finding_key']}: "
            f"{first['detail']}"
        ) from error
    _say_what_lies_outside(model, cohort, source)
    return cohort, _excluded(out)


def _say_what_lies_outside(model: Model, cohort: Cohort, source: Path) -> None:
    """Warns of patches of which much is no image but its edge, repeated."""
    shares = cohort.findings[[f"{channel}_padded_share" for channel in model.options.image_channels]].astype(float)
    widest = shares.max(axis=1)
    if n := int((widest > MUCH_PADDED).sum()):
        crop = model.options.crop_mm
        log.warning(
            "%d of %d patches of %s lie to more than %.0f %% outside their image, to %.0f %% in the median: there its "
            "edge is repeated, so that these probabilities mean little (the model reads %s)",
            *(n, len(widest), source, 100 * MUCH_PADDED, 100 * widest[widest > MUCH_PADDED].median()),
            "parts of an image" if crop is None else f"{crop:g} mm",
        )


def _excluded(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "excluded.csv", dtype=str, keep_default_na=False)


def _is_cohort(model: Model, folder: Path) -> bool:
    if (folder / "cohort.json").is_file():
        return True
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False  # the archive's reader says what is wrong with it
    side = model.options.patch_pixels + 2 * model.options.margin_pixels
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[2:] != (side, side):
        return False
    # An archive in [0, 1] of this very size is no cohort, whose display values reach up to 255.
    return float(images.max()) > DISPLAY_MAXIMUM_OF_UNIT_RANGE


def _stored_info(model: Model, folder: Path) -> dict[str, Any] | None:
    if (folder / "cohort.json").is_file():
        return None
    options = model.options
    return {
        "channels": options.image_channels,
        "patch_pixels": options.patch_pixels,
        "margin_pixels": options.margin_pixels,
    }


def _refuse_other_scale(model: Model, cohort: Cohort) -> None:
    """Raises StageError where a pixel of the cohort is another distance than one that the model has learnt from."""
    options, pitch_mm = model.options, cohort.info.get("pitch_mm")
    if options.crop_mm is None or pitch_mm is None:
        return
    learnt_mm = options.crop_mm / options.patch_pixels
    if not math.isclose(pitch_mm, learnt_mm, rel_tol=SAME_PITCH):
        raise StageError(
            f"{cohort.folder} has pixels of {pitch_mm:.3g} mm, {model.folder} has learnt from pixels of "
            f"{learnt_mm:.3g} mm; cut the cohort with crop_mm: {options.crop_mm:g}."
        )


def _known_subsets(model: Model, cohort: Cohort) -> pd.Series:
    """(n,) of each finding: `new`, or for the very images that the model was trained on, the subset that it was in.

    Warns of findings of patients whom the model has learnt from: by their ids, which other people may have, too.
    """
    findings = cohort.findings
    subsets = pd.Series(NEW, index=findings.index)
    if "model_sha256" not in model.info:
        return subsets
    learnt, unknown = learnt_from(model.folder, model.info)
    if unknown:
        log.info("whom %s of %s learnt from is not known here", ", ".join(unknown), model.folder)
    if cohort.images_sha256 == model.info.get("images_sha256") and (model.folder / "predictions.csv").is_file():
        own = read_predictions(model.folder / "predictions.csv").drop_duplicates("finding_key")
        subsets = findings["finding_key"].map(own.set_index("finding_key")["subset"]).fillna(NEW)
    patients = {patient for table in learnt.values() for patient in table["patient_id"]}
    if n := int(findings["patient_id"].isin(patients).sum()):
        first = findings.loc[findings["patient_id"].isin(patients), "patient_id"].iloc[0]
        log.warning(
            "%d of %d findings are of patients with ids that %s has learnt from, as %s: of these, where they are the "
            "same people, its probabilities are no predictions",
            *(n, len(findings), model.folder, first),
        )
    return subsets


def _predict(model: Model, cohort: Cohort, name: str, copies: int) -> pd.DataFrame:
    if cohort.patch_pixels != model.options.patch_pixels:
        raise StageError(
            f"{cohort.folder} has patches of {cohort.patch_pixels} pixels, {model.folder} reads "
            f"{model.options.patch_pixels}; give a cohort of that size, or the patch archive that it was cut from."
        )
    _refuse_other_scale(model, cohort)
    if model.info.get("phantom"):
        log.warning("%s has learnt from phantoms: its probabilities say nothing about people", model.folder)
    margin = model.augmentation.required_margin(cohort.patch_pixels)
    if copies and margin > cohort.margin_pixels:
        raise StageError(
            f"{cohort.folder} stores {cohort.margin_pixels} pixels around each patch, the augmentation of copies needs "
            f"{margin}; ask for --copies 0."
        )
    torch.set_num_threads(1)
    images = torch.from_numpy(model.zscore.apply(cohort))
    plain = predict_probabilities(model.network, images, cohort.patch_pixels)
    generator = torch_generator(model.seed, "enhanced prediction")
    rows = torch.arange(len(images))
    augmented = augmented_probabilities(
        model.network, images, rows, copies, model.augmentation, generator, cohort.patch_pixels
    )
    subsets = _known_subsets(model, cohort)
    probabilities = np.column_stack([plain, augmented])  # (n, 1 + copies)
    table = cohort.findings[["finding_key", "patient_id", "finding_id", "label"]].copy()
    table = table.assign(cohort=name, subset=subsets, fold=pd.array([pd.NA] * len(table), dtype="Int64"), replicate=0)
    return predictions_of_images(table, probabilities)

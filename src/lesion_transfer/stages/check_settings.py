"""Stage `settings`: params.yaml is read as a whole before anything runs, and what removed phases left is cleared."""

import json
import logging
import shutil

from lesion_transfer.files import write_text
from lesion_transfer.settings import RESERVED_PHASES
from lesion_transfer.stages.layout import Layout

log = logging.getLogger(__name__)


def check_settings(layout: Layout) -> None:
    """Raises SettingsError for anything wrong in params.yaml; writes a constant, so that nothing else re-runs."""
    settings = layout.settings()
    for model in sorted(layout.models.glob("*/model.json")):
        phase = json.loads(model.read_text(encoding="utf-8")).get("phase")
        if phase == model.parent.name and phase not in {*settings.phases, *RESERVED_PHASES}:
            log.warning(
                "phase %s is no longer in params.yaml: %s is removed (DVC's cache keeps it)", phase, model.parent
            )
            shutil.rmtree(model.parent)
            layout.metrics(phase).unlink(missing_ok=True)
    for report in sorted((layout.reports / "checks").glob("*.json")):
        if report.stem not in settings.cohorts:
            report.unlink()
            layout.checked(report.stem).unlink(missing_ok=True)
            shutil.rmtree(layout.check_pictures(report.stem), ignore_errors=True)
    write_text(layout.settings_checked, "params.yaml was read without a fault\n")

"""All figures by name; each is a pure function of tables and arrays."""

from lesion_transfer.reporting.before_after import before_after_figure
from lesion_transfer.reporting.curves import CURVE_METRICS, metric_figure, metric_grid
from lesion_transfer.reporting.forest import forest_figure
from lesion_transfer.reporting.global_performance import global_performance_figure
from lesion_transfer.reporting.gradients import gradient_evolution_figure, gradient_flow_figure
from lesion_transfer.reporting.phase_summary import phase_summary_figure
from lesion_transfer.reporting.pictures import Picture, save_png, to_png_bytes, to_svg_text
from lesion_transfer.reporting.pipeline_picture import pipeline_figure

__all__ = [
    "CURVE_METRICS",
    "Picture",
    "before_after_figure",
    "forest_figure",
    "global_performance_figure",
    "gradient_evolution_figure",
    "gradient_flow_figure",
    "metric_figure",
    "metric_grid",
    "phase_summary_figure",
    "pipeline_figure",
    "save_png",
    "to_png_bytes",
    "to_svg_text",
]

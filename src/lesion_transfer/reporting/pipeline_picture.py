"""The pipeline as a picture: a lane a cohort, a column a phase, what is trained and where every part comes from."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.path import Path

from lesion_transfer.reporting.content import CohortRow, PhaseRow
from lesion_transfer.reporting.style import FROZEN, INK, MUTED, TEST, TRAIN, TRAINED, new_figure, styled

# Lengths are inches: the axes' unit is one.
_LANE, _COLUMN, _LEFT, _RIGHT = 1.68, 1.5, 2.3, 1.45
_BOX_WIDTH, _HEAD, _PART = 1.18, 0.3, 0.36
_BOX_HEIGHT = _HEAD + 2 * _PART
_BELOW = 0.34
_CARD_LEFT, _CARD_WIDTH, _LINE = 0.12, 1.85, 0.2
_DASHES = (0, (4, 2))
_FROZEN_EDGE, _LINK = "#9dbbd3", "#ccd4dd"


@styled
def pipeline_figure(
    phases: Sequence[PhaseRow],
    cohorts: Sequence[CohortRow] = (),
    phantoms: Sequence[str] = (),
    compared: tuple[str, str] | None = None,
) -> Figure:
    """Data sets, cohorts and phases from left to right.

    A phase is two boxes: feature extractor above, decision maker below, blue and hatched where frozen. Solid arrows
    carry a whole model on, dashed ones attach a decision maker of an earlier phase. Lanes are the phases' cohorts in
    order of first use; `cohorts` adds the data set and the counts, `phantoms` names data sets that are phantoms.
    compared: the two phases that are compared on the test subset; None: the first and the last.
    """
    if not phases:
        raise ValueError("There is no phase to draw the pipeline of.")
    lanes = {name: number for number, name in enumerate(dict.fromkeys(phase.cohort for phase in phases))}
    width = _LEFT + _COLUMN * len(phases) + _RIGHT
    height = _LANE * len(lanes)
    figure = new_figure(width, height + 0.45)
    axes = figure.add_subplot()
    axes.set_xlim(0, width)
    axes.set_ylim(-height, 0)
    axes.set_aspect("equal")
    axes.set_axis_off()
    rows = {cohort.name: cohort for cohort in cohorts}
    for name, lane in lanes.items():
        _draw_lane(axes, name, lane, width, rows.get(name), phantoms)
    places = {phase.name: (_left(column), _top(lanes[phase.cohort])) for column, phase in enumerate(phases)}
    fed: set[str] = set()
    for phase in phases:
        _draw_phase(axes, phase, *places[phase.name], start_is_drawn=phase.start in places)
        _draw_inputs(axes, phase, places)
        if phase.cohort not in fed:
            fed.add(phase.cohort)
            _draw_feed(axes, places[phase.name])
    _draw_test(axes, compared or (phases[0].name, phases[-1].name), places[phases[-1].name])
    legend = [
        Patch(facecolor=TRAINED, edgecolor=MUTED, label="trained"),
        Patch(facecolor=FROZEN, edgecolor=_FROZEN_EDGE, hatch="////", label="frozen"),
        Line2D([], [], color=INK, label="the whole model goes on"),
        Line2D([], [], color=TRAIN, linestyle=_DASHES, label="its decision maker is attached"),
    ]
    figure.legend(handles=legend, loc="outside lower center", ncols=4, fontsize=10)
    return figure


def _left(column: int) -> float:
    return _LEFT + column * _COLUMN


def _top(lane: int) -> float:
    return -lane * _LANE - (_LANE - _BOX_HEIGHT - _BELOW) / 2


def _middles(top: float) -> tuple[float, float]:
    """Heights of the middles of the extractor and of the decision maker."""
    return top - _HEAD - _PART / 2, top - _HEAD - 1.5 * _PART


def _draw_lane(
    axes: Axes, name: str, lane: int, width: float, cohort: CohortRow | None, phantoms: Sequence[str]
) -> None:
    if lane % 2 == 0:
        axes.add_patch(Rectangle((0, -(lane + 1) * _LANE), width, _LANE, facecolor="#f6f8fa", zorder=0))
    lines = [name]
    if cohort is not None:
        kind = "phantom data" if cohort.dataset in phantoms else "data set"
        lines += [f"{kind} {cohort.dataset}", f"{cohort.n_findings} findings"]
        lines += [f"{n} {subset}" for subset, n in cohort.subsets.items()]
    height = 0.2 + _LINE * len(lines)
    middle = -(lane + 0.5) * _LANE
    axes.add_patch(
        FancyBboxPatch(
            (_CARD_LEFT, middle - height / 2),
            _CARD_WIDTH,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="white",
            edgecolor=_LINK,
            zorder=2,
        )
    )
    for number, line in enumerate(lines):
        y = middle + ((len(lines) - 1) / 2 - number) * _LINE
        weight, color = ("bold", INK) if number == 0 else ("normal", MUTED)
        x = _CARD_LEFT + _CARD_WIDTH / 2
        axes.text(x, y, line, ha="center", va="center", fontsize=9.5, fontweight=weight, color=color)


def _draw_phase(axes: Axes, phase: PhaseRow, left: float, top: float, *, start_is_drawn: bool) -> None:
    """Name, extractor and decision maker; a start that is itself not drawn (the roulette) is said in words."""
    axes.text(left, top - _HEAD / 2 + 0.03, phase.name, va="center", fontsize=10.5, fontweight="bold")
    below = f"lr {phase.lr:g}" if start_is_drawn else f"from {phase.start}\nlr {phase.lr:g}"
    axes.text(left, top - _BOX_HEIGHT - 0.05, below, va="top", fontsize=9, color=MUTED, linespacing=1.3)
    # An attached decision maker needs no word: the dashed arrow leads to it.
    origin = {"keep": ": kept", "reset": ": new"}.get(phase.decision_maker, "")
    extractor_middle, maker_middle = _middles(top)
    for middle, text, frozen in (
        (extractor_middle, "extractor", phase.frozen),
        (maker_middle, f"decision{origin}", False),
    ):
        axes.add_patch(
            Rectangle(
                (left, middle - _PART / 2),
                _BOX_WIDTH,
                _PART,
                facecolor=FROZEN if frozen else TRAINED,
                edgecolor=_FROZEN_EDGE if frozen else "white",
                hatch="////" if frozen else None,
                zorder=2,
            )
        )
        backing = {"facecolor": FROZEN, "edgecolor": "none", "pad": 1.5} if frozen else None
        axes.text(left + _BOX_WIDTH / 2, middle, text, ha="center", va="center", fontsize=9.5, zorder=4, bbox=backing)
    corner = (left, top - _BOX_HEIGHT)
    axes.add_patch(Rectangle(corner, _BOX_WIDTH, 2 * _PART, fill=False, edgecolor=MUTED, linewidth=1.1, zorder=3))


def _draw_inputs(axes: Axes, phase: PhaseRow, places: dict[str, tuple[float, float]]) -> None:
    left, top = places[phase.name]
    if phase.start in places:
        start_left, start_top = places[phase.start]
        _arrow(axes, (start_left + _BOX_WIDTH, _middles(start_top)[0]), (left, _middles(top)[0]), INK)
    if phase.decision_maker in places:
        lender_left, lender_top = places[phase.decision_maker]
        _arrow(axes, (lender_left + _BOX_WIDTH, _middles(lender_top)[1]), (left, _middles(top)[1]), TRAIN, dashed=True)


def _draw_feed(axes: Axes, place: tuple[float, float]) -> None:
    """The thin line from a lane's cohort to its first phase; later phases of the lane use the same data."""
    left, top = place
    y = top - _BOX_HEIGHT + _PART * 0.3
    axes.plot([_CARD_LEFT + _CARD_WIDTH, left], [y, y], color=_LINK, linewidth=2.5, zorder=1, solid_capstyle="butt")


def _draw_test(axes: Axes, compared: tuple[str, str], last: tuple[float, float]) -> None:
    """The comparison at the end, of the models of two phases."""
    left, top = last
    middle = _middles(top)[0] - _PART / 2
    from_x = left + _BOX_WIDTH
    _arrow(axes, (from_x, middle), (from_x + 0.36, middle), TEST)
    text = f"test subset:\n{compared[0]}\nagainst\n{compared[1]}"
    axes.text(from_x + 0.42, middle, text, va="center", fontsize=9.5, color=TEST, linespacing=1.35)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str, *, dashed: bool = False
) -> None:
    (x0, y0), (x1, y1) = start, end
    # The bend stays in the gap before the box it leads to, so that the line runs along the lane and crosses no box.
    bend = max(x0, x1 - (_COLUMN - _BOX_WIDTH))
    reach = (x1 - bend) * 0.75
    path = Path(
        [(x0, y0), (bend, y0), (bend + reach, y0), (x1 - reach, y1), (x1, y1)],
        [Path.MOVETO, Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    axes.add_patch(
        FancyArrowPatch(
            path=path,
            arrowstyle="-|>,head_length=5,head_width=2.6",
            color=color,
            linewidth=1.4,
            linestyle=_DASHES if dashed else "-",
            shrinkA=0,
            shrinkB=0,
            zorder=5,
            fill=True,
        )
    )

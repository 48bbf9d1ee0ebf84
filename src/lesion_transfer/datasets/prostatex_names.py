"""What the name of a PROSTATEx series tells: which sequence it is. The plane that counts is the headers'."""

import re
from dataclasses import dataclass

T2, DWI, ADC = "t2", "dwi", "adc"


@dataclass(frozen=True)
class NameRule:
    """Series whose description the pattern finds are this sequence; None: a kind of image that is no channel."""

    name: str
    sequence: str | None
    pattern: re.Pattern[str]


def _rule(name: str, sequence: str | None, pattern: str) -> NameRule:
    return NameRule(name, sequence, re.compile(pattern, re.IGNORECASE))


NAME_RULES = (
    # First, as there is a `t2_tse_tra_exacte_copy_diffusie`: a T2 placed like the diffusion.
    _rule("t2", T2, r"^t2_tse"),
    _rule("adc_map", ADC, r"(^|_)ADC(_|$)"),
    _rule("diffusion_map", None, r"(^|_)(FA|COLFA|TENSOR|EXP)(_|$)"),
    _rule("dwi_computed_b", DWI, r"CALC_BVAL$"),
    _rule("dwi_measured", DWI, r"diff"),
    _rule("localizer", None, r"^t2_loc"),
    _rule("dynamic_or_proton_density", None, r"^(tfl_3d|fl3d_vibe|Perfusie|Twist)"),
    _rule("volume_estimation", None, r"Trufi"),
)
"""Tried in this order on the description (DCMSerDescr, SeriesDescription); the first that fits counts."""

_OTHER_PLANE = re.compile(r"_(sag|cor)", re.IGNORECASE)
_B_VALUE_AT_END = re.compile(r"\bb ?value ?(\d+)$", re.IGNORECASE)


def name_rule(description: str) -> NameRule | None:
    """The rule that a series description falls under; None where no rule knows it."""
    return next((rule for rule in NAME_RULES if rule.pattern.search(description)), None)


def named_sequence(description: str) -> str | None:
    """`t2`, `dwi`, `adc`, or None for what is no channel by its name."""
    rule = name_rule(description)
    return rule.sequence if rule else None


def has_computed_b(description: str) -> bool:
    """Whether the series holds a b-value that was computed from measured ones (`...CALC_BVAL`)."""
    rule = name_rule(description)
    return rule is not None and rule.name == "dwi_computed_b"


def names_other_plane(description: str) -> bool:
    """Whether the name tells a sagittal or coronal plane: not worth fetching. One that tells none may be any."""
    return _OTHER_PLANE.search(description) is not None


def named_b_value(description: str) -> float | None:
    """The one b-value (s/mm2) that ends a name, `... high bvalue 1400`; names that list several tell no image's own."""
    found = _B_VALUE_AT_END.search(description)
    return float(found[1]) if found else None

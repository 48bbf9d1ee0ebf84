"""What `lesion trace` shows in a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

HASH_CHARACTERS = 12


def show_trace(found: Mapping[str, Any], console: Console) -> None:
    """Prints a finding's patches, exclusions, assignments and models; ids in full, hashes shortened."""
    console.print(f"[bold]{escape(found['finding_key'])}[/bold]")
    for patch in found["patches"]:
        console.print(*_patch_lines(patch), sep="\n", soft_wrap=True, highlight=False)
    for row in found["excluded"]:
        line = f"[bold]{row['cohort']}[/bold]: no patch ({row['reason']}): {escape(row['detail'])}"
        console.print(line, soft_wrap=True, highlight=False)
    for row in found["assigned"]:
        fold = f", fold {row['fold']}" if row["fold"] else ""
        console.print(f"{row['cohort']}, replicate {row['replicate']}: {row['subset']}{fold}", highlight=False)
    if not found["models"]:
        console.print("No model has seen it yet.")
        return
    table = Table()
    for name in ("model", "what it did with the finding", "probability", "model_sha256", "MLflow runs"):
        table.add_column(name, overflow="fold")
    for model in found["models"]:
        probability = model.get("probability")
        table.add_row(
            model["model"],
            model["role"],
            "" if probability is None else f"{probability:.4f}",
            model["model_sha256"][:HASH_CHARACTERS],
            "\n".join(model["runs"]) or ("none in this store" if model["model_sha256"] else "those of the run ledger"),
        )
    console.print(table)


def _patch_lines(patch: Mapping[str, Any]) -> Iterator[str]:
    known = [f"{name} {escape(patch[name])}" for name in ("sequence", "label", "zone", "group") if patch.get(name)]
    pixels = patch["image_sha256"][:HASH_CHARACTERS]
    yield ", ".join([f"[bold]{patch['cohort']}[/bold]: row {patch['row']} of images.npy", *known, f"sha256 {pixels}"])
    crop = patch["crop"]
    covered = (
        f"{crop['crop_mm']:g} mm"
        if crop["crop_mm"]
        else "height x width " + " x ".join(f"{share:.4g}" for share in crop["crop_fraction"])
    )
    yield f"  crop: {covered} on {crop['patch_pixels']} pixels and {crop['margin_pixels']} of margin"
    for channel, one in patch["slices"].items():
        yield f"  {channel}: {escape(one['file'])} ({one['file_now']}, sha256 {one['sha256'][:HASH_CHARACTERS]})"
        if one["series_uid"]:
            yield f"    series {one['series_uid']}"
            yield f"    image  {one['sop_uid']}"
        yield f"    {_place(one)}"


def _place(one: Mapping[str, Any]) -> str:
    x, y = one["centre_xy"]
    rows, columns = one["spacing_mm"]
    spacing = f", pixels of {rows:g} x {columns:g} mm" if rows else ", spacing unknown"
    distance = f", plane {one['distance_mm']:.2f} mm from the lesion" if one["distance_mm"] is not None else ""
    padded = f", {one['padded_share']:.1%} of the patch beyond the image" if one["padded_share"] else ""
    return f"lesion at column {x:.2f}, row {y:.2f}{spacing}{distance}{padded}"

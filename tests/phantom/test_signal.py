"""How hard the phantom is: an ideal reader's AUC, and that nothing but the traits' means knows the label."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.brain_plan import paint_image, plan_images
from lesion_transfer.datasets.phantom.canvas import axis, blank
from lesion_transfer.datasets.phantom.draws import noise
from lesion_transfer.datasets.phantom.lesion import LesionOptions, add_lesion, draw_lesion
from lesion_transfer.datasets.phantom.lungx_plan import plan_scans
from lesion_transfer.datasets.phantom.prostatex_plan import plan_patients
from lesion_transfer.datasets.phantom.recipes import BrainRecipe, LungxRecipe, ProstatexRecipe, load_recipe
from lesion_transfer.datasets.phantom.traits import ClassOptions, Traits, draw_traits
from lesion_transfer.randomness import named_generator

Recipe = TypeVar("Recipe", BrainRecipe, LungxRecipe, ProstatexRecipe)

RECIPES = Path(__file__).parents[2] / "phantom"


def ideal_score(traits: Traits, classes: ClassOptions) -> float:
    """Rises with the likelihood ratio of the declared distributions: no reader of the traits does better."""
    return traits.contrast * classes.contrast + traits.border * classes.border + traits.texture * classes.texture


def lesion_options(kind: str) -> LesionOptions:
    models = {"prostatex": ProstatexRecipe, "lungx": LungxRecipe, "brain": BrainRecipe}
    return load_recipe(RECIPES / f"{kind}.yaml", models[kind]).lesion


@pytest.mark.parametrize("kind", ["prostatex", "lungx", "brain"])
@pytest.mark.parametrize(("signal", "low", "high"), [(1.0, 0.87, 0.93), (0.0, 0.47, 0.53)])
def test_an_ideal_reader_scores_as_promised(kind: str, signal: float, low: float, high: float) -> None:
    classes = lesion_options(kind).classes
    labels = [n % 2 == 0 for n in range(4000)]
    traits = [draw_traits(named_generator(0, kind, str(n)), label, classes, signal) for n, label in enumerate(labels)]
    scores = [ideal_score(t, classes) for t in traits]
    assert low < roc_auc_score(labels, scores) < high


def test_without_signal_a_label_changes_no_trait() -> None:
    classes = lesion_options("brain").classes
    for n in range(20):
        drawn = [draw_traits(named_generator(1, str(n)), label, classes, 0.0) for label in (True, False)]
        assert drawn[0] == drawn[1]


def with_positive_share(recipe: Recipe, share: float) -> Recipe:
    classes = recipe.lesion.classes.model_copy(update={"positive_share": share})
    return recipe.model_copy(update={"lesion": recipe.lesion.model_copy(update={"classes": classes})})


def test_places_sizes_and_shapes_do_not_know_the_label() -> None:
    """Other labels, the same seed: every lesion lies and is shaped as before, in every body part."""
    options = PhantomOptions(n_patients=20, n_slices=3)

    def described(share: float) -> list[tuple]:
        prostate = with_positive_share(load_recipe(RECIPES / "prostatex.yaml", ProstatexRecipe), share)
        lung = with_positive_share(load_recipe(RECIPES / "lungx.yaml", LungxRecipe), share)
        brain = with_positive_share(load_recipe(RECIPES / "brain.yaml", BrainRecipe), share)
        lesions = [(p.frame, f.zone, f.lesion) for p in plan_patients(prostate, options, 0) for f in p.findings]
        lesions += [(s.spacing_mm, n.image_number, n.lesion) for s in plan_scans(lung, options, 0) for n in s.nodules]
        lesions += [((i.width, i.height, i.mode), i.keep, i.lesion) for i in plan_images(brain, options, 0)]
        return [(*where, lesion.centre, lesion.radii, lesion.border.tobytes()) for *where, lesion in lesions]

    assert described(0.1) == described(0.8)


def test_without_signal_an_image_does_not_know_its_label() -> None:
    options = PhantomOptions(n_patients=5, signal=0.0)
    recipes = [with_positive_share(load_recipe(RECIPES / "brain.yaml", BrainRecipe), share) for share in (0.2, 0.8)]
    plans = [plan_images(recipe, options, 4) for recipe in recipes]
    assert [i.lesion.label for i in plans[0]] != [i.lesion.label for i in plans[1]]
    for images in zip(*plans, strict=True):
        painted = []
        for recipe, image in zip(recipes, images, strict=True):
            canvas = image.canvas()
            paint_image(recipe, image, canvas, 4)
            painted.append(canvas.pixels.tobytes())
        assert painted[0] == painted[1]


def features(patch: np.ndarray) -> list[float]:
    """Height over the surroundings, unevenness inside, raggedness and steepness of the border, of (65, 65) pixels."""
    y, x = np.mgrid[-32:33, -32:33]
    r = np.hypot(x, y)
    inside, ring = patch[r < 5], np.median(patch[(r > 14) & (r < 20)])
    height = inside.mean() - ring
    profile = np.array([patch[(r >= n) & (r < n + 1)].mean() for n in range(2, 16)])
    scatter = np.mean([patch[(r >= n) & (r < n + 1)].std() for n in range(6, 11)])
    return [height, inside.std(), inside.std() / max(height, 0.3), scatter, -np.diff(profile).min() / max(height, 0.3)]


def lesion_patches(options: LesionOptions, labels: list[bool], signal: float) -> np.ndarray:
    """Hand features of lesions on an even ground with noise, one a label: float (n, 5)."""
    across = axis(-32, 1, 65)
    rows = []
    for n, label in enumerate(labels):
        lesion = draw_lesion(11, ("patch", str(n)), label, 1.0, options, signal)
        canvas = blank(across, across, axis(0, 1, 1))
        add_lesion(canvas, lesion, 1.0, options)
        canvas.pixels[...] += np.float32(0.08) * noise(named_generator(12, str(n)), canvas.pixels.shape)
        rows.append(features(canvas.pixels[0]))
    return np.array(rows)


@pytest.mark.parametrize(("signal", "low", "high"), [(1.0, 0.8, 0.95), (0.0, 0.4, 0.6)])
def test_hand_features_find_the_signal_and_only_the_signal(signal: float, low: float, high: float) -> None:
    labels = [bool(n % 3 == 0) for n in range(260)]
    table = lesion_patches(lesion_options("prostatex"), labels, signal)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_predict(model, table, labels, cv=10, method="predict_proba")[:, 1]
    assert low < roc_auc_score(labels, scores) < high

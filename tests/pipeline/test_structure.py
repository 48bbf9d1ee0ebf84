"""The layout of the code holds: arrows run down, no circles, and dvc.yaml names what each stage imports."""

import re
import subprocess
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

from lesion_transfer import cli
from lesion_transfer.files import source_files
from lesion_transfer.stages import ledger_inputs
from lesion_transfer.stages.check_settings import SHARED
from lesion_transfer.stages.training import resume

ROOT = Path(__file__).parents[2]
PACKAGE = "lesion_transfer"
ROOMS = {
    "cli": {"cli_looking", "stages", "errors"},
    "cli_looking": {"viewing", "stages", "errors"},
    "viewing": {"cohorts", "datasets", "imaging", "files", "errors"},
    "stages": {
        *("tracking", "settings", "reporting", "evaluation", "transfer", "learning", "cohorts", "datasets", "imaging"),
        *("backends", "getting", "options", "randomness", "files", "errors"),
    },
    "tracking": {"signals", "errors"},
    "settings": {"options", "errors", "backends", "cohorts", "datasets", "learning", "transfer"},
    "reporting": {"evaluation", "files"},
    "evaluation": {"errors", "randomness"},
    "transfer": {"learning", "options", "randomness", "errors"},
    "learning": {"backends", "options", "randomness", "files", "signals", "errors"},
    "backends": {"options", "files", "errors"},
    "getting": {"datasets", "errors"},
    "cohorts": {"datasets", "options", "randomness", "files", "errors"},
    "datasets": {"imaging", "options", "randomness", "files", "errors"},
    "imaging": {"errors"},
    "options": set(),
    "randomness": set(),
    "files": set(),
    "signals": set(),
    "errors": set(),
    "__main__": {"cli"},
}
STAGE_MODULES = {"settings": "check_settings"}
MIRROR = {
    *(f"{PACKAGE}.tracking", f"{PACKAGE}.stages.progress", f"{PACKAGE}.stages.phase_mirror"),
    *(f"{PACKAGE}.stages.ledger_mirror", f"{PACKAGE}.stages.phase_watch"),
    *(f"{PACKAGE}.backends.backend", f"{PACKAGE}.backends.ray_backend", f"{PACKAGE}.signals"),
}
"""Modules whose work reaches no output of a training stage: MLflow, its figures, bars, messages, where tasks run, when
Ctrl-C is heard."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_import_goes_from_a_room_to_one_that_it_may_use(graph):
    wrong = {
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if room(module) and room(imported) and room(module) != room(imported)
        if room(imported) not in ROOMS[room(module)]
    }
    assert not wrong


def test_no_room_may_use_what_it_does_not_use(graph):
    """So that a new arrow is a decision."""
    used: dict[str, set[str]] = {name: set() for name in ROOMS}
    for module in graph.modules - {PACKAGE}:
        used[room(module)] |= {room(other) for other in graph.find_modules_directly_imported_by(module)}
    assert {name: found - {name, ""} for name, found in used.items()} == ROOMS


def test_the_rooms_have_no_circle():
    """The table above is itself free of circles, so that the test before proves that the code is."""
    reached = {name: set(used) for name, used in ROOMS.items()}
    for _ in ROOMS:
        reached = {name: used.union(*(reached[other] for other in used)) for name, used in reached.items()}
    assert not [name for name, used in reached.items() if name in used]


def test_no_two_modules_import_each_other(graph):
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            assert not graph.chain_exists(importer=imported, imported=module), f"{module} and {imported}"


def test_settings_and_tracking_are_imported_by_cli_and_stages_alone(graph):
    for name in ("settings", "tracking"):
        importers = graph.find_modules_that_directly_import(f"{PACKAGE}.{name}")
        assert {room(importer) for importer in importers} <= {"cli", "stages"}


def test_settings_take_only_options_and_the_plan_from_the_rooms(graph):
    """So that the data stages, which read settings, load neither torch nor MLflow."""
    taken = graph.find_modules_directly_imported_by(f"{PACKAGE}.settings")
    assert {module.rpartition(".")[2] for module in taken} <= {"options", "plan", "arms", "errors"}


@pytest.mark.parametrize("stage", ["check_settings", "acquire", "cohort", "check", "split", "assign"])
def test_data_stages_import_neither_torch_nor_mlflow(stage):
    graph = grimp.build_graph(PACKAGE, include_external_packages=True)
    upstream = graph.find_upstream_modules(f"{PACKAGE}.stages.{stage}")
    assert not upstream & {"torch", "mlflow"}


def dvc_stages() -> dict[str, list[str]]:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    return {name: stage.get("do", stage)["deps"] for name, stage in stages.items()}


def computed_with(graph: grimp.ImportGraph, stage: str) -> set[Path]:
    """The source files that a stage's outputs are computed with."""
    found: set[str] = set()
    waiting = [f"{PACKAGE}.stages.{STAGE_MODULES.get(stage, stage)}"]
    while waiting:
        module = waiting.pop()
        if module not in found | MIRROR:
            found.add(module)
            waiting.extend(graph.find_modules_directly_imported_by(module))
    files = (ROOT / "src" / Path(*module.split(".")) for module in found)
    return {file.with_suffix(".py") for file in files if not file.is_dir()}


def shared_modules() -> set[Path]:
    """Those whose hashes stand in data/settings_checked.txt."""
    return {Path(str(module.__file__)) for module in SHARED}


def test_the_hashed_modules_are_all_that_read_params_yaml(graph):
    """So that a stage's dependency on data/settings_checked.txt stands for each of them."""
    assert shared_modules() == computed_with(graph, "settings") - {ROOT / f"src/{PACKAGE}/stages/check_settings.py"}


@pytest.mark.parametrize("stage", dvc_stages())
def test_a_stages_deps_name_every_module_that_it_imports_and_no_other(graph, stage):
    deps = [ROOT / dep for dep in dvc_stages()[stage] if str(dep).startswith("src/")]
    modules = computed_with(graph, stage)
    if stage != "settings":
        assert "data/settings_checked.txt" in dvc_stages()[stage]
        modules -= shared_modules()
    missing = [file for file in modules if not any(file == dep or dep in file.parents for dep in deps)]
    assert not missing, f"dvc.yaml: {stage} does not depend on {sorted(map(str, missing))}"
    idle = [dep for dep in deps if not any(file == dep or dep in file.parents for file in modules)]
    assert not idle, f"dvc.yaml: {stage} depends on {sorted(map(str, idle))}, which it does not import"


def test_a_finished_fold_of_the_ledger_is_known_by_every_module_that_it_is_computed_with(graph):
    """Else a mended z-score or leak filter would publish the folds of before."""
    hashed = set(source_files(ledger_inputs.CODE))
    assert all(file.is_file() for file in hashed)
    missing = computed_with(graph, "ledger_fold") - shared_modules() - hashed
    assert not missing, f"ledger_inputs.CODE lacks {sorted(map(str, missing))}"
    assert ROOT / f"src/{PACKAGE}/randomness.py" in hashed


@pytest.mark.parametrize("stage", ["train", "transfer", "reproduction", "challenge"])
def test_an_interrupted_training_is_known_by_every_module_that_its_bytes_depend_on(graph, stage):
    """Else it would go on with the folds or the random streams of another revision."""
    hashed = set(source_files(resume.CODE))
    assert all(file.is_file() for file in hashed)
    after_it = {ROOT / f"src/{PACKAGE}" / part for part in ("evaluation", f"stages/{stage}.py", "stages/split.py")}
    used = computed_with(graph, stage) - (shared_modules() - {ROOT / f"src/{PACKAGE}/randomness.py"})
    missing = [file for file in used - hashed if not after_it & {file, *file.parents}]
    assert not [file for file in missing if "stages" not in file.parts], f"resume.CODE lacks {missing}"


def test_training_stages_declare_every_setting_that_a_phase_inherits():
    """DVC ignores an undeclared setting in silence: the run would "succeed" with nothing executed."""
    from lesion_transfer.settings import HYPERPARAMETERS

    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    for declared in (stages["train"]["params"], stages["transfer"]["do"]["params"]):
        assert {"cv", "split.replicates"} <= set(declared)
    everywhere = {"seed", "threads", "device", "deterministic", "network", "augmentation", "target"}
    for declared in (stages["train"]["params"], stages["transfer"]["do"]["params"], stages["ledger"]["params"]):
        assert set(HYPERPARAMETERS) | everywhere <= set(declared)
    of_the_roulette = {"autocast", "dropout", "loss", "roulette", "split.replicates"}
    assert of_the_roulette | everywhere <= set(stages["roulette"]["params"])
    in_every_training = everywhere - {"target"}
    assert set(HYPERPARAMETERS) | in_every_training | {"reproduction"} <= set(stages["reproduction"]["params"])
    without = {name for name in HYPERPARAMETERS if name.startswith("plateau")} | {"cv"}
    of_the_challenge = set(HYPERPARAMETERS) - without | in_every_training | {"reproduction", "challenge"}
    assert of_the_challenge <= set(stages["challenge"]["do"]["params"])


def test_every_command_that_is_written_about_is_there():
    written = [ROOT / "README.md", ROOT / "params.yaml", ROOT / "dvc.yaml", *sorted((ROOT / "docs").glob("*.md"))]
    found = {
        (command, path.name)
        for path in written
        for command in re.findall(r"(?:`|cmd: )lesion ([a-z]+)", path.read_text(encoding="utf-8"))
    }
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    assert {command for command, _ in found} >= {"train", "gradients", "predict"}
    assert not [(command, name) for command, name in found if command not in known]


def test_no_image_but_the_reports_own_is_in_the_repository():
    """Images of people belong to their archives; `.dvcstore` holds the demo's phantoms, DVC's hashes name them."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    endings = {Path(name).suffix.lower() for name in tracked.stdout.splitlines() if not name.startswith(".dvcstore/")}
    assert ".py" in endings
    volumes = {".dcm", ".ima", ".mhd", ".mha", ".raw", ".zraw", ".nii", ".gz", ".nrrd", ".npy", ".npz"}
    assert not endings & (volumes | {".jpg", ".jpeg", ".tif"})

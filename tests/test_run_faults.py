"""What happens to runs: damaged files, other texts, moved folders, full disks.

Each is refused or told in one line, and nothing that was there is lost.
"""

import json
import shutil
import threading
from pathlib import Path

import pytest

from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError
from experiments.config import Config
from experiments.run.checkpoint import Checkpoints
from experiments.run.directory import open_run, read_checkpoints, read_run
from experiments.run.files import RunError, read_json, write_json_atomic
from experiments.run.metrics import read_metrics
from experiments.run.record import Text, check_same
from tests.small_run import OTHER, TEXT, TREE, WORDS, contents, forge, made, resumed

STRANGE = ["run[1]", "[2026] thesis", "back\\slash", "all*", "who?", "ü é", "a#b%c{d}"]


@pytest.fixture(autouse=True)
def no_provenance(monkeypatch):
    """Asking git, the machine and the disk each time would take most of the time."""
    for what in ("git_state", "versions", "hardware"):
        monkeypatch.setattr(f"experiments.run.provenance.{what}", lambda: {})
    monkeypatch.setattr("os.fsync", lambda _: None)


def refused(folder: Path, what: str, *given, **more) -> str:
    """The one line that says why it does not; nothing has changed."""
    before = contents(folder)
    with pytest.raises(RunError, match=what) as error:
        resumed(folder, *given, **more)
    assert (
        contents(folder).items()
        >= {
            name: data for name, data in before.items() if name != "config.json"
        }.items()
    )
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", STRANGE)
def test_checkpoints_in_any_folder_are_read_back(tmp_path, name):
    made(tmp_path / name / "run")
    assert resumed(tmp_path / name / "run")[1] == {"step": 3}
    found = read_checkpoints(tmp_path / name / "run").best(TREE)
    assert found is not None and found[1] == {"step": 1}
    assert (found[0]["x"] == TREE["x"] + 1).all()
    shutil.copytree(tmp_path / name / "run", tmp_path / "plain")
    assert resumed(tmp_path / "plain")[1] == {"step": 3}


def test_what_orbax_did_not_write_whole_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.run.arrays.MANIFEST", "another")
    with pytest.raises(RunError, match="not written whole"):
        Checkpoints(tmp_path).save(1, TREE, {})
    assert Checkpoints(tmp_path).steps() == []


@pytest.mark.parametrize("damage", ["meta", "arrays", "both"])
def test_a_run_is_never_begun_anew_because_its_checkpoints_are_damaged(
    tmp_path, damage
):
    folder = made(tmp_path / "run")
    for path in (folder / "checkpoints").rglob("*"):
        meta = path.name == "meta.json"
        if path.is_file() and (damage == "both" or meta == (damage == "meta")):
            path.write_bytes(b"")
    told = refused(folder, "none of the checkpoints .* is sound")
    assert "nothing was changed" in told and "1, 2, 3" in told or "1, 3" in told


def test_a_finished_run_without_checkpoints_is_not_begun_anew(tmp_path):
    folder = made(tmp_path / "run")
    shutil.rmtree(folder / "checkpoints")
    refused(folder, "checkpoints are gone")


def test_a_forged_step_is_damaged(tmp_path, capsys):
    folder = made(tmp_path / "run")
    path = folder / "checkpoints" / "3" / "meta.json"
    forge(path, lambda record: record["meta"].__setitem__("step", "3"))
    assert resumed(folder)[1] == {"step": 2}
    assert "no whole number" in capsys.readouterr().err


def test_a_kill_before_the_first_checkpoint_repeats_no_row(tmp_path):
    for _ in range(3):
        with open_run(tmp_path, Config(), TEXT) as run:
            assert run.resume(run.open_checkpoints(), TREE, dict) is None
            run.log(step=0, groups=["x"])
            run.log(step=1, loss=1.0)
            run.sample(1, ["text"])
    assert [r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")] == [0, 1]
    assert (tmp_path / "samples.txt").read_text().count("===") == 2


@pytest.mark.parametrize(
    "text",
    [
        Text("plain.txt", "e" * 64, WORDS.digest),  # longer, with the same words
        Text("plain.txt", "e" * 64, OTHER.digest),
        Text("plain.txt", "f" * 64, OTHER.digest),  # read by other code
    ],
)
def test_another_text_is_refused_before_anything_is_written(tmp_path, text):
    folder = made(tmp_path / "run")
    before = contents(folder)
    told = refused(folder, "holds a run on another text", text)
    assert contents(folder) == before
    both = (TEXT, text)
    pairs = [t.fingerprint for t in both], [t.vocabulary for t in both]
    was, now = next(pair for pair in pairs if pair[0] != pair[1])
    assert was[:16] in told and now[:16] in told and "--run-dir" in told
    assert read_run(folder, Config)[1] == WORDS
    assert read_checkpoints(folder).best(TREE) is not None


def test_a_run_moves_with_its_text(tmp_path):
    data = DataConfig(corpus="there/plain.txt", workers=3, cache_dir="there")
    moved = DataConfig(corpus="here/plain.txt", in_memory=1, tfds_dir="here")
    with open_run(tmp_path, Config(data=data), TEXT) as run:
        run.keep_vocabulary(WORDS)
    with open_run(tmp_path, Config(data=moved), TEXT._replace(name="x")) as run:
        assert run.resumed
    assert read_json(tmp_path / "config.json")["config"]["data"]["in_memory"] == 1
    refused(tmp_path, "corpus was 'here/plain.txt'", None, config=Config(data=data))
    other = Config(data=DataConfig(corpus="here/plain.txt", lower=True))
    refused(tmp_path, "data.lower was False, is True", config=other)


def test_a_run_of_before_fingerprints_is_compared_by_its_vocabulary(tmp_path, capsys):
    folder = made(tmp_path / "run")
    record = read_json(folder / "config.json")
    for name in ("corpus", "id", "application"):
        del record[name]
    write_json_atomic(folder / "config.json", record, digits=17)
    for path in (folder / "checkpoints").glob("*/meta.json"):
        forge(path, lambda record: record.pop("origin"))
    told = refused(folder, "fingerprint of its vocabulary was", Text("", "", "1" * 64))
    assert WORDS.digest[:16] in told and "1" * 16 in told
    assert not capsys.readouterr().err
    assert resumed(folder)[1] == {"step": 3}
    told = capsys.readouterr().err
    assert "made before fingerprints" in told and told.count("\n") == 1
    assert read_json(folder / "config.json")["corpus"] == TEXT._asdict()


def test_another_application_is_refused_first(tmp_path):
    folder = made(tmp_path / "run")
    record = read_json(folder / "config.json")
    record["application"] = "chess"
    record["config"] = {"pieces": 32}
    write_json_atomic(folder / "config.json", record)
    refused(folder, "its application is 'chess', not 'language_model'")
    with pytest.raises(RunError, match="chess"):
        read_run(folder, Config)
    with pytest.raises(RunError, match="format is 'run-0'"):
        check_same(folder, {"format": "run-0"}, Config(), None)


@pytest.mark.parametrize("how", ["swap", "flip", "other"])
def test_a_changed_vocabulary_is_refused_and_written_anew(tmp_path, how, capsys):
    folder = made(tmp_path / "run")
    path = folder / "vocabulary.json"
    sound = path.read_bytes()
    record = read_json(path)
    if how == "swap":
        record["tokens"][2:] = record["tokens"][:1:-1]
    elif how == "flip":
        record["tokens"][2] = "c"
    else:
        record["lower"] = True
    path.write_text(json.dumps(record))
    with pytest.raises(RunError, match="not the vocabulary that the run was") as error:
        read_run(folder, Config)
    assert WORDS.digest[:16] in str(error.value) and "\n" not in str(error.value)
    with open_run(folder, Config(), TEXT) as run:
        run.keep_vocabulary(WORDS)
    assert path.read_bytes() == sound and "written anew" in capsys.readouterr().err
    with open_run(folder, Config(), TEXT) as run, pytest.raises(RunError):
        run.keep_vocabulary(OTHER)


def test_checkpoints_of_another_run_are_refused(tmp_path):
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    shutil.rmtree(one / "checkpoints" / "3")
    shutil.copytree(other / "checkpoints" / "3", one / "checkpoints" / "3")
    refused(one, "3 belongs to something else: its id is")
    shutil.copytree(other, tmp_path / "copy")
    assert resumed(tmp_path / "copy")[1] == {"step": 3}


@pytest.mark.parametrize("how", ["cut", "flip", "folder", "loop", "gone", "deep"])
def test_a_damaged_record_of_the_best_is_told_and_kept(tmp_path, how):
    lines: list[str] = []
    checkpoints = Checkpoints(tmp_path / "checkpoints", 2, lines.append)
    for step in range(1, 5):
        checkpoints.save(step, {"x": TREE["x"] + step}, {"step": step}, step == 1)
    broken = tmp_path / "checkpoints" / "1" / "meta.json"
    data = broken.read_bytes()
    broken.unlink()
    if how == "cut":
        broken.write_bytes(data[:100])
    elif how == "flip":
        broken.write_bytes(data.replace(b'"best": true', b'"best": trud'))
    elif how == "folder":
        broken.mkdir()
    elif how == "loop":
        broken.symlink_to(broken)
    elif how == "deep":
        broken.write_text("[" * 10**5)
    found = checkpoints.best(TREE)
    assert found is not None and found[1] == {"step": 4}
    assert len(lines) == 1 and "\n" not in lines[0]
    assert "checkpoints/1 is damaged and was the best" in lines[0]
    assert "step 4 is used in its place" in lines[0]
    for step in range(5, 8):
        checkpoints.save(step, TREE, {"step": step})
    assert checkpoints.steps() == [1, 6, 7] and checkpoints.best_step() == 1
    checkpoints.save(8, TREE, {"step": 8}, best=True)
    assert checkpoints.best_step() == 8


def test_old_records_name_the_best_by_their_marks(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", 3)
    for step in (1, 2, 3):
        checkpoints.save(step, {"x": TREE["x"] + step}, {"step": step}, step == 2)
    for path in (tmp_path / "checkpoints").glob("*/meta.json"):
        forge(path, lambda record: record.pop("best_step"))
    assert checkpoints.best_step() == 2
    found = checkpoints.best(TREE)
    assert found is not None and found[1] == {"step": 2}


def test_a_damaged_later_checkpoint_takes_no_sound_ones_place(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", 2, lambda line: None)
    for step in (1, 2, 3, 4):
        checkpoints.save(step, TREE, {"step": step}, best=step == 1)
    for step in (3, 4):
        (tmp_path / "checkpoints" / str(step) / "meta.json").write_text("")
    found = checkpoints.latest(TREE)
    assert found is not None and found[1] == {"step": 1}
    checkpoints.save(2, TREE, {"step": 2})
    assert checkpoints.steps() == [1, 2, 3, 4]
    found = checkpoints.latest(TREE)
    assert found is not None and found[1] == {"step": 2}


def test_reading_while_the_run_saves(tmp_path):
    lines: list[str] = []
    writer = Checkpoints(tmp_path / "checkpoints", 1)
    writer.save(0, TREE, {"step": 0})
    reader, done = Checkpoints(tmp_path / "checkpoints", 1, lines.append), []

    def save() -> None:
        for step in range(1, 40):
            writer.save(step, TREE, {"step": step}, best=step % 3 == 0)
        done.append(True)

    thread = threading.Thread(target=save)
    thread.start()
    while not done:
        assert reader.best(TREE) is not None
    thread.join()
    assert not lines


def test_a_step_that_was_pruned_after_it_was_listed_is_not_damaged(tmp_path):
    lines: list[str] = []
    checkpoints = Checkpoints(tmp_path / "checkpoints", 3, lines.append)
    for step in range(3):
        checkpoints.save(step, TREE, {"step": step}, best=step == 1)
    listed, true = [], checkpoints.steps

    def steps() -> list[int]:
        listed.append(true())
        return [*true(), 10] if len(listed) < 3 else true()

    checkpoints.steps = steps
    found = checkpoints.best(TREE)
    assert found is not None and found[1] == {"step": 1}
    assert len(listed) > 2 and not lines


def test_a_folder_that_was_moved_away_is_not_made_again(tmp_path):
    folder = made(tmp_path / "run")
    with open_run(folder, Config(), TEXT) as run:
        checkpoints = run.open_checkpoints()
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(RunError, match="moved or removed while"):
            checkpoints.save(4, TREE, {"step": 4})
        with pytest.raises(RunError, match="cannot be written"):
            run.summary({})
    assert not folder.exists()
    assert resumed(tmp_path / "elsewhere")[1] == {"step": 3}


def test_what_killed_processes_left_is_removed(tmp_path):
    folder = made(tmp_path / "run")
    for name in (".gradflow.npz.1", ".metrics.jsonl.22", ".summary.json.333"):
        (folder / name).write_text("half")
    (folder / ".mine.txt.4").write_text("a stranger's")
    resumed(folder)
    names = {path.name for path in folder.iterdir()}
    assert ".mine.txt.4" in names and not any(".json." in n for n in names)


def test_locks_that_a_file_system_lacks_are_told_as_such(tmp_path, monkeypatch):
    def unlockable(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("experiments.run.directory.fcntl.flock", unlockable)
    with pytest.raises(RunError, match="No locks available.*has no locks") as error:
        open_run(tmp_path, Config())
    assert "in use" not in str(error.value)


def test_paths_of_users(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made(Path("~/there"))
    assert (tmp_path / "there" / "config.json").exists()
    assert not (tmp_path / "~").exists()
    assert read_run("~/there", Config)[1] == WORDS
    for given, told in (
        ("", "is empty"),
        ("~nosuchuser/x", "no user 'nosuchuser'"),
        ("caf\udce9", "not UTF-8"),
    ):
        with pytest.raises(DataError, match=told) as error:
            open_run(given, Config())
        str(error.value).encode()
    with pytest.raises((RunError, OSError), match="too long"):
        open_run("x" * 300, Config())

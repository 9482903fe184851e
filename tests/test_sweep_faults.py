"""What a sweep must never do: take another's results for its own, or write over what
is not its own; show a password; leave a connection open."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from experiments.run.files import RunError
from experiments.sweep import rows as sweep_rows
from experiments.sweep import session, storage
from experiments.sweep.directory import (
    MARK,
    claim,
    look,
    read_mark,
    refuse_strangers,
    write_own,
)
from experiments.sweep.storage import hidden, open_storage
from tests.sweeps import sweep_here, table, write_space

pytestmark = pytest.mark.usefixtures("compile_cache")
LINES = "the cat sees the dog\nthe dog sees a cat\na bird sings\n"
RATES = {"choice": [0.02, 0.05]}


@pytest.fixture(scope="module")
def done(tmp_path_factory, compile_cache) -> Path:
    """Two finished sweeps of a text.txt: spaces `a.json`, `b.json`, directories `a`,
    `b`."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "text.txt").write_text(LINES * 40)
    own = {"data.corpus": str(folder / "text.txt")}
    space = write_space(folder, "a", **own)
    other = write_space(folder, "b", **own, **{"optim.learning_rate": RATES})
    sweep_here(space, "--sweep-dir", folder / "a")
    sweep_here(other, "--sweep-dir", folder / "b")
    return folder


@pytest.fixture
def copied(done, tmp_path) -> Path:
    """A copy of all of it that a test may spoil; the text's path stays."""
    shutil.copytree(done, tmp_path / "copy")
    return tmp_path / "copy"


def content(folder: Path) -> dict[str, bytes]:
    """All files below, but locks and databases."""
    files = (path for path in folder.rglob("*") if path.is_file())
    kept = (p for p in files if p.suffix != ".db" and p.name not in (".sweep.lock",))
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def refused(capsys, *words) -> str:
    """What is said of a sweep that is refused."""
    capsys.readouterr()
    sweep_here(*words, code=2)
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1, said
    return said


def test_no_way_in_leads_to_another_sweeps_results(copied, capsys):
    """Another space, with the same numbers of trials, in a directory that is taken."""
    a, b, taken = copied / "a.json", copied / "b.json", copied / "a"
    before = content(taken)
    other = f"sqlite:///{copied}/other.db"
    ways = {
        "as it is": [b],
        "resumed": [b, "--resume"],
        "under another name": [b, "--resume", "--study", "else"],
        "the same space under another name": [a, "--resume", "--study", "else"],
        "in another storage": [b, "--storage", other],
        "the same name in another storage": [b, "--storage", other, "--study", "a"],
        "the same space in another storage": [a, "--storage", other],
        "the same, resumed": [a, "--storage", other, "--resume"],
    }
    for name, words in ways.items():
        said = refused(capsys, *words, "--sweep-dir", taken)
        if name != "as it is":
            assert "sweep-dir" in said, (name, said)
        assert content(taken) == before, name
    (taken / "study.db").unlink()
    for words in ([a], [b], [a, "--storage", other], [b, "--study", "a"]):
        said = refused(capsys, *words, "--sweep-dir", taken)
        assert "give another --sweep-dir" in said and "--resume" not in said
        assert content(taken) == before
    (taken / MARK).unlink()
    for words in ([a], [b], [b, "--storage", other]):
        assert "another" in refused(capsys, *words, "--sweep-dir", taken)


def test_folders_that_were_copied_in_are_compared(copied, capsys):
    """Runs of a finished sweep beneath an unfinished one of another space: by their
    numbers alone they would be its own."""
    with sqlite3.connect(copied / "b" / "study.db") as database:
        database.execute("UPDATE trials SET state = 'WAITING' WHERE number = 0")
    database.close()
    shutil.rmtree(copied / "b" / "trials")
    shutil.copytree(copied / "a" / "trials", copied / "b" / "trials")
    before = content(copied / "a" / "trials")
    words = (copied / "b.json", "--sweep-dir", copied / "b", "--resume")
    capsys.readouterr()
    sweep_here(*words, code=1)
    said = capsys.readouterr().out
    assert "optim.learning_rate was 0.01, is 0.02" in said
    assert table(copied / "b")[0]["state"] == "failed"
    kept = content(copied / "b" / "trials")
    assert {k: v for k, v in kept.items() if k in before} == before


def test_runs_of_other_bounds_are_not_these_runs(copied, capsys):
    """A run may be resumed to more steps, but half of one is no result."""
    space = write_space(
        copied,
        "b",
        **{
            "data.corpus": json.loads((copied / "b.json").read_text())["data.corpus"],
            "optim.learning_rate": RATES,
            "train.steps": 6,
        },
    )
    shutil.rmtree(copied / "b" / "trials" / "0000")
    assert "train.steps was 4, is 6" in refused(
        capsys, space, "--sweep-dir", copied / "b", "--resume"
    )


def test_another_text_under_the_same_path_is_refused(done, copied, capsys):
    text = done / "text.txt"
    before = content(copied / "a")
    words = (copied / "a.json", "--sweep-dir", copied / "a", "--resume")
    try:
        for changed in (LINES * 41, LINES.replace("cat", "cow") * 40):
            text.write_text(changed)
            said = refused(capsys, *words)
            assert "another text: its fingerprint was" in said
            assert content(copied / "a") == before
    finally:
        text.write_text(LINES * 40)
    sweep_here(*words)


def test_the_text_counts_and_not_its_path(done, copied):
    moved = shutil.copy(done / "text.txt", copied / "elsewhere.txt")
    space = write_space(copied, "a", **{"data.corpus": str(moved)})
    sweep_here(space, "--sweep-dir", copied / "a", "--resume")


def test_other_code_and_another_base_are_refused(copied, capsys, monkeypatch):
    words = (copied / "a.json", "--sweep-dir", copied / "a", "--resume")
    monkeypatch.setattr(session, "code", lambda: "3.11-other")
    assert "made by other code" in refused(capsys, *words)
    monkeypatch.undo()
    from experiments.configs import grammar
    from experiments.sweep import space_file

    changed = grammar.CONFIG.__class__(
        **{**vars(grammar.CONFIG), "optim": type(grammar.CONFIG.optim)(eps=1e-3)}
    )
    monkeypatch.setattr(space_file, "load_named", lambda name: changed)
    assert "optim.eps was" in refused(capsys, *words)


def test_a_folder_of_strangers_is_refused(tmp_path, capsys):
    space = write_space(tmp_path)
    for name, text in (("table.csv", "mine"), ("trials", None), ("notes.txt", "mine")):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        own = folder / name
        own.mkdir() if text is None else own.write_text(text)
        (folder / "more.txt").write_text("mine")
        before = content(folder)
        assert "other files" in refused(capsys, space, "--sweep-dir", folder)
        assert content(folder) == before
        assert not (folder / "study.db").exists()


def test_what_the_sweep_did_not_write_is_not_overwritten(copied, capsys):
    """Tables, page and figures, changed by hand or put there, and a link."""
    taken = copied / "a"
    words = (copied / "a.json", "--sweep-dir", taken, "--resume")
    own = (taken / "table.csv").read_bytes()
    (taken / "table.csv").write_bytes(b"mine")
    before = content(taken)
    said = refused(capsys, *words)
    assert str(taken / "table.csv") in said and "move it away" in said
    assert content(taken) == before
    (taken / "table.csv").write_bytes(own)
    for name in ("table.json", "sweep.html", "figures/parallel.png"):
        (taken / name).write_bytes((taken / name).read_bytes() + b"mine")
        with pytest.raises(RunError, match=f"{name} is not as this sweep wrote it"):
            refuse_strangers(taken, ["table.csv", name], read_mark(taken))
    target = copied / "mine"
    for name in ("figures", "trials", "workers", "study.db", "table.csv"):
        path = taken / name
        path.rename(target)
        path.symlink_to(target)
        with pytest.raises(RunError, match=f"{name} is a link"):
            look(taken)
        if name == "table.csv":
            assert "is a link" in refused(capsys, *words)
            assert target.read_bytes() == own
        path.unlink()
        target.rename(path)


def test_a_finished_sweep_is_taken_as_finished(copied, capsys):
    before = content(copied / "a" / "trials")
    sweep_here(copied / "a.json", "--sweep-dir", copied / "a", "--resume")
    assert "2 trials: 2 complete" in capsys.readouterr().out
    assert content(copied / "a" / "trials") == before


def test_a_file_where_a_folder_should_be(tmp_path):
    claim(tmp_path, Study())
    (tmp_path / "figures").write_text("mine")
    with pytest.raises(RunError, match="figures is a file where a sweep has a folder"):
        look(tmp_path)
    with pytest.raises(RunError, match="cannot be written"):
        write_own(tmp_path, {"figures/x.png": b"x"})
    assert (tmp_path / "figures").read_text() == "mine"


class Study:
    """As much of a study as a mark needs."""

    user_attrs = {"identity": "0"}
    study_name = "s"


def test_a_mark_has_to_be_a_mark(tmp_path):
    (tmp_path / MARK).write_text("[]")
    with pytest.raises(RunError, match="not a sweep's mark"):
        look(tmp_path)
    (tmp_path / MARK).write_text('{"format": "sweep-1"}')
    with pytest.raises(RunError, match="damaged"):
        look(tmp_path)
    (tmp_path / MARK).unlink()
    with pytest.raises(RunError, match="lost its mark"):
        write_own(tmp_path, {"table.csv": b"x"})


def test_all_files_are_written_or_none(tmp_path):
    claim(tmp_path, Study())
    write_own(tmp_path, {"table.csv": b"1", "table.json": b"2"})
    write_own(tmp_path, {"table.csv": b"3", "table.json": b"2"})
    (tmp_path / "table.json").write_bytes(b"mine")
    with pytest.raises(RunError, match="table.json is not as this sweep wrote it"):
        write_own(tmp_path, {"table.csv": b"4", "table.json": b"4"})
    assert (tmp_path / "table.csv").read_bytes() == b"3"


def test_another_programs_database_is_left_alone(tmp_path, capsys):
    path = tmp_path / "mine.db"
    for table_name in ("customers", "trials"):
        path.unlink(missing_ok=True)
        database = sqlite3.connect(path)
        database.execute(f"CREATE TABLE {table_name} (name TEXT)")
        database.close()
        before = path.read_bytes()
        url = f"sqlite:///{path}"
        said = refused(capsys, write_space(tmp_path), "--storage", url)
        assert "of another program" in said and path.read_bytes() == before


def test_the_row_of_a_ready_space_is_not_a_users(done, copied, capsys, monkeypatch):
    from experiments.sweep import results

    monkeypatch.setattr(results, "RESULTS", copied)
    monkeypatch.setattr("sys.argv", ["sweep", "mine/a.json"])
    row = {"command": "python -m experiments.sweep a --small"}
    (copied / "sweep_a.json").write_text(json.dumps(row))
    said = refused(
        capsys,
        copied / "a.json",
        "--sweep-dir",
        copied / "a",
        "--resume",
        "--record",
        "parallel",
    )
    assert "the row of another space, a" in said
    assert json.loads((copied / "sweep_a.json").read_text()) == row


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://127.0.0.1:9/db?user=me&password=s3cret",
        "postgresql://127.0.0.1:9/db?user=me&sslpassword=s3cret",
        "postgresql://127.0.0.1:9/db?user=me&pass%77ord=s3cret",
        "postgresql://me:s3cret",
        "postgresql://me:s3cret@127.0.0.1:9/db",
        "postgresql://me:x@s3cret@127.0.0.1:9/db",
        "postgresql://me:/s3cret@127.0.0.1:9/db",
        "postgresql://me:?s3cret@127.0.0.1:9/db",
        "postgresql://127.0.0.1:9/db;password=s3cret",
        "postgresql+psycopg://me:s3cret@127.0.0.1:9/db",
        "postgresql:me:s3cret@127.0.0.1/db",
        "host=127.0.0.1 password=s3cret",
        "mysql://me:s3cret@host/db",
        "mysql://host/db?password=s3cret",
        "journal:s3cret",
        "s3cret",
    ],
)
def test_no_password_is_ever_told(url, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(storage, "CONNECT_SECONDS", 2)
    said = refused(capsys, write_space(tmp_path), "--storage", url)
    assert "s3cret" not in said and "s3cret" not in hidden(url)
    assert "storage" in said


def test_a_url_is_shown_without_its_password():
    assert hidden("postgresql://me:s3@host:1/x") == "postgresql://me:***@host:1/x"
    assert hidden("postgresql://me@host/x") == "postgresql://me@host/x"
    assert hidden("sqlite:///x.db") == "sqlite:///x.db"


def test_every_connection_is_closed(tmp_path, monkeypatch):
    """As Python 3.13 would warn of: in the command and in its workers."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def kept(*args, **kwargs):
        opened.append(connect(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", kept)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", kept)
    rates = {"optim.learning_rate": {"choice": [0.01]}}
    sweep_here(write_space(tmp_path, **rates), "--sweep-dir", tmp_path / "s")
    (tmp_path / "broken.db").write_text("no database" * 100)
    with pytest.raises(RunError):
        with open_storage(f"sqlite:///{tmp_path}/broken.db"):
            pass
    assert len(opened) > 10
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.total_changes  # noqa: B018


@pytest.mark.parametrize("name", ["a b?c#d", "100%", "[2026] {x}", "q'\"&=+"])
def test_a_directory_may_have_any_name(tmp_path, name):
    url = f"sqlite:///{tmp_path / name}/s.db"
    (tmp_path / name).mkdir()
    with open_storage(url) as found:
        assert found.get_all_studies() == []
    assert [path.name for path in (tmp_path / name).iterdir()] == ["s.db"]


def test_no_cell_is_a_formula():
    for text in ("=1+1", "@SUM(A1)", "+1", "-1", "\t=1", "\r=1", " =1", "＝1"):
        assert sweep_rows.as_cell(text) == f"'{text}"
    for value in ("tanh", -0.5, 1e-3, True, "a=b"):
        assert sweep_rows.as_cell(value) == value
    assert sweep_rows.as_cell(None) == ""


def test_help_says_that_a_python_space_is_a_program(capsys):
    sweep_here("--help")
    assert "is a program, which is run" in " ".join(capsys.readouterr().out.split())

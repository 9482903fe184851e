"""Sweeps as real processes: interrupted, resumed; how trials end."""

from experiments.run.files import read_json
from tests.sweeps import Started, table, write_space


def test_ctrl_c_saves_and_resume_goes_on(tmp_path):
    paced = {"train.steps": 200, "train.eval_every": 100, "train.checkpoint_every": 20}
    rates = {"choice": [0.01, 0.1]}
    space = write_space(tmp_path, **{**paced, "optim.learning_rate": rates, "seeds": 1})
    sweep = Started(space, tmp_path / "sweep", "--workers", "1")
    _, run = sweep.busy_worker()
    sweep.interrupt()
    assert "the same command with --resume goes on" in sweep.wait(code=3)
    assert not (run / "summary.json").exists()
    assert not (tmp_path / "sweep" / "table.json").exists()
    Started(space, tmp_path / "sweep", "--workers", "1", "--resume").wait()
    rows = table(tmp_path / "sweep")
    assert [(row["trial"], row["state"]) for row in rows] == [
        (n, "complete") for n in range(2)
    ]
    assert [row["deaths"] for row in rows] == [0, 0], "being stopped is no death"
    assert len(read_json(run / "config.json")["resumed"]) == 1


def test_a_diverged_trial_is_a_result(tmp_path):
    """Its reason stands in the table and on the page; the sweep goes on."""
    space = write_space(
        tmp_path,
        **{
            "seeds": 1,
            "optim.optimizer": "sgd",
            "optim.clip": "none",
            "model.cell": "relu",
            "optim.learning_rate": {"choice": [0.01, 1e30]},
        },
    )
    said = Started(space, tmp_path / "sweep", "--workers", "1").wait()
    fine, diverged = table(tmp_path / "sweep")
    assert (fine["state"], diverged["state"]) == ("complete", "diverged")
    assert "not finite" in diverged["reason"] and "1 diverged" in said
    page = (tmp_path / "sweep" / "sweep.html").read_text()
    assert "diverged" in page and "<svg" in page

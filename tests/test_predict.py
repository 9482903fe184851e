"""What a run answers for new input: a language model, the score of each line."""

import json

import pytest

from experiments import predict
from experiments.applications.language_model.scoring import score_lines
from experiments.train.trained import load_trained
from tests.tiny_run import make_run

pytestmark = pytest.mark.usefixtures("compile_cache")


def test_a_record_for_every_line(tmp_path, capsys):
    run, lines = make_run(tmp_path), ["the cat sat .", "", "a dog ran off"]
    file = tmp_path / "input.txt"
    file.write_text("\n".join(lines) + "\n")
    predict.main(["--run", str(run), "--input", str(file), "--jsonl"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["text"] for record in found] == lines
    wanted = [-sentence.total for sentence in score_lines(load_trained(run), lines)]
    assert [r["log_probability"] for r in found] == pytest.approx(wanted, rel=1e-6)
    predict.main(["--run", str(run), "--input", str(file)])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3 and shown[0].endswith("the cat sat .")


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        predict.main(["--run", str(tmp_path)])
    assert left.value.code == 2 and "holds no run" in capsys.readouterr().err


def test_a_beam_is_refused_where_nothing_is_searched(tmp_path, capsys):
    run = make_run(tmp_path)
    for beam, words in (("4", "searches none"), ("0", "--beam is 0")):
        with pytest.raises(SystemExit) as left:
            predict.main(["--run", str(run), "--beam", beam])
        assert left.value.code == 2 and words in capsys.readouterr().err

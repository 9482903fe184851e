"""Sweeps over machines: one study in a real PostgreSQL server, workers killed.

A private server is started as an unprivileged user, from Debian's binaries or from
those on the path; without any the tests are skipped, and say so.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import optuna
import psycopg
import pytest

from experiments.run.files import RunError
from experiments.sweep import trials
from experiments.sweep.storage import open_storage
from tests.sweeps import Started, table, write_space


def binaries() -> Path | None:
    """The folder with initdb and postgres."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    found += [Path(on_path)] if on_path else []
    return found[-1].parent if found else None


def as_postgres(words: list[str]) -> list[str]:
    """The command, by a user who may start a server: initdb refuses root."""
    if os.getuid():
        return words
    return ["runuser", "-u", "postgres", "--", *words]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The URL of a private server's database."""
    folder = binaries()
    if folder is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    if os.getuid() == 0:
        try:
            owner = pwd.getpwnam("postgres").pw_uid
        except KeyError:
            pytest.skip("root may not start PostgreSQL, and there is no user postgres")
        data = Path("/tmp") / f"sweep-postgres-{os.getpid()}"
        data.mkdir()
        os.chown(data, owner, -1)
    else:
        data = tmp_path_factory.mktemp("postgres")
    port = free_port()
    options = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = [str(folder / "pg_ctl"), "-D", str(data / "db"), "-w", "-t", "120"]
    make = [str(folder / "initdb"), "-D", str(data / "db"), "-U", "me", "-A", "trust"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    subprocess.run(as_postgres(make), cwd=data, **quiet)
    start = [*control, "-l", str(data / "log"), "-o", options, "start"]
    subprocess.run(as_postgres(start), cwd=data, **quiet)
    try:
        yield f"postgresql://me:secret@127.0.0.1:{port}/postgres"
    finally:
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(as_postgres(stop), cwd=data, **quiet)
        shutil.rmtree(data, ignore_errors=True)


def test_two_machines_share_a_study_and_one_loses_a_worker(server, tmp_path):
    """Two sweeps with directories of their own, as on two machines without a shared
    file system; one has a worker killed. Four trials, each once."""
    paced = {"train.steps": 60, "train.eval_every": 30, "train.checkpoint_every": 10}
    rates = {"choice": [0.01, 0.02, 0.05, 0.1]}
    space = write_space(tmp_path, **{**paced, "optim.learning_rate": rates})
    options = ("--storage", server, "--study", "shared", "--workers", "1")
    machines = [Started(space, tmp_path / name, *options) for name in ("one", "two")]
    worker, _ = machines[0].busy_worker()
    os.kill(worker, signal.SIGKILL)
    for machine in machines:
        machine.wait()
    tables = [table(machine.sweep_dir) for machine in machines]
    for rows in tables:
        assert [(row["trial"], row["state"]) for row in rows] == [
            (number, "complete") for number in range(4)
        ]
        assert sum(row["deaths"] for row in rows) == 1
    assert [row["valid"] for row in tables[0]] == [row["valid"] for row in tables[1]]
    done = [list(m.sweep_dir.glob("trials/*/seed-0/summary.json")) for m in machines]
    assert len(done[0]) + len(done[1]) == 4, "no trial was trained to its end twice"
    assert all("secret" not in machine.logs() for machine in machines)


def test_a_database_that_is_not_there_is_one_line(server):
    began = time.monotonic()
    with pytest.raises(RunError, match='database "nowhere" does not exist') as error:
        with open_storage(server.replace("/postgres", "/nowhere")):
            pass
    assert "\n" not in str(error.value) and "secret" not in str(error.value)
    assert time.monotonic() - began < 15


def test_a_dead_workers_trial_is_known_by_its_heartbeat(server, tmp_path):
    with open_storage(server, 1, trials.again) as storage:
        study = optuna.create_study(study_name="heartbeat", storage=storage)
        study.enqueue_trial({}, user_attrs={"origin": 0})
        taken = trials.take(study, storage, tmp_path, lambda waiting: waiting)
        assert taken is not None
        trials.recover(study)
        assert not trials.all_trials(study, "WAITING")
        taken.release()
        limit = time.monotonic() + 60
        while not trials.all_trials(study, "WAITING") and time.monotonic() < limit:
            time.sleep(0.3)
            trials.recover(study)
        again = trials.all_trials(study, "WAITING")
        assert [trials.origin_of(trial) for trial in again] == [0]


def test_no_connection_is_left(server):
    def connections() -> int:
        with psycopg.connect(server, autocommit=True) as asking:
            ask = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'me'"
            found = asking.execute(ask).fetchone()
        return found[0] if found else 0

    before = connections()
    for _ in range(3):
        with open_storage(server) as storage:
            storage.get_all_studies()
    assert connections() == before

"""Batch inference on real local clusters of two workers: bits, a worker that is killed, copies."""

import os
import re
import subprocess
import sys
from pathlib import Path

import faults
import numpy as np
import pytest
import ray
from distributed import Client, LocalCluster

import infer_on_dask
import infer_on_ray
from calls import assert_same_bits
from clusters.inference import collect, infer, make_model, make_sequences

EXAMPLES = Path(__file__).parents[2] / "examples"
COUNT = 1000

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries


@pytest.fixture(scope="module")
def task():
    """A model, sequences, and the results of one process."""
    model, sequences = make_model(), make_sequences(COUNT)
    expected = infer({"number": np.arange(COUNT), "x": sequences}, model)["hidden"]
    return model, sequences, expected


@pytest.fixture(params=["none is killed", "one is killed"])
def is_killed(request, tmp_path, monkeypatch):
    """Whether a worker is killed: then the file that says so is not there yet."""
    marker = tmp_path / "killed"
    if request.param == "none is killed":
        marker.touch()
    monkeypatch.setenv(faults.KILLED, str(marker))
    yield request.param == "one is killed"
    assert marker.exists()


def judge(batches, task, is_killed):
    """Nothing is lost, nothing comes twice, all bits are right; each process had one model."""
    _, _, expected = task
    listed = list(batches)
    assert_same_bits([collect(listed, COUNT)], [expected])
    found = faults.models_by_process(listed)
    assert len(found) <= 2 + is_killed
    assert all(len(models) == 1 for models in found.values())


def test_ray(task, is_killed):
    model, sequences, _ = task
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    gate = faults.Gate.options(name="gate").remote()
    try:
        results = infer_on_ray.batches(sequences, model, 2, faults.InferenceWithItsModel)
        judge(results, task, is_killed)
    finally:
        del gate
        ray.shutdown()


def test_dask(task, is_killed):
    model, sequences, _ = task
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        results = infer_on_dask.batches(sequences, model, client, faults.with_its_model)
        judge(results, task, is_killed)


@pytest.mark.parametrize("program", ["infer_on_ray.py", "infer_on_dask.py"])
def test_the_examples_as_programs(program):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / program), "--sequences", "500"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    assert "the same bits as one process" in done.stdout
    assert re.search(r"100%\|.* 500/500 ", done.stderr)


def test_a_sequence_that_comes_twice_is_noticed(task):
    _, _, expected = task
    once = {"number": np.arange(COUNT), "hidden": expected}
    twice = {"number": np.array([7]), "hidden": expected[7:8]}
    with pytest.raises(RuntimeError, match="0 of them never and 1 several times"):
        collect([once, twice], COUNT)
    with pytest.raises(RuntimeError, match="999 of them never"):
        collect([twice], COUNT)

"""What workers do in the tests: one is killed, and all say which model they hold."""

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import ray

from clusters.inference import infer
from infer_on_ray import Inference

# A file that is there once a worker has been killed.
KILLED = "KILLED"


def kill_this_process_once(batch, number):
    """With the batch that has this sequence, after the work and before its result is returned."""
    if number in batch["number"]:
        try:
            Path(os.environ[KILLED]).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def with_its_model(batch, model):
    """A batch's results, with the process and the model in it that computed them."""
    result = infer(batch, model)
    kill_this_process_once(batch, 300)
    count = len(batch["number"])
    return {
        **result,
        "pid": np.full(count, os.getpid()),
        "model": np.full(count, id(model.packed)),
    }


@ray.remote(num_cpus=0)
class Gate:
    """Opens when two have come."""

    def __init__(self):
        self._missing = 2
        self._open = asyncio.Event()

    async def come(self):
        self._missing -= 1
        if self._missing <= 0:
            self._open.set()
        await self._open.wait()


class InferenceWithItsModel(Inference):
    """None begins before both workers are there."""

    def __init__(self, models):
        super().__init__(models)
        ray.get(Gate.options(name="gate", get_if_exists=True).remote().come.remote())

    def __call__(self, batch):
        return with_its_model(batch, self._model)


def models_by_process(batches):
    """Which models the batches of each process were computed with."""
    found = {}
    for batch in batches:
        pairs = zip(batch["pid"].tolist(), batch["model"].tolist(), strict=True)
        for pid, model in pairs:
            found.setdefault(pid, set()).add(model)
    return found

"""The soak's clients: they do all that they are to do, and notice a wrong bit."""

import dataclasses
import threading

import numpy as np
import pytest

import lstm_native
from bench.measure.scheduling import Scheduling, seconds_kept, waits_of_threads
from bench.measure.soak_clients import Client, Tapes


@pytest.fixture(scope="module")
def tapes():
    return Tapes.stored_in(None)


def clients_of(tapes, count):
    shared = {None: (lstm_native.Sessions(tapes.packed, 16 * count), tapes)}
    return [Client(shared, seed) for seed in range(count)]


def act(clients, times):
    """Each in a thread, all at once."""

    def work(client):
        for _ in range(times):
            client.act()

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_clients_step_and_make_mistakes_without_a_wrong_answer(tapes):
    clients = clients_of(tapes, 4)
    act(clients, 300)
    for client in clients:
        assert client.counts.acts == 300
        assert client.counts.steps > 0
        assert client.counts.wrong_calls > 0
        assert client.counts.wrong_answers == 0


def test_a_wrong_bit_is_noticed(tapes):
    hidden = tapes.hidden.copy()
    hidden.view("u4")[...] ^= 1
    clients = clients_of(dataclasses.replace(tapes, hidden=hidden), 1)
    act(clients, 100)
    assert clients[0].counts.wrong_answers > 0


def test_what_the_kernel_explains_of_an_interval():
    looks = np.array([(1.0, 0.0), (2.0, 0.5), (3.0, 3.0), (4.0, 3.5)])
    late = [(9.0, 10.0)]
    assert seconds_kept(looks, late, 2.5, 2.6) == 2.5  # of the looks before and after
    assert seconds_kept(looks, late, 2.5, 3.5) == 3.0
    assert seconds_kept(looks, late, 9.5, 11.0) == 0.5
    assert seconds_kept(looks[:0], [], 0.0, 1.0) == 0.0


def test_the_control_ends_with_its_watcher():
    with Scheduling() as scheduling:
        assert waits_of_threads() >= 0.0
    assert scheduling._control.returncode == 0

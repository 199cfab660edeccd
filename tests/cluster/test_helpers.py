"""Idle workers help to embed units."""

from types import SimpleNamespace

from gpuclust.cell import Unit
from gpuclust.cluster.helpers import Helpers

A, B = (Unit(name, "all", "raw", "own", ()) for name in ("a", "b"))
WORKERS = {f"tcp://{name}:1": {"resources": {}} for name in "xyz"}


class Client:
    """Client to record submitted units."""

    def __init__(self):
        self.units, self.futures, self.cancelled = [], [], []

    def submit(self, task, unit, *, pure, priority, resources):
        assert (pure, priority, resources) == (False, -1, None)
        self.units.append(unit)
        self.futures.append(SimpleNamespace(is_done=False))
        self.futures[-1].done = lambda future=self.futures[-1]: future.is_done
        return self.futures[-1]

    def cancel(self, futures):
        self.cancelled += futures


def embedding(unit, done, total=10):
    return {"event": "embedding", "unit": str(unit), "done": done, "total": total}


def test_idle_workers_get_the_units_that_are_being_embedded():
    helpers, client = Helpers(), Client()
    helpers.submit(client, print, [A], WORKERS)
    assert client.units == []  # nothing is known of A
    helpers.hear(embedding(A, 3))
    helpers.submit(client, print, [A], WORKERS)
    assert client.units == [A, A]
    helpers.submit(client, print, [A], WORKERS)
    assert len(client.units) == 2  # no worker is idle
    client.futures[0].is_done = True
    helpers.submit(client, print, [A], WORKERS)
    assert len(client.units) == 3
    helpers.cancel(client)
    assert len(client.cancelled) == 2


def test_workers_with_units_of_their_own_do_not_help():
    helpers, client = Helpers(), Client()
    helpers.hear(embedding(A, 3))
    helpers.submit(client, print, [A, B, B], WORKERS)
    assert client.units == []


def test_a_unit_that_is_embedded_needs_no_help():
    helpers, client = Helpers(), Client()
    for event in (embedding(A, 10), {"event": "stage", "unit": str(A), "what": "kmeans"}):
        helpers.hear(embedding(A, 3))
        helpers.hear(event)
        helpers.submit(client, print, [A], WORKERS)
    assert client.units == []

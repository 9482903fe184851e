"""Batches fetched ahead: always the one that is asked for, and not too many."""

import threading

import pytest

from experiments.train.ahead import Ahead


def following(place: int) -> int:
    return place + 1


def test_what_is_asked_for_comes_whatever_was_guessed():
    with Ahead(lambda place: 10 * place, following) as batches:
        for place in (0, 1, 2, 7, 8, 3, 3, 0):
            assert batches[place] == 10 * place


def test_an_error_is_raised_at_its_place_alone():
    def fetch(place):
        if place == 2:
            raise RuntimeError("no more")
        return place

    with Ahead(fetch, following) as batches:
        assert [batches[0], batches[1]] == [0, 1]
        with pytest.raises(RuntimeError, match="no more"):
            batches[2]
        assert batches[3] == 3


def test_it_does_not_run_away_and_leaves_no_thread():
    made, before = [], threading.active_count()

    def fetch(place):
        made.append(place)
        return place

    with Ahead(fetch, following, ahead=2) as batches:
        assert [batches[place] for place in range(3)] == [0, 1, 2]
    assert made == list(range(len(made))) and 3 <= len(made) <= 5
    assert threading.active_count() == before

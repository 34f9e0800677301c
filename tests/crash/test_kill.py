"""`kill -9` while eight clients upload: what was answered is there, and nothing else is."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.builders import a_wheel
from tests.crash.harness import (
    ANSWER_SECONDS_MAX,
    Sent,
    client_of,
    init,
    journal_violations,
    restarted,
    violations,
)
from tests.server import RunningServer

INDEX = "root/local"
CLIENTS = 8
ROUNDS = 5
ANSWERS_MAX = 60
"""The server is killed after so many answers, or fewer."""

MORE_SEEDS = [pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 21)]


@pytest.mark.parametrize("seed", [0, *MORE_SEEDS])
def test_nothing_is_lost_and_nothing_is_half_there_after_kill_9(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    data = tmp_path / "data"
    init(data)
    broken: list[str] = []
    sent: list[Sent] = []
    for round_number in range(ROUNDS):
        with restarted(data, broken) as server:
            broken += violations(server, sent)
            sent += upload_until_killed(server, round_number, chance.randint(1, ANSWERS_MAX))
    with restarted(data, broken) as server, client_of(server) as client:
        broken += violations(server, sent) + journal_violations(server, sent)
        sent.append(client.upload(INDEX, a_wheel("afterwards")))
        broken += violations(server, sent) + journal_violations(server, sent)
    assert broken == []
    assert sum(each.is_promised for each in sent) > ROUNDS
    assert sum(not each.is_promised for each in sent) >= ROUNDS


def upload_until_killed(server: RunningServer, round_number: int, answers: int) -> list[Sent]:
    """Let eight clients upload at once, and kill the server at the given number of answers."""
    answered: SimpleQueue[Sent] = SimpleQueue()
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [
            threads.submit(upload_on, server, f"load-{number}", round_number, answered)
            for number in range(CLIENTS)
        ]
        try:
            for _ in range(answers):
                answered.get(timeout=ANSWER_SECONDS_MAX)
        finally:
            server.kill()
    return [each for client in clients for each in client.result()]


def upload_on(
    server: RunningServer, project: str, round_number: int, answered: "SimpleQueue[Sent]"
) -> list[Sent]:
    """Upload release after release until nobody answers."""
    sent = []
    with client_of(server) as client:
        for number in count():
            sent.append(client.upload(INDEX, a_wheel(project, f"{round_number}.{number}")))
            if sent[-1].status is None:
                break
            answered.put(sent[-1])
    return sent

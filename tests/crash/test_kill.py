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
from tests.crash.tally import Harm, Tally, tally_of
from tests.server import RunningServer

INDEX = "root/local"
CLIENTS = 8
ROUNDS = 5
ANSWERS_MAX = 60
"""The server is killed after so many answers, or fewer."""

DEATHS = 100
ANSWERS_IN_ALL = 2_000

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
            sent += upload_until_killed(server, INDEX, round_number, chance.randint(1, ANSWERS_MAX))
    with restarted(data, broken) as server, client_of(server) as client:
        broken += violations(server, sent) + journal_violations(server, sent)
        sent.append(client.upload(INDEX, a_wheel("afterwards")))
        broken += violations(server, sent) + journal_violations(server, sent)
    assert broken == []
    assert sum(each.is_promised for each in sent) > ROUNDS
    assert sum(not each.is_promised for each in sent) >= ROUNDS


@pytest.mark.full
def test_a_hundred_deaths_lose_none_of_two_thousand_uploads(tmp_path: Path) -> None:
    chance = random.Random(2000)
    tally = tally_of("8 clients upload (points: answered)")
    data = tmp_path / "data"
    init(data)
    sent: list[Sent] = []
    last: list[Sent] = []
    broken: list[str] = []
    for death in range(DEATHS):
        index = f"root/death-{death}"
        with restarted(data, broken) as server:
            broken += violations(server, last)
            with client_of(server) as client:
                client.make_index(index)
            answers = chance.randint(10, 2 * ANSWERS_IN_ALL // DEATHS)
            last = upload_until_killed(server, index, death, answers)
        sent += last
        tally.kills += 1
        judge(tally, broken)
        broken.clear()
    with restarted(data, broken) as server, client_of(server) as client:
        broken += violations(server, sent) + journal_violations(server, sent)
        sent.append(client.upload(f"root/death-{DEATHS - 1}", a_wheel("afterwards")))
        if not sent[-1].is_promised:
            broken.append(f"{sent[-1].built.filename} was refused with {sent[-1].status}")
    judge(tally, broken)
    tally.points = sum(each.is_promised for each in sent)
    assert tally.lines() == []
    assert tally.points >= ANSWERS_IN_ALL


def judge(tally: Tally, broken: list[str]) -> None:
    """Sort what is broken by the harm that it is."""
    for line in broken:
        if "is lost" in line:
            harm = Harm.LOST
        elif "left over" in line or "without a record" in line:
            harm = Harm.LEFT_OVER
        else:
            harm = Harm.WEDGED if "restart" in line or "refused" in line else Harm.HALF_VISIBLE
        tally.add(harm, [line])


def upload_until_killed(
    server: RunningServer, index: str, round_number: int, answers: int
) -> list[Sent]:
    """Let eight clients upload at once, and kill the server at the given number of answers."""
    answered: SimpleQueue[Sent] = SimpleQueue()
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [
            threads.submit(upload_on, server, index, f"load-{number}", round_number, answered)
            for number in range(CLIENTS)
        ]
        try:
            for _ in range(answers):
                answered.get(timeout=ANSWER_SECONDS_MAX)
        finally:
            server.kill()
    return [each for client in clients for each in client.result()]


def upload_on(
    server: RunningServer,
    index: str,
    project: str,
    round_number: int,
    answered: "SimpleQueue[Sent]",
) -> list[Sent]:
    """Upload release after release until nobody answers."""
    sent = []
    with client_of(server) as client:
        for number in count():
            sent.append(client.upload(index, a_wheel(project, f"{round_number}.{number}")))
            if sent[-1].status is None:
                break
            answered.put(sent[-1])
    return sent

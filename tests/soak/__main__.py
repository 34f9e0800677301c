"""The soak test: clients with a mixed load for half an hour, every answer checked.

    python -m tests.soak [--minutes 30] [--warm-up-minutes 5] [--clients 8] [--seed 0]

Exit code 1 if anything was wrong; the server directory is then kept.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.run import Plan, soak
from tests.soak.sampling import can_see_processes
from tests.soak.verdict import table, verdict


def main(arguments: list[str]) -> int:
    """Run it, print what came out; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--warm-up-minutes", type=float, help="default: a sixth of the minutes")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    warm_up_minutes = asked.warm_up_minutes
    plan = Plan(
        seconds=60 * asked.minutes,
        warm_up_seconds=60 * (asked.minutes / 6 if warm_up_minutes is None else warm_up_minutes),
        clients=asked.clients,
        seed=asked.seed,
    )
    if not can_see_processes():
        print("no /proc on this system: memory and open files of the server are not sampled")
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"{plan.clients} clients, {asked.minutes:g} minutes, seed {plan.seed}, in {folder}")
    outcome = soak(plan, folder)
    print(table(outcome))
    findings = verdict(outcome)
    for finding in findings:
        print(f"FAILED: {finding}")
    if findings:
        print(f"The server's directory and log are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    print("All answers were right; nothing grew, nothing was left over.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

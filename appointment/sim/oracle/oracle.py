"""oracle.py RUNS < scenarios.json > figures.json: plays sessions in Ciw and in SimPy.

A scenario is {"name", "planned", "visits": [{"at", "no_show", "pmf"}], "early": [mean, sd] or null,
"late": [mean, sd] or null}: one doctor, patients served in the order they come, whole minutes of
service drawn from pmf. The answer holds for each scenario and simulator the mean and the standard
error of wait, idle and overtime, in minutes a session. Nothing here is shared with the simulator in
Go but the meaning of these words.
"""
import itertools
import json
import math
import random
import sys

import ciw
import simpy

# The clocks of both simulators begin so many minutes before the session, so that patients can be early.
LEAD = 240


def draw(scenario, rng):
    """Gives (arrival, appointment, service) of those who come, in order of arrival, and the doctor's coming."""
    out = []
    for visit in scenario["visits"]:
        service = rng.choices(range(len(visit["pmf"])), cum_weights=visit["cum"])[0]
        early = rng.gauss(*scenario["early"]) if scenario["early"] else 0
        if rng.random() >= visit["no_show"]:
            out.append((max(-LEAD + 1, visit["at"] + early), visit["at"], service))
    out.sort(key=lambda v: v[0])  # stable: those who come at once keep the order of the list
    late = max(0.0, rng.gauss(*scenario["late"])) if scenario["late"] else 0.0
    return out, late


def play_ciw(visits, late):
    """Gives the start of each visit."""
    gaps, clock = [], 0.0
    for arrival, _, _ in visits:
        gaps.append(arrival + LEAD - clock)
        clock = arrival + LEAD
    # The first customer is the doctor's absence.
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([0.0] + gaps + [math.inf])],
        service_distributions=[ciw.dists.Sequential([LEAD + late] + [v[2] for v in visits] + [1.0])],
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(visits) + 1, method="Finish")
    records = sorted(simulation.get_all_records(), key=lambda r: r.id_number)
    return [r.service_start_date - LEAD for r in records[1 : len(visits) + 1]]


def play_simpy(visits, late):
    """Gives the start of each visit."""
    env = simpy.Environment()
    doctor = simpy.Resource(env, capacity=1)
    starts = [0.0] * len(visits)

    def customer(arrival, service, index):
        yield env.timeout(arrival + LEAD)
        with doctor.request() as turn:
            yield turn
            if index >= 0:
                starts[index] = env.now - LEAD
            yield env.timeout(service)

    env.process(customer(-LEAD, LEAD + late, -1))
    for i, (arrival, _, service) in enumerate(visits):
        env.process(customer(arrival, service, i))
    env.run()
    return starts


def totals(scenario, visits, starts):
    wait = sum(max(0.0, s - max(arrival, at)) for s, (arrival, at, _) in zip(starts, visits))
    busy = sum(v[2] for v in visits)
    end = max((s + v[2] for s, v in zip(starts, visits)), default=0.0)
    overtime = max(0.0, end - scenario["planned"])
    return wait, scenario["planned"] + overtime - busy, overtime


def estimate(values):
    n = len(values)
    mean = sum(values) / n
    return {"mean": mean, "se": math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)}


def main():
    runs = int(sys.argv[1])
    figures = []
    for scenario in json.load(sys.stdin):
        for visit in scenario["visits"]:
            visit["cum"] = list(itertools.accumulate(visit["pmf"]))
        for name, play in (("ciw", play_ciw), ("simpy", play_simpy)):
            rng = random.Random(f"{scenario['name']} {name}")
            days = []
            for _ in range(runs):
                visits, late = draw(scenario, rng)
                days.append(totals(scenario, visits, play(visits, late)))
            wait, idle, overtime = (estimate(list(column)) for column in zip(*days))
            figures.append({"scenario": scenario["name"], "simulator": name, "wait": wait, "idle": idle, "overtime": overtime})
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()

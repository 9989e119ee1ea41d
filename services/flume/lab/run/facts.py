"""What a report says of the run itself: where it ran, and what was played."""

import msgspec

from flume.lab.hosts.site import Site
from flume.lab.run import collect
from flume.lab.run.fleet import Fleet
from flume.lab.run.scenario import timetable
from flume.lab.run.spec import RunSpec
from flume.lab.trial.verdict import RunFacts


def run_facts(run: str, site: Site, spec: RunSpec, fleet: Fleet, *, video: str) -> RunFacts:
    """Return the facts of *run* of *spec* on *site*, of which *fleet* had the containers; *video*: the file's name."""
    scenario = spec.scenario
    events = timetable(scenario, clients=spec.clients).events
    return RunFacts(
        run=run,
        engine=msgspec.to_builtins(site.server.engine.info),
        hosts=collect.hosts_of_taps(fleet),
        scenario={
            "name": scenario.name,
            "description": scenario.description,
            "duration_s": scenario.duration_s,
            "clients": spec.clients,
            "video": video,
            **({"events": "; ".join(map(str, events))} if events else {}),
            **{key: value for key, value in spec.client_options._asdict().items() if value is not None},
        },
    )

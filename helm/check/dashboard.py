"""Looks at a Grafana dashboard: `dashboard.py FILE RULES`, where RULES is written for promtool.

That its queries name metrics that there are is a test of the program (tests/it/watching.rs).
"""

import json
import sys

WIDTH = 24
# What Grafana puts into a query before Prometheus sees it.
FILLED = {"$__rate_interval": "1m", "$job": ".*"}


def faults(dashboard):
    panels = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    if len(set(ids)) != len(ids):
        yield "two panels have the same id"
    taken = set()
    for panel in panels:
        place, title = panel["gridPos"], panel["title"]
        if place["x"] + place["w"] > WIDTH:
            yield f"{title} reaches over the edge"
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        if cells & taken:
            yield f"{title} lies on another panel"
        taken |= cells
        if panel["type"] == "row":
            continue
        if not panel.get("targets"):
            yield f"{title} asks nothing"
        for target in panel.get("targets", []):
            if target["datasource"]["uid"] != "${datasource}":
                yield f"{title} is bound to somebody's own data source"
            if 'job=~"$job"' not in target["expr"]:
                yield f"{title} does not keep to the chosen deployment"
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{title} has no unit"
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    if names != ["datasource", "job"]:
        yield f"the variables are {names}"
    for own in ("id", "gnetId", "__inputs"):
        if own in dashboard:
            yield f"{own} belongs to the Grafana that it came from"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        dashboard = json.load(file)
    rules = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in FILLED.items():
                query = query.replace(name, value)
            rules.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": query})
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
    problems = list(faults(dashboard))
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

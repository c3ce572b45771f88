"""What .ci/prometheus needs beside promtool: OpenMetrics read strictly, and as older text; dashboards by Grafana's own SDK.

    metrics.py openmetrics FILE…      fails unless each parses
    metrics.py text FILE              the same as promtool's linter reads it
    metrics.py queries DASHBOARD…     all expressions as a file of recording rules
    metrics.py dashboards DASHBOARD…  fails unless each is what the SDK knows, and nothing else
    metrics.py provisioning FILE…     fails unless each has what Grafana asks for
"""

import json
import pathlib
import re
import sys

import yaml


def openmetrics(paths):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    for path in paths:
        families = list(text_string_to_metric_families(pathlib.Path(path).read_text()))
        names = [family.name for family in families]
        assert len(names) > 30, f"{path}: {len(names)} families"
        assert len(names) == len(set(names)), f"{path}: a family twice"
        assert all(family.documentation for family in families), f"{path}: a family without help"
        print(f"{path}: {len(names)} families, {sum(len(f.samples) for f in families)} samples")


def text(path):
    lines = pathlib.Path(path).read_text().splitlines()
    counters = {l.split()[2] for l in lines if re.match(r"# TYPE \S+ counter$", l)}
    for line in lines:
        words = line.split(" ", 3)
        if line == "# EOF":
            continue
        if words[0] == "#" and words[2] in counters:
            words[2] += "_total"
            line = " ".join(words)
        print(line)


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries(paths):
    rules = []
    for path in paths:
        dashboard = json.loads(pathlib.Path(path).read_text())
        found = [target["expr"] for panel in panels(dashboard) for target in panel.get("targets", [])]
        found += [own["expr"] for own in dashboard["annotations"]["list"] if "expr" in own]
        assert len(found) > 10, path
        for expr in found:
            expr = expr.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
            assert "$" not in expr, f"{path}: {expr}"
            rules.append({"record": f"checked:expression{len(rules)}", "expr": expr})
    yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}, sys.stdout)


def missing(given, known, path=""):
    """What is in `given` and not, or not so, in `known`."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if value is None or value == [] or value == {}:
                continue  # The SDK leaves out what is empty.
            if name not in known:
                yield f"{path}/{name}"
            else:
                yield from missing(value, known[name], f"{path}/{name}")
    elif isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        for number, (one, other) in enumerate(zip(given, known)):
            yield from missing(one, other, f"{path}/{number}")
    elif given != known:
        yield f"{path}: {given!r} became {known!r}"


def dashboards(paths):
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    uids = set()
    for path in paths:
        given = json.loads(pathlib.Path(path).read_text())
        known = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(given)))
        lost = list(missing(given, known))
        assert not lost, f"{path}: Grafana's schema does not know {lost}"
        uids.add(given["uid"])
        ids = [panel["id"] for panel in panels(given)]
        assert len(ids) == len(set(ids)), f"{path}: a panel's id twice"
        taken = set()
        for panel in panels(given):
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            assert place["x"] + place["w"] <= 24 and not cells & taken, f"{path}: {panel['title']} lies on another"
            taken |= cells
            if panel["type"] == "row":
                continue
            assert panel["description"], f"{path}: {panel['title']} says not what it is"
            assert panel["fieldConfig"]["defaults"]["unit"], f"{path}: {panel['title']} has no unit"
            assert all(target["legendFormat"] for target in panel["targets"]), f"{path}: {panel['title']} has no legend"
        print(f"{path}: {len(ids)} panels")
    assert len(uids) == len(paths), "two dashboards have one uid"


def provisioning(paths):
    for path in paths:
        found = yaml.safe_load(pathlib.Path(path).read_text())
        assert found["apiVersion"] == 1, path
        for source in found.get("datasources", []):
            assert {"name", "type", "access", "url"} <= source.keys(), path
        for provider in found.get("providers", []):
            assert provider["type"] == "file" and provider["options"]["path"], path
        assert found.get("datasources") or found.get("providers"), path


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    if what == "text":
        text(paths[0])
    else:
        {"openmetrics": openmetrics, "queries": queries, "dashboards": dashboards, "provisioning": provisioning}[what](paths)

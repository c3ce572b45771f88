"""Compares a lake with the FHIR examples that were published to it: nothing is missing, and rows say what the JSON says.

It reads the JSON by element names written down here, not by the decoder's table.
"""
import calendar
import collections
import datetime
import json
import os
import re
import sys

import deltalake
import duckdb

folder, lake, refused_file = sys.argv[1:]
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
problems = []


def check(fine, words):
    if not fine:
        problems.append(words)


def table(name, columns=None):
    return deltalake.DeltaTable(os.path.join(lake, name)).to_pyarrow_dataset().to_table(columns).to_pylist()


def entries_of(resource):
    return resource.get("entry") if resource.get("resourceType") == "Bundle" else None


def inside(entry):
    """The types of the rows that an entry becomes: a Bundle within a Bundle is opened, too."""
    resource = entry.get("resource")
    if not resource:
        return ["entries without a resource"]
    inner = entries_of(resource)
    return [kind for entry in inner for kind in inside(entry)] if inner else [resource["resourceType"]]


# 1. Every message is in the tables or a dead letter, and every resource has a row.
refused = {line.split(": ", 1)[1].rsplit(" (", 1)[0] for line in open(refused_file) if line.startswith("set aside, ")}
texts = {}
for name in sorted(os.listdir(folder)):
    if name.endswith(".json") and name not in refused:
        texts[name] = open(os.path.join(folder, name), encoding="utf-8-sig").read().strip()
events, readings = table("ehr_events"), table("readings")
dead = table("dead_letters", ["source_offset", "reason_code", "payload"])
offsets = {row["source_offset"] for row in events} | {row["source_offset"] for row in dead}
check(offsets == set(range(len(texts))), f"{len(texts)} messages were published, {len(offsets)} are in the tables")

wanted, letters, single = collections.Counter(), 0, {}
for name, text in texts.items():
    resource = json.loads(text)
    entries = entries_of(resource)
    if entries:
        wanted.update(kind for entry in entries for kind in inside(entry))
    elif "resourceType" in resource:
        wanted[resource["resourceType"]] += 1
        single[name] = resource if len(text) < 100_000 else None
    else:
        letters += 1
found = collections.Counter()
for row in events:
    found[row["resource_type"] if '"resourceType"' in row["resource"] else "entries without a resource"] += 1
for kind in sorted(wanted.keys() | found.keys()):
    check(wanted[kind] == found[kind], f"{kind}: {wanted[kind]} were published, {found[kind]} have a row")
reasons = collections.Counter(row["reason_code"] for row in dead)
check(len(dead) == letters, f"{letters} files are no FHIR, {len(dead)} messages are dead letters")
print(f"{len(texts)} messages, {len(refused)} files too large; {len(events)} rows of {len(found)} types, dead letters: {dict(reasons)}")
print("rows by type:", ", ".join(f"{kind} {count}" for kind, count in sorted(found.items())))


# 2. Rows say what the JSON says.
def interval(text):
    """First and last moment of a date or time; the last of a moment is none."""
    parts = [int(part) for part in text.split("-")] if len(text) <= 10 else None
    if parts is None:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC), None
    first = datetime.datetime(parts[0], parts[1] if len(parts) > 1 else 1, parts[2] if len(parts) > 2 else 1, tzinfo=UTC)
    days = {1: 366 if calendar.isleap(parts[0]) else 365, 2: calendar.monthrange(*parts[:2])[1] if len(parts) > 1 else 0, 3: 1}
    return first, first + datetime.timedelta(days=days[len(parts)]) - datetime.timedelta(microseconds=1)


def times(resource, *names):
    """Start and end by the first of these elements that is there."""
    for name in names:
        value = resource.get(name)
        if isinstance(value, str):
            return interval(value)
        if isinstance(value, dict) and ("start" in value or "end" in value):
            start = interval(value["start"])[0] if "start" in value else None
            end = interval(value["end"]) if "end" in value else (None, None)
            return start, end[1] or end[0]
    return None, None


def concept(value):
    """System, code and display of a concept: LOINC's if it is among them."""
    value = value[0] if isinstance(value, list) and value else value or {}
    codings = value.get("coding", [])
    codings = [c for c in codings if c.get("system") == LOINC and "code" in c] or [c for c in codings if "code" in c] or codings
    best = codings[0] if codings else {}
    return best.get("system"), best.get("code"), best.get("display") or value.get("text")


def medication(resource):
    if "medicationCodeableConcept" in resource:
        return concept(resource["medicationCodeableConcept"])
    reference = resource.get("medicationReference", {})
    for inner in resource.get("contained", []):
        if reference.get("reference") == "#" + inner["id"]:
            system, code, display = concept(inner.get("code"))
            return system, code, display or reference.get("display")
    return None, None, reference.get("display")


def unit(quantity):
    return (quantity.get("code") if quantity.get("system") == UCUM else None) or quantity.get("unit") or quantity.get("code")


def quantity(value):
    value = value or {}
    return {"value": value.get("value"), "unit": unit(value), "comparator": value.get("comparator"), "value_text": None}


def observed(element):
    if "valueQuantity" in element:
        return quantity(element["valueQuantity"])
    empty = {"value": None, "unit": None, "comparator": None, "value_text": None}
    if "valueInteger" in element:
        return empty | {"value": element["valueInteger"]}
    if "valueCodeableConcept" in element:
        _, code, display = concept(element["valueCodeableConcept"])
        return empty | {"value_text": element["valueCodeableConcept"].get("text") or display or code}
    if "valueBoolean" in element:
        return empty | {"value_text": str(element["valueBoolean"]).lower()}
    for name in ("valueString", "valueDateTime", "valueTime"):
        if name in element:
            return empty | {"value_text": element[name]}
    # Ranges, ratios, periods and samples have tests of their own.
    return {} if any(name.startswith("value") for name in element) else empty


def dose(resource, path):
    for name in path:
        resource = resource.get(name) or {}
        resource = resource[0] if isinstance(resource, list) else resource
    return quantity(resource)


def prescribed(resource):
    first = (resource.get("dosageInstruction") or [{}])[0]
    rates = first.get("doseAndRate") or [{}]
    if "doseRange" in rates[0]:
        low, high = rates[0]["doseRange"]["low"], rates[0]["doseRange"]["high"]
        return {"value": None, "unit": unit(low), "value_low": low["value"], "value_high": high["value"], "value_text": f"{low['value']}..{high['value']} {unit(low)}"}
    return dose(resource, ["dosageInstruction", "doseAndRate", "doseQuantity"])


def until(resource, name):
    """The end by an element of its own, if there is one."""
    if name not in resource:
        return {}
    first, last = interval(resource[name])
    return {"effective_end": last or first}


def plain(concept_):
    return ((concept_ or {}).get("coding") or [{}])[0].get("code")


def sure(resource):
    clinical, sure = plain(resource.get("clinicalStatus")), plain(resource.get("verificationStatus"))
    return {"status": sure if sure == "entered-in-error" else clinical, "verification_status": sure}


def of(resource, code, starts, recorded=None, values=None, **more):
    system, code, display = code
    start, end = times(resource, *starts)
    row = {"status": resource.get("status"), "code_system": system, "code": code, "code_display": display, "effective_start": start, "effective_end": end}
    row["recorded_ts"] = times(resource, recorded)[0] if recorded else None
    return row | (values or {}) | more


KINDS = {
    "AllergyIntolerance": lambda r: of(r, concept(r.get("code")), ["onsetDateTime", "onsetPeriod"], "recordedDate", **sure(r)),
    "CarePlan": lambda r: of(r, concept(r.get("category")), ["period"], "created"),
    "ClinicalImpression": lambda r: of(r, concept(r.get("code")), ["effectiveDateTime", "effectivePeriod"], "date"),
    "Communication": lambda r: of(r, concept(r.get("topic")), ["sent"]) | {"effective_end": times(r, "received")[0]},
    "Composition": lambda r: of(r, concept(r.get("type")), ["date"], "date"),
    "Condition": lambda r: of(r, concept(r.get("code")), ["onsetDateTime", "onsetPeriod"], "recordedDate", **sure(r)) | until(r, "abatementDateTime"),
    "Consent": lambda r: of(r, concept(r.get("scope")), [], "dateTime"),
    "DetectedIssue": lambda r: of(r, concept(r.get("code")), ["identifiedDateTime", "identifiedPeriod"], "identifiedDateTime"),
    "DiagnosticReport": lambda r: of(r, concept(r.get("code")), ["effectiveDateTime", "effectivePeriod"], "issued", {"value_text": r.get("conclusion")}),
    "Encounter": lambda r: of(r, (r["class"].get("system"), r["class"].get("code"), r["class"].get("display")), ["period"]),
    "Flag": lambda r: of(r, concept(r.get("code")), ["period"]),
    "ImagingStudy": lambda r: of(r, (None, None, None), ["started"]),
    "Immunization": lambda r: of(r, concept(r.get("vaccineCode")), ["occurrenceDateTime"], "recorded", quantity(r.get("doseQuantity"))),
    "List": lambda r: of(r, concept(r.get("code")), ["date"], "date"),
    "MedicationAdministration": lambda r: of(r, medication(r), ["effectiveDateTime", "effectivePeriod"], None, dose(r, ["dosage", "dose"]) if "dose" in r.get("dosage", {}) else {}),
    "MedicationDispense": lambda r: of(r, medication(r), ["whenHandedOver", "whenPrepared"], "whenPrepared", quantity(r.get("quantity"))),
    "MedicationRequest": lambda r: of(r, medication(r), ["authoredOn"], "authoredOn", prescribed(r)),
    "MedicationStatement": lambda r: of(r, medication(r), ["effectiveDateTime", "effectivePeriod"], "dateAsserted"),
    "Observation": lambda r: of(r, concept(r.get("code")), ["effectiveDateTime", "effectiveInstant", "effectivePeriod"], "issued", observed(r), absent_reason=plain(r.get("dataAbsentReason"))),
    "Patient": lambda r: of(r, (None, None, None), [], status={True: "active", False: "inactive"}.get(r.get("active"))),
    "Procedure": lambda r: of(r, concept(r.get("code")), ["performedDateTime", "performedPeriod"]),
    "QuestionnaireResponse": lambda r: of(r, (None, r.get("questionnaire"), None), ["authored"], "authored"),
    "ServiceRequest": lambda r: of(r, concept(r.get("code")), ["occurrenceDateTime", "occurrencePeriod", "authoredOn"], "authoredOn"),
    "Specimen": lambda r: of(r, concept(r.get("type")), [], "receivedTime"),
    "Task": lambda r: of(r, concept(r.get("code")), ["executionPeriod", "authoredOn"], "authoredOn"),
}
# What this file does not read.
UNREAD = {"ImagingStudy": ("code_system", "code", "code_display"), "Consent": ("effective_start", "effective_end"), "Specimen": ("effective_start", "effective_end")}
UNREAD["Immunization"] = UNREAD["MedicationDispense"] = ("value_text",)


def who(resource, kind):
    reference = resource.get("subject") or resource.get("patient") or resource.get("for") or {}
    text = reference.get("reference")
    if kind == "Patient":
        return resource.get("id"), None
    if text is None:
        identifier = reference.get("identifier", {})
        return None, "|".join(filter(None, [identifier.get("system"), identifier.get("value")])) or None
    parts = text.split("/_history/")[0].split("/")
    return (parts[-1] if len(parts) > 1 and parts[-2] == "Patient" else None), text


def same(column, expected, row):
    if column == "value" and expected is not None:
        return row[column] is not None and abs(row[column] - expected) <= abs(expected) * 1e-12
    return row[column] == expected


rows_of = {row["resource"]: row for row in events}
readings_of = collections.defaultdict(list)
for row in sorted(readings, key=lambda row: row["row_no"]):
    readings_of[row["source_offset"]].append(row)
compared, cells, arrived = 0, 0, collections.Counter()
for name, resource in single.items():
    kind = resource["resourceType"] if resource else None
    if kind not in KINDS:
        continue
    row = rows_of.get(texts[name])
    if row is None:
        check(False, f"{name}: it has no row")
        continue
    patient, subject = who(resource, kind)
    expected = KINDS[kind](resource) | {"resource_type": kind, "resource_id": resource.get("id"), "version_id": resource.get("meta", {}).get("versionId"), "patient_id": patient, "subject_reference": subject}
    for column in UNREAD.get(kind, ()):
        expected.pop(column, None)
    start = expected.get("effective_start")
    if start and start < row["received_ts"]:
        expected["event_ts"] = start
        arrived[kind] += row["event_date"] == row["received_ts"].date() != start.date()
    for column, value in expected.items():
        cells += 1
        check(same(column, value, row), f"{name}: {column} is {row[column]!r}, the JSON says {value!r}")
    compared += 1
    if kind == "Observation":
        parts = [resource] + resource.get("component", [])
        parts = [p for p in parts if "dataAbsentReason" in p or any(n.startswith("value") for n in p)]
        rows = readings_of[row["source_offset"]]
        if any("valueSampledData" in part for part in parts):
            samples = sum(len(part["valueSampledData"]["data"].split()) for part in parts if "valueSampledData" in part)
            check(len(rows) == samples, f"{name}: {len(rows)} readings for {samples} samples")
            continue
        check(len(rows) == len(parts), f"{name}: {len(rows)} readings for {len(parts)} values")
        for part, reading in zip(parts, rows):
            # What was made the catalogue's unit has what came beside it.
            if reading["unit_original"] is not None:
                reading = reading | {"value": reading["value_original"], "unit": reading["unit_original"]}
            expected = {k: v for k, v in observed(part).items() if v is not None and "valueBoolean" not in part} | {"status": resource.get("status"), "patient_id": patient, "resource_id": resource["id"]}
            for column, value in expected.items():
                cells += 1
                check(same(column, value, reading), f"{name}: a reading's {column} is {reading[column]!r}, the JSON says {value!r}")
            fine = resource["status"] in ("final", "amended", "corrected") and "comparator" not in part.get("valueQuantity", {}) and "dataAbsentReason" not in part
            check(fine or reading["quality"] != "good", f"{name}: a reading is good against what the JSON says")
check(compared >= 200, f"only {compared} resources were compared")
check(not sum(arrived.values()), f"on the day they arrived instead of their own: {dict(arrived)}")
print(f"{compared} resources of {len(KINDS)} types compared, {cells} cells; {len(readings)} readings")

# 3. The queries of docs/fhir.md, as they stand there: of the three histories only the corrected one is current.
sql = re.findall(r"```sql\n(.*?)```", open("docs/fhir.md").read(), re.S)
con = duckdb.connect()
for name in ("ehr_events", "readings"):
    con.register(name, deltalake.DeltaTable(os.path.join(lake, name)).to_pyarrow_dataset())
answers = []
for query in sql:
    query = re.sub(r"delta_scan\('tidemark-data/lake/(\w+)'\)", r"\1", query).replace("CREATE VIEW", "CREATE TEMP VIEW")
    answers.append(con.execute(query).fetchall())
current = con.execute("SELECT resource_id, value, status FROM current_observations WHERE resource_id LIKE 'history-%'").fetchall()
check(current == [("history-corrected", 98.0, "corrected")], f"the current state of the histories is {current}")
values = [row[2] for row in answers[1] if row[0] == "spo2" and row[1].astimezone(UTC) == datetime.datetime(2026, 1, 1, tzinfo=UTC)]
check(values == [98.0], f"the current readings of the histories are {values}")
retracted = {row[1] for row in answers[2]}
check({"history-retracted", "history-deleted"} <= retracted, "the query for what was retracted does not find it")
print(f"the {len(sql)} queries of docs/fhir.md hold: {len(answers[1])} current readings, {len(answers[2])} rows of retracted resources")
for problem in problems[:50]:
    print("DIFFERS:", problem)
sys.exit(f"{len(problems)} differences" if problems else 0)

"""Asks every engine the questions of docs/queries, in a folder and on S3, before and after the files were merged: the answers must be equal, cell for cell.

`queries.py TIDEMARK LAKE [JARS]`: LAKE is a folder; it is copied to s3://tidemark-test/lake. Without JARS Spark is not asked.
"""
import json
import os
import subprocess
import sys
import time

import boto3
import engines
import stream

tidemark, lake = sys.argv[1], os.path.abspath(sys.argv[2])
jars = sys.argv[3] if len(sys.argv) > 3 else None
BUCKET, PREFIX = "tidemark-test", "lake"
# What was put into the lake on purpose (.ci/queries_lake), so that equal answers are not all equally wrong: of each question rows that must be there.
KNOWN = {
    "03-hypoxia": [{"device_id": "monitor-009", "lowest": 86, "seconds_below_90": 540, "seconds_watched": 1800}],
    "06-late-data": [{"device": "fridge-09", "readings": 91, "overtaken": 1}],
    "07-books": [{"source_id": "gateway", "gaps": 0, "unexplained": 0, "still_to_come": 0}],
    "08-cold-chain": [
        {"device_id": "fridge-09", "began": "2026-01-01T06:20:00.000000+00:00", "ended": "2026-01-01T07:00:00.000000+00:00", "seconds_outside": 2400, "warmest": 12.5},
        {"device_id": "fridge-09", "seconds_outside": 60, "coldest": 1.25},
    ],
}
failures = []


def fail(text):
    failures.append(text)
    print("FAILED:", text)


def equal(column, one, other):
    # Means are rounded, and the order of summing can move one by its last digit.
    if column == "mean":
        return abs(one - other) < 0.0101
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and abs(one - other) <= 1e-9 * max(1, abs(one))
    return one == other


def difference(answer, expected):
    """The first difference in words, or None."""
    if answer["columns"] != expected["columns"]:
        return f"columns {answer['columns']}, not {expected['columns']}"
    if len(answer["rows"]) != len(expected["rows"]):
        return f"{len(answer['rows'])} rows, not {len(expected['rows'])}"
    for number, (row, other) in enumerate(zip(answer["rows"], expected["rows"])):
        for column, one, two in zip(answer["columns"], row, other):
            if not equal(column, one, two):
                return f"row {number}, {column}: {one!r}, not {two!r}"
    return None


def in_a_process(name, place):
    """An engine in a process of its own: several in one do not get on."""
    command = [sys.executable, os.path.join(engines.ROOT, ".ci", "engines.py"), name, place]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    if done.returncode:
        return {"version": "?", "seconds": 0, "answers": {}, "error": done.stderr.strip()[-500:]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def copy_to_s3():
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for folder, _, files in os.walk(lake):
        for file in files:
            path = os.path.join(folder, file)
            client.upload_file(path, BUCKET, PREFIX + "/" + os.path.relpath(path, lake))


def maintain(place):
    # As if all dates were over.
    environment = {**os.environ, "TIDEMARK_CLOCK__JUMPS": "0:345600"}
    subprocess.run([tidemark, "maintain", "--lake", place, "--keep-days", "30"], check=True, env=environment, stdout=subprocess.DEVNULL)


def files(place):
    listed = subprocess.run([tidemark, "tables", "--lake", place, "--format", "json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return sum(table["files"] for table in json.loads(listed) if table["table"] in engines.TABLES)


def known(expected):
    for question in engines.questions():
        if not expected[question]["rows"]:
            fail(f"{question} has no answer: nothing was compared")
    for question, rows in KNOWN.items():
        columns = expected[question]["columns"]
        found = [dict(zip(columns, row)) for row in expected[question]["rows"]]
        for row in rows:
            if not any(all(one.get(column) == value for column, value in row.items()) for one in found):
                fail(f"{question} has no row {row}")


def main():
    expected, spark = None, None
    places = {"folder": lake, "s3": f"s3://{BUCKET}/{PREFIX}"}
    copy_to_s3()
    if jars:
        started = time.monotonic()
        spark = engines.spark_session(jars)
        print(f"Spark started in {time.monotonic() - started:.0f} s")
    for moment in ("as landed", "merged"):
        for where, place in places.items():
            if moment == "merged":
                before = files(place)
                maintain(place)
                if files(place) >= before:
                    fail(f"{where}: nothing was merged")
            # Spark takes as long as all others together: it is asked three times of the four.
            with_spark = spark and (where, moment) != ("s3", "as landed")
            if spark and not with_spark:
                print(f"spark      {where}, {moment}: not asked, it takes too long; merged it is")
            for name in [*engines.ENGINES, *(["spark"] if with_spark else [])]:
                started = time.monotonic()
                told = engines.asked(engines.spark_engine(place, spark)) if name == "spark" else in_a_process(name, place)
                if "error" in told:
                    fail(f"{name}, {where}, {moment}: {told['error']}")
                    continue
                # The first one's answers are checked by what is known, the others by them.
                if expected is None:
                    expected = told["answers"]
                    broken = [question for question, answer in expected.items() if "error" in answer]
                    if broken:
                        sys.exit(f"{name} cannot answer {broken[0]}: {expected[broken[0]]['error']}")
                    known(expected)
                same = cells = 0
                for question, answer in told["answers"].items():
                    wrong = answer.get("error") or difference(answer, expected[question])
                    if wrong:
                        fail(f"{name}, {where}, {moment}, {question}: {wrong}")
                    else:
                        same, cells = same + 1, cells + len(answer["rows"]) * len(answer["columns"])
                all_of = time.monotonic() - started
                print(f"{name:10} {told['version']:8} {where:6} {moment:9} {same} of {len(expected)} answers alike, {cells} cells, {told['seconds']:.1f} s, {all_of:.1f} s with its start", flush=True)
    if spark:
        wrong = stream.check(spark, lake, os.path.join(os.path.dirname(lake), "stream"), maintain)
        if wrong:
            fail(f"stream: {wrong}")
    print("FAILED" if failures else "all engines answer alike", f"({files(lake)} files)")
    return len(failures)


os._exit(1 if main() else 0)

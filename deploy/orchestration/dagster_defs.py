"""Dagster: an hourly partitioned asset that is made once its hour is sealed. See docs/orchestration.md.

`dagster dev -f dagster_defs.py`. TIDEMARK_LAKE is the lake (a folder or s3://…, with the usual AWS_* variables), TIDEMARK_SITE the site.
"""
import os
import subprocess
from datetime import datetime, timedelta, timezone

import dagster

SITE = os.environ.get("TIDEMARK_SITE", "ward")
LAKE = os.environ.get("TIDEMARK_LAKE", "tidemark-data/lake")
# The first hour that is asked for, and how hours are named: as `tidemark sealed` takes them.
FIRST = os.environ.get("TIDEMARK_FIRST_HOUR", "2026-01-01T00")
FORM = "%Y-%m-%dT%H"
# Hours that one look of the sensor may start: what piled up is made up for, but not all at once.
AT_ONCE = 24

SQL = """
SELECT device_id, quality, count(*) AS readings FROM readings
WHERE event_date = DATE '{day}' AND site = '{site}' AND event_ts >= TIMESTAMP '{hour}:00:00Z' AND event_ts < TIMESTAMP '{hour}:00:00Z' + INTERVAL '1' HOUR
GROUP BY device_id, quality ORDER BY device_id, quality
"""

hours = dagster.HourlyPartitionsDefinition(start_date=FIRST, fmt=FORM)


@dagster.asset(partitions_def=hours)
def readings_of_hour(context: dagster.AssetExecutionContext) -> dagster.MaterializeResult:
    """Readings of a sealed hour, by device and quality."""
    import deltalake
    import pyarrow

    hour = context.partition_key
    options = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    builder = deltalake.QueryBuilder().register("readings", deltalake.DeltaTable(f"{LAKE}/readings", storage_options=options))
    sql = SQL.format(day=hour[:10], hour=hour, site=SITE.replace("'", "''"))
    rows = pyarrow.table(builder.execute(sql).read_all()).to_pylist()
    return dagster.MaterializeResult(metadata={"groups": len(rows), "readings": sum(row["readings"] for row in rows)})


job = dagster.define_asset_job("hour", selection=[readings_of_hour], partitions_def=hours)


def sealed(hour: str) -> bool:
    """Whether the hour is complete. Exit codes: 0 it is, 1 not yet; anything else is an error, with its words."""
    command = ["tidemark", "sealed", "--site", SITE, "--hour", hour, "--lake", LAKE]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode not in (0, 1):
        raise dagster.Failure(f"tidemark sealed ended with {done.returncode}: {done.stdout.strip()}")
    return done.returncode == 0


@dagster.sensor(job=job, minimum_interval_seconds=60, default_status=dagster.DefaultSensorStatus.RUNNING)
def sealed_hours(context: dagster.SensorEvaluationContext) -> dagster.SensorResult | dagster.SkipReason:
    """Starts the hours that were sealed since the last look, in their order. The cursor is the hour that is waited for."""
    hour, requests = context.cursor or FIRST, []
    now = datetime.now(timezone.utc).strftime(FORM)
    while hour < now and len(requests) < AT_ONCE and sealed(hour):
        requests.append(dagster.RunRequest(run_key=f"{SITE}/{hour}", partition_key=hour))
        hour = (datetime.strptime(hour, FORM) + timedelta(hours=1)).strftime(FORM)
    if not requests:
        return dagster.SkipReason(f"{hour} is not sealed yet")
    return dagster.SensorResult(run_requests=requests, cursor=hour)


definitions = dagster.Definitions(assets=[readings_of_hour], jobs=[job], sensors=[sealed_hours])

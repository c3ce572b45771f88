"""Airflow: once an hour of a site is sealed, its readings are counted by device and quality. See docs/orchestration.md.

In the environment of the workers: TIDEMARK_LAKE is the lake (a folder or s3://…, with the usual AWS_* variables), TIDEMARK_SITE the site.
"""
import os
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.sensors.bash import BashSensor
from airflow.sdk import DAG, task
from airflow.timetables.interval import CronDataIntervalTimetable

HOUR = "{{ data_interval_start.strftime('%Y-%m-%dT%H') }}"

SQL = """
SELECT device_id, quality, count(*) AS readings FROM readings
WHERE event_date = DATE '{day}' AND site = '{site}' AND event_ts >= TIMESTAMP '{hour}:00:00Z' AND event_ts < TIMESTAMP '{hour}:00:00Z' + INTERVAL '1' HOUR
GROUP BY device_id, quality ORDER BY device_id, quality
"""

with DAG(
    dag_id="tidemark_hour",
    # Not "@hourly": the run of 11:00 is for the hour from 10:00 on only with data intervals.
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=4,
) as dag:
    # Exit codes of `tidemark sealed`: 0 the hour is sealed, 1 not yet (looked at again), anything else is an error and fails the task.
    sealed = BashSensor(
        task_id="sealed",
        # Site and lake come from the worker's environment, so that no name is ever a part of the command's text.
        bash_command='tidemark sealed --site "$TIDEMARK_SITE" --lake "$TIDEMARK_LAKE" --hour ' + HOUR,
        retry_exit_code=1,
        # Between two looks the task holds no worker.
        mode="reschedule",
        poke_interval=timedelta(minutes=1),
        timeout=timedelta(hours=6),
    )

    @task
    def count_readings(hour: str) -> list[dict]:
        import deltalake
        import pyarrow

        lake, site = os.environ["TIDEMARK_LAKE"], os.environ["TIDEMARK_SITE"]
        options = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        builder = deltalake.QueryBuilder().register("readings", deltalake.DeltaTable(f"{lake}/readings", storage_options=options))
        sql = SQL.format(day=hour[:10], hour=hour, site=site.replace("'", "''"))
        return pyarrow.table(builder.execute(sql).read_all()).to_pylist()

    sealed >> count_readings(HOUR)

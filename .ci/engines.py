"""How each engine opens the lake and is asked the questions of docs/queries. `engines.py ENGINE LAKE` prints its answers as JSON.

The questions go to the engines as they are, but for Spark, which has no EXTRACT(EPOCH …). A lake is a folder or s3://…, with the usual AWS_* variables.
"""
import datetime
import decimal
import glob
import json
import os
import re
import sys
import time

TABLES = ["readings", "ehr_events", "device_status", "dead_letters", "messages", "replays", "landings"]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What an engine spells otherwise: a pattern and what takes its place.
SPELLINGS = {"spark": [(r"EXTRACT\(EPOCH FROM ", "unix_timestamp(")]}


def questions():
    return {os.path.basename(path)[:-4]: open(path).read() for path in sorted(glob.glob(os.path.join(ROOT, "docs", "queries", "*.sql")))}


def spelled(engine, sql):
    for pattern, instead in SPELLINGS.get(engine, []):
        sql = re.sub(pattern, instead, sql)
    return sql


def storage():
    """What Rust's object_store takes as options: deltalake, Polars."""
    return {key: os.environ[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP")}


def options(lake):
    return storage() if lake.startswith("s3://") else None


def extension(name):
    """DuckDB's extensions are wheels here; where its own server is reached, INSTALL brings them."""
    found = [path for base in sys.path for path in glob.glob(os.path.join(base, "duckdb_extension*", "**", name + ".duckdb_extension"), recursive=True)]
    return found[0]


def duckdb_engine(lake):
    import duckdb

    con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("delta", "httpfs"):
        con.execute(f"LOAD '{extension(name)}'")
    con.execute("SET TimeZone = 'UTC'")
    if lake.startswith("s3://"):
        host = os.environ["AWS_ENDPOINT_URL"].split("//")[1]
        key, secret, region = (os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"))
        con.execute(f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', REGION '{region}', ENDPOINT '{host}', USE_SSL false, URL_STYLE 'path')")
    for table in TABLES:
        con.execute(f"CREATE VIEW {table} AS SELECT * FROM delta_scan('{lake}/{table}')")

    def ask(sql):
        found = con.execute(sql)
        return [column[0] for column in found.description], found.fetchall()

    return duckdb.__version__, ask


def pyarrow_engine(lake):
    """deltalake gives the files, pyarrow reads them, DuckDB understands the SQL."""
    import deltalake
    import duckdb
    import pyarrow

    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    for table in TABLES:
        con.register(table, deltalake.DeltaTable(f"{lake}/{table}", storage_options=options(lake)).to_pyarrow_dataset())

    def ask(sql):
        found = con.execute(sql)
        return [column[0] for column in found.description], found.fetchall()

    return pyarrow.__version__, ask


def deltalake_engine(lake):
    import deltalake
    import pyarrow

    builder = deltalake.QueryBuilder()
    for table in TABLES:
        builder.register(table, deltalake.DeltaTable(f"{lake}/{table}", storage_options=options(lake)))

    def ask(sql):
        table = pyarrow.table(builder.execute(sql).read_all())
        return table.column_names, [tuple(row.values()) for row in table.to_pylist()]

    return deltalake.__version__, ask


def datafusion_engine(lake):
    import datafusion
    import deltalake

    context = datafusion.SessionContext()
    for table in TABLES:
        delta = deltalake.DeltaTable(f"{lake}/{table}", storage_options=options(lake))
        if lake.startswith("s3://"):
            # A table of deltalake does not bring its store into another package's context; a dataset has its own.
            context.register_dataset(table, delta.to_pyarrow_dataset())
        else:
            context.register_table(table, delta)

    def ask(sql):
        table = context.sql(sql).to_arrow_table()
        return table.column_names, [tuple(row.values()) for row in table.to_pylist()]

    return datafusion.__version__, ask


def polars_engine(lake):
    import polars

    context = polars.SQLContext({table: polars.scan_delta(f"{lake}/{table}", storage_options=options(lake)) for table in TABLES})

    def ask(sql):
        frame = context.execute(sql, eager=True)
        return frame.columns, frame.rows()

    return polars.__version__, ask


def chdb_engine(lake):
    """ClickHouse in the process. It reads local files only below the folder that it was started in."""
    import chdb

    if lake.startswith("s3://"):
        bucket = os.environ["AWS_ENDPOINT_URL"] + "/" + lake.removeprefix("s3://")
        source = f"deltaLake('{bucket}/{{}}', '{os.environ['AWS_ACCESS_KEY_ID']}', '{os.environ['AWS_SECRET_ACCESS_KEY']}')"
    else:
        os.chdir(lake)
        source = f"deltaLakeLocal('{lake}/{{}}')"
    from chdb import session

    clickhouse = session.Session()
    for table in TABLES:
        clickhouse.query(f"CREATE VIEW {table} AS SELECT * FROM " + source.format(table))
    clickhouse.query("SET join_use_nulls = 1")
    clickhouse.query("SET session_timezone = 'UTC'")

    def ask(sql):
        table = clickhouse.query(sql, "ArrowTable")
        return table.column_names, [tuple(row.values()) for row in table.to_pylist()]

    return chdb.__version__, ask


def spark_session(folder):
    """A Spark of its own, of two threads; `folder` has the jars of .ci/spark/pom.xml."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.jars": ",".join(sorted(glob.glob(os.path.join(folder, "*.jar")))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.hadoop.fs.s3a.endpoint": os.environ.get("AWS_ENDPOINT_URL", ""),
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.endpoint.region": os.environ.get("AWS_REGION", "us-east-1"),
        "spark.delta.logStore.s3.impl": "io.delta.storage.S3SingleDriverLogStore",
        # Small and alone: nothing is spread, nothing is shown.
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.codegen.wholeStage": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    return spark


def spark_engine(lake, spark):
    for table in TABLES:
        spark.sql(f"CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM delta.`{lake.replace('s3://', 's3a://')}/{table}`")

    def ask(sql):
        found = spark.sql(spelled("spark", sql))
        # A timestamp comes as a naive one of this process's zone.
        return found.columns, [tuple(utc(cell) for cell in row) for row in found.collect()]

    def utc(cell):
        return cell.astimezone(datetime.timezone.utc) if isinstance(cell, datetime.datetime) else cell

    return spark.version, ask


def cell(value):
    """The same value is the same text or number, whichever engine it is from."""
    if isinstance(value, datetime.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return value.astimezone(datetime.timezone.utc).isoformat(timespec="microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == int(value) else float(value)
    return value


def asked(engine):
    """All answers: {question: {"columns": […], "rows": [[…], …]}}; one that the engine cannot give is {"error": …}."""
    version, ask = engine
    started, answers = time.monotonic(), {}
    for name, sql in questions().items():
        try:
            columns, rows = ask(sql)
            answers[name] = {"columns": list(columns), "rows": [[cell(value) for value in row] for row in rows]}
        except BaseException as error:  # Rust's panics are no Exception
            answers[name] = {"error": f"{type(error).__name__}: {error}"[:500]}
    return {"version": version, "seconds": time.monotonic() - started, "answers": answers}


ENGINES = {"duckdb": duckdb_engine, "pyarrow": pyarrow_engine, "deltalake": deltalake_engine, "datafusion": datafusion_engine, "polars": polars_engine, "chdb": chdb_engine}

if __name__ == "__main__":
    told = json.dumps(asked(ENGINES[sys.argv[1]](sys.argv[2])))
    print(told, flush=True)
    # The threads of an engine do not always end well: their end is no check.
    os._exit(0)

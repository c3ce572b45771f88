"""Spark reads `readings` as a stream while rows land and files are merged: each row comes once, and no merged file is taken for new rows."""
import os
import subprocess
import time

import engines

IDENTITY = ["source_id", "epoch", "source_offset", "row_no"]


def check(spark, lake, work, maintain):
    """What is wrong, in words; or None. `maintain(lake)` merges what can be merged."""
    rows = spark.readStream.format("delta").load(f"{lake}/readings").select(*IDENTITY)
    seen, sink = os.path.join(work, "seen"), None
    started, before = time.monotonic(), version(spark, lake)
    try:
        sink = rows.writeStream.format("parquet").option("checkpointLocation", os.path.join(work, "checkpoint")).trigger(processingTime="1 second").start(seen)
        # The first batch is the table as it is.
        sink.processAllAvailable()
        first = spark.read.parquet(seen).count()
        for number in (1, 2):
            land = subprocess.Popen([os.path.join(engines.ROOT, ".ci", "queries_lake"), lake, os.path.join(work, f"ward-{number}"), "1500"])
            while land.poll() is None:
                maintain(lake)
                time.sleep(0.5)
            if land.returncode:
                return "nothing was landed beside the stream"
            maintain(lake)
            sink.processAllAvailable()
    finally:
        if sink:
            sink.stop()
    came = spark.read.parquet(seen)
    expected = spark.read.format("delta").load(f"{lake}/readings").count()
    total, distinct = came.count(), came.distinct().count()
    merges = spark.sql(f"DESCRIBE HISTORY delta.`{lake}/readings`").filter(f"version > {before} AND operation = 'OPTIMIZE'").count()
    print(f"stream: {first} rows at first, {total} in the end, {distinct} different, {expected} in the table; {merges} merges beside it, {time.monotonic() - started:.0f} s")
    if total == first or merges == 0:
        return "no row landed beside the stream, or nothing was merged: nothing was checked"
    if not total == distinct == expected:
        return "rows are missing in the stream, or came twice"
    return None


def version(spark, lake):
    return spark.sql(f"DESCRIBE HISTORY delta.`{lake}/readings` LIMIT 1").collect()[0]["version"]

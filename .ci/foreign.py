"""What an outside tool may do to a table beside us: each statement on a lake of its own, then what ingest, `tidemark maintain` and `tidemark check` say to it.

`foreign.py TIDEMARK LAKE WORK [JARS]` fails where something is otherwise than docs/foreign-tools.md says. Without JARS Spark is left out.
"""
import os
import shutil
import socket
import subprocess
import sys
import time

import deltalake
import pyarrow
from deltalake.schema import Field, PrimitiveType

TIDEMARK, LAKE, WORK = (os.path.abspath(path) for path in sys.argv[1:4])
JARS = sys.argv[4] if len(sys.argv) > 4 else None
SOME = "device_id = 'monitor-001' AND metric = 'spo2'"
ROWS_DIFFER = "a table was changed by another program: RESTORE it to the version before"
TWICE = "rows are there more than once"
UNREAD = "data files do not hold what its log says"
PROTOCOL = "asks for Delta reader version 3 and writer version 7"
DROP = "ALTER TABLE {t} DROP FEATURE deletionVectors TRUNCATE HISTORY"
failures = []


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(*arguments, **environment):
    done = subprocess.run([TIDEMARK, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}, timeout=120)
    return done.returncode, done.stdout


def check(lake):
    return run("check", "--lake", lake)


def maintain(lake):
    # As if all dates were over.
    return run("maintain", "--lake", lake, "--keep-days", "30", TIDEMARK_CLOCK__JUMPS="0:345600")


def readings(lake):
    return deltalake.DeltaTable(f"{lake}/readings")


def rows(lake, where="true"):
    builder = deltalake.QueryBuilder().register("readings", readings(lake))
    return pyarrow.table(builder.execute(f"SELECT count(*) AS n FROM readings WHERE {where}").read_all())["n"][0].as_py()


def lands(lake):
    """None if a message that is published now is readable soon after; else what the log says."""
    port, admin = free_port(), free_port()
    settings = {"GATEWAY__LISTEN": f"127.0.0.1:{port}", "GATEWAY__ADMIN_LISTEN": f"127.0.0.1:{admin}", "GATEWAY__SPOOL__DIR": lake + "-spool",
                "LAKE__URL": lake, "INGEST__FLUSH_AGE_MS": "200", "MAINTAIN__EVERY_SECONDS": "0"}
    before, log = rows(lake, "device_id = 'new'") if readings(lake).protocol().min_reader_version < 3 else 0, lake + ".log"
    with open(log, "w") as output:
        up = subprocess.Popen([TIDEMARK, "up"], stdout=output, stderr=output, env={**os.environ, **{"TIDEMARK_" + name: value for name, value in settings.items()}})
    try:
        ends, published = time.monotonic() + 30, False
        while time.monotonic() < ends and up.poll() is None:
            if not published:
                publish = ["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "dt/ward/new/readings", "-m", '{"metric": "spo2", "value": 97}']
                published = subprocess.run(publish, stderr=subprocess.DEVNULL).returncode == 0
            elif rows(lake, "device_id = 'new'") > before:
                return None
            time.sleep(0.1)
    finally:
        up.terminate()
        up.wait()
    return open(log).read()[-500:]


def expect(what, true, said=""):
    if not true:
        failures.append(what)
        print(f"FAILED: {what}: {said}", flush=True)


def case(name, act, says=None, back=None, unmerged=None, may_say=None, landed=False):
    """`act` on a copy of the lake. `says`: the words with which the check must notice it, then `back` or a RESTORE mends it; without words it must
    survive. `may_say`: the words with which the check may notice it. `unmerged`: what maintain says of the files that it leaves as they are. `landed`: something is
    landed before it is noticed."""
    lake = os.path.join(WORK, name.replace(" ", "-"))
    shutil.copytree(LAKE, lake)
    before, version = rows(lake), readings(lake).version()
    act(lake)
    changed = rows(lake) - before
    if landed:
        expect(f"{name}: ingest goes on beside it", lands(lake) is None)
        before += 1
    expect(f"{name}: it did something", readings(lake).version() > version or name.endswith("VACUUM") or name.endswith("checkpoint"))
    code, said = check(lake)
    says = may_say if may_say and code else says
    if says:
        expect(f"{name}: is noticed", code == 1 and says in said, said)
        (back or (lambda lake: readings(lake).restore(version)))(lake)
        # Texts as delta-rs writes them the check reads only once they were merged.
        maintain(lake)
        code, said = check(lake)
        expect(f"{name}: the way back", code == 0 and rows(lake) == before, said)
    else:
        expect(f"{name}: is none of the check's business", code == 0, said)
    words = lands(lake)
    expect(f"{name}: ingest goes on", words is None, words)
    code, said = maintain(lake)
    expect(f"{name}: maintain", code == 0 and (unmerged or "") in said, said)
    code, said = check(lake)
    expect(f"{name}: one whole in the end", code == 0, said)
    print(f"{name:30} {changed:+6} rows; {'noticed: ' + says if says else 'no word'}", flush=True)


def append(lake):
    some = readings(lake).to_pyarrow_dataset().head(5)
    deltalake.write_deltalake(f"{lake}/readings", some, mode="append")


def append_theirs(lake):
    some = readings(lake).to_pyarrow_dataset().head(5)
    theirs = some.set_column(some.schema.get_field_index("source_id"), some.schema.field("source_id"), pyarrow.array(["theirs"] * 5, some.schema.field("source_id").type))
    deltalake.write_deltalake(f"{lake}/readings", theirs, mode="append")


def delete_theirs(lake):
    """The way back where rows were landed since: a RESTORE would take those, too."""
    readings(lake).delete("source_id = 'theirs'")


def put_back(lake):
    """Rows that were deleted come from the last version that has them."""
    for number in range(readings(lake).version(), 0, -1):
        builder = deltalake.QueryBuilder().register("readings", deltalake.DeltaTable(f"{lake}/readings", version=number))
        deleted = pyarrow.table(builder.execute(f"SELECT * FROM readings WHERE {SOME}").read_all())
        if deleted.num_rows:
            deltalake.write_deltalake(f"{lake}/readings", deleted, mode="append")
            return


def stale_compaction(lake):
    """A handle from before our merge. It may be refused; if it is not, rows are there twice."""
    stale = readings(lake)
    maintain(lake)
    try:
        stale.optimize.compact()
    except Exception as error:  # whatever it calls it
        print("a stale compaction of delta-rs was refused:", type(error).__name__)


def merge(lake):
    some = readings(lake).to_pyarrow_dataset().head(5)
    same = " AND ".join(f"t.{column} = s.{column}" for column in ("source_id", "epoch", "source_offset", "row_no"))
    readings(lake).merge(some, same, source_alias="s", target_alias="t").when_matched_update({"ward": "'x'"}).execute()


def compact_and_vacuum(lake):
    readings(lake).optimize.compact()
    readings(lake).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


def delta_rs():
    case("delta-rs OPTIMIZE", lambda lake: readings(lake).optimize.compact())
    case("delta-rs Z-ORDER", lambda lake: readings(lake).optimize.z_order(["device_id"]))
    case("delta-rs VACUUM", compact_and_vacuum)
    case("delta-rs checkpoint", lambda lake: readings(lake).create_checkpoint())
    case("delta-rs ADD COLUMN", lambda lake: readings(lake).alter.add_columns([Field("their_note", PrimitiveType("string"), nullable=True)]))
    case("delta-rs append", append, says=TWICE)
    case("delta-rs append of their own", append_theirs, says=ROWS_DIFFER, back=delete_theirs, landed=True)
    case("delta-rs DELETE", lambda lake: readings(lake).delete(SOME), says=ROWS_DIFFER)
    case("delta-rs DELETE, later", lambda lake: readings(lake).delete(SOME), says=ROWS_DIFFER, back=put_back, landed=True)
    case("delta-rs stale OPTIMIZE", stale_compaction, may_say=TWICE)
    case("delta-rs UPDATE", lambda lake: readings(lake).update(updates={"ward": "'x'"}, predicate=SOME), may_say=UNREAD)
    case("delta-rs MERGE", merge, may_say=UNREAD)
    case("delta-rs RESTORE", lambda lake: readings(lake).restore(readings(lake).version() - 1), says=ROWS_DIFFER)


def spark_cases(spark):
    def sql(*statements):
        def act(lake):
            for statement in statements:
                spark.sql(statement.replace("{t}", f"delta.`{lake}/readings`")).collect()
        return act

    # Deletion vectors first: a try to drop a feature within the minute leaves a checkpoint, another takes the log entries before it, a
    # minute later. The other cases fill that time. Where a minute has just begun, the first try is enough.
    vectors = os.path.join(WORK, "Spark-deletion-vectors")
    shutil.copytree(LAKE, vectors)
    before, version = rows(vectors), readings(vectors).version()
    sql("ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')", f"DELETE FROM {{t}} WHERE {SOME}")(vectors)
    expect("deletion vectors: ingest refuses", PROTOCOL in (lands(vectors) or ""))
    code, said = check(vectors)
    expect("deletion vectors: are noticed", code == 1 and PROTOCOL in said, said)
    sql(f"RESTORE TABLE {{t}} TO VERSION AS OF {version}",
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false', 'delta.dropFeatureTruncateHistory.retentionDuration' = '0 hours')",
        "REORG TABLE {t} APPLY (PURGE)")(vectors)
    dropped = False
    try:
        sql(DROP)(vectors)
        dropped = True
    except Exception as error:
        expect("deletion vectors: the first try says why", "historical versions" in str(error), str(error)[:500])
    tried = time.monotonic()

    spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    case("Spark Z-ORDER, INT96", sql("OPTIMIZE {t} ZORDER BY (device_id)"), unmerged="its column `event_ts` has another type")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    case("Spark OPTIMIZE", sql("OPTIMIZE {t}"))
    case("Spark VACUUM", sql("OPTIMIZE {t}", "VACUUM {t} RETAIN 0 HOURS"))
    case("Spark ADD COLUMN", sql("ALTER TABLE {t} ADD COLUMNS (their_note STRING COMMENT 'theirs')"))
    case("Spark INSERT", sql("INSERT INTO {t} SELECT * FROM {t} LIMIT 5"), says=TWICE)
    case("Spark DELETE", sql(f"DELETE FROM {{t}} WHERE {SOME}"), says=ROWS_DIFFER)
    case("Spark UPDATE", sql(f"UPDATE {{t}} SET ward = 'x' WHERE {SOME}"))

    if not dropped:
        # Log entries are dropped by whole minutes.
        time.sleep(max(0, 121 - (time.monotonic() - tried)))
        sql(DROP)(vectors)
    sql("ALTER TABLE {t} UNSET TBLPROPERTIES ('delta.enableDeletionVectors', 'delta.dropFeatureTruncateHistory.retentionDuration')")(vectors)
    code, said = check(vectors)
    expect("deletion vectors: the way back", code == 0 and rows(vectors) == before, said)
    words = lands(vectors)
    expect("deletion vectors: ingest goes on", words is None, words)
    code, said = check(vectors)
    expect("deletion vectors: one whole in the end", code == 0, said)
    print(f"{'Spark deletion vectors':30} refused: {PROTOCOL}; and back", flush=True)


delta_rs()
if JARS:
    import engines

    session = engines.spark_session(JARS)
    session.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    spark_cases(session)
print("FAILED" if failures else "everything is as docs/foreign-tools.md says", flush=True)
os._exit(1 if failures else 0)

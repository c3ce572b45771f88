"""delta-rs compacts and appends beside `tidemark maintain`: no row is lost or doubled; what it does wrongly by itself is named by `tidemark check`."""
import os
import subprocess
import sys

import deltalake

tidemark, lake = sys.argv[1:]
readings = os.path.join(lake, "readings")


def maintain():
    environment = {**os.environ, "TIDEMARK_CLOCK__JUMPS": "0:345600"}
    subprocess.run([tidemark, "maintain", "--lake", lake, "--keep-days", "30"], check=True, env=environment)


def check():
    return subprocess.run([tidemark, "check", "--lake", lake], stdout=subprocess.PIPE, text=True)


def rows():
    return deltalake.DeltaTable(readings).to_pyarrow_dataset().count_rows()


def split(parts):
    """Rewrites the table as many files, as a program does that knows nothing of ours: the same rows, all removed and added again."""
    table = deltalake.DeltaTable(readings).to_pyarrow_dataset().to_table()
    size = table.num_rows // parts + 1
    slices = [table.slice(at, size) for at in range(0, table.num_rows, size)]
    deltalake.write_deltalake(readings, slices[0], mode="overwrite")
    for part in slices[1:]:
        deltalake.write_deltalake(readings, part, mode="append")


def same(what, expected):
    found = rows()
    print(f"{what}: {found} rows in {len(deltalake.DeltaTable(readings).file_uris())} files")
    if found != expected:
        sys.exit(f"{expected} rows were expected")


expected = rows()
split(12)
same("rewritten by delta-rs", expected)
maintain()
same("then merged by us", expected)
split(6)
deltalake.DeltaTable(readings).optimize.compact()
same("rewritten and compacted by delta-rs", expected)
maintain()
same("then looked after by us", expected)
if check().returncode != 0:
    sys.exit(check().stdout)
# A handle that is older than our merge. It may refuse; if it does not, the check must say what it did.
split(6)
stale = deltalake.DeltaTable(readings)
maintain()
try:
    stale.optimize.compact()
    print("a stale compaction of delta-rs was committed")
except Exception as error:  # whatever it calls it
    print("a stale compaction of delta-rs was refused:", type(error).__name__)
found, said = rows(), check()
print(f"{found} rows, `tidemark check` ends with {said.returncode}")
if (found == expected) != (said.returncode == 0):
    sys.exit(f"the check does not say so:\n{said.stdout}")

"""What an outside tool may do beside us: each statement on a lake of its own, then what ingest, `tidemark maintain` and `tidemark check` say to it.

`foreign.py TIDEMARK LAKE WORK [JARS]` prints the table of docs/foreign-tools.md as it is now, and fails where an outcome is another than the document says.
"""
import os
import shutil
import socket
import subprocess
import sys
import time

import deltalake
import engines
import pyarrow

TIDEMARK, LAKE, WORK = (os.path.abspath(path) for path in sys.argv[1:4])
JARS = sys.argv[4] if len(sys.argv) > 4 else None
ONE = "device_id = 'monitor-001' AND metric = 'spo2'"
failures = []


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(*arguments, **environment):
    return subprocess.run([TIDEMARK, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}, timeout=120)


def rows(lake, where="true"):
    builder = deltalake.QueryBuilder().register("readings", deltalake.DeltaTable(f"{lake}/readings"))
    return pyarrow.table(builder.execute(f"SELECT count(*) AS n FROM readings WHERE {where}").read_all())["n"][0].as_py()


def lands(lake):
    """Whether a message that is published now is readable afterwards; else the words of the log."""
    port, admin, spool = free_port(), free_port(), lake + "-spool"
    environment = {
        **os.environ,
        "TIDEMARK_GATEWAY__LISTEN": f"127.0.0.1:{port}", "TIDEMARK_GATEWAY__ADMIN_LISTEN": f"127.0.0.1:{admin}", "TIDEMARK_GATEWAY__SPOOL__DIR": spool,
        "TIDEMARK_LAKE__URL": lake, "TIDEMARK_INGEST__FLUSH_AGE_MS": "200", "TIDEMARK_MAINTAIN__EVERY_SECONDS": "0",
    }
    with open(lake + ".log", "w") as log:
        up = subprocess.Popen([TIDEMARK, "up"], stdout=log, stderr=log, env=environment)
    try:
        waits = time.monotonic() + 15
        published = landed = False
        while time.monotonic() < waits and up.poll() is None and not landed:
            if not published:
                command = ["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "dt/ward/foreign/readings", "-m", '{"metric": "spo2", "value": 97}']
                published = subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
            else:
                landed = rows(lake, "device_id = 'foreign'") > 0
            time.sleep(0.2)
    finally:
        up.terminate()
        try:
            up.wait(20)
        except subprocess.TimeoutExpired:
            up.kill()
            up.wait()
    if landed:
        return "lands"
    return [line for line in open(lake + ".log") if "ERROR" in line or "WARN" in line or line.startswith("tidemark:")][-1].strip()

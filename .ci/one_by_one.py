"""moto's S3, one request after the other: its threads race, and a put-if-absent would now and then have two winners. `one_by_one.py PORT`."""
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

moto, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()


def one_by_one(environ, start_response):
    with turn:
        return list(moto(environ, start_response))


run_simple("127.0.0.1", int(sys.argv[1]), one_by_one, threaded=True)

"""paho-mqtt against a gateway: both versions, QoS 0 to 2, by the transport that the arguments name."""

import argparse
import queue

import paho.mqtt.client as mqtt

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--transport", choices=["tcp", "websockets"], default="tcp")
arguments.add_argument("--ca")
arguments.add_argument("--cert")
arguments.add_argument("--key")
arguments.add_argument("--password-file")
arguments.add_argument("--client-id", required=True)
arguments.add_argument("--topic", required=True, help="a topic that the client may publish to and subscribe to")
options = arguments.parse_args()

for version in (mqtt.MQTTv311, mqtt.MQTTv5):
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, options.client_id, protocol=version, transport=options.transport
    )
    if options.ca:
        client.tls_set(options.ca, options.cert, options.key)
    if options.password_file:
        with open(options.password_file) as file:
            client.username_pw_set(options.client_id, file.read().strip())
    events = queue.Queue()
    client.on_connect = lambda _c, _u, _f, reason, _p: events.put(("connected", str(reason)))
    client.on_subscribe = lambda _c, _u, _m, reasons, _p: events.put(("subscribed", [r.value for r in reasons]))
    client.on_message = lambda _c, _u, message: events.put((message.payload, message.qos))
    client.connect("localhost", options.port)
    client.loop_start()
    assert events.get(timeout=10) == ("connected", "Success")
    client.subscribe(options.topic, qos=2)
    assert events.get(timeout=10) == ("subscribed", [2])
    for qos in (0, 1, 2):
        client.publish(options.topic, f"{version}-{qos}", qos=qos).wait_for_publish(timeout=10)
        assert events.get(timeout=10) == (f"{version}-{qos}".encode(), qos)
    client.disconnect()
    client.loop_stop()
print(f"paho-mqtt by {options.transport}{' and TLS' if options.ca else ''}: both versions, QoS 0 to 2")

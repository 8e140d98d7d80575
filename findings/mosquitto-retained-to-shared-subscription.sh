#!/usr/bin/env bash
# Mosquitto 2.0.11 (Debian 12) hands a retained message to a new shared subscription.
#
# MQTT 5.0, section 4.8.2: retained messages are not sent to a shared subscription when it begins. Workers that share a topic must
# therefore expect an old retained message at each start beside this broker, flagged as retained. Needs Debian 12 and Python 3.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder" && cd "$folder"
apt-get download -q mosquitto=2.0.11-1.2+deb12u2 libwebsockets17=4.1.6-3 libcjson1 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" root; done
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check paho-mqtt==2.1.0
export LD_LIBRARY_PATH="$folder/root/usr/lib/$(uname -m)-linux-gnu"
timeout 60 venv/bin/python - "$folder/root/usr/sbin/mosquitto" <<'PYTHON'
import socket
import subprocess
import sys
import threading

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
broker = subprocess.Popen([sys.argv[1], "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def connected(name):
    client, up = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5), threading.Event()
    client.on_connect = lambda *_: up.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert up.wait(10), "the broker did not answer"
    return client


def first_message(topic_filter):
    """What arrives before a message that is published after the subscription."""
    client, heard, messages, granted = connected(f"subscriber of {topic_filter}"), threading.Event(), [], threading.Event()

    def on_message(_client, _data, message):
        messages.append((message.payload.decode(), bool(message.retain)))
        if message.payload == b"live":
            heard.set()

    client.on_message, client.on_subscribe = on_message, lambda *_: granted.set()
    client.subscribe(topic_filter, qos=1)
    assert granted.wait(10), "no SUBACK"
    publisher.publish("fleet/order", "live", qos=1)
    assert heard.wait(10), "the live message is missing"
    client.disconnect()
    client.loop_stop()
    return messages[0]


try:
    for line in broker.stderr:
        if line.rstrip().endswith("starting"):
            version = line.split("mosquitto version ")[1].split()[0]
        if line.rstrip().endswith("running"):
            break
    publisher = connected("publisher")
    publisher.publish("fleet/order", "old", qos=1, retain=True).wait_for_publish(10)
    plain, shared = first_message("fleet/order"), first_message("$share/workers/fleet/order")
finally:
    broker.kill()
    broker.wait()
print(f"Mosquitto {version}: one retained message, then a subscription, then a live message")
print(f"first message of fleet/order:                {plain[0]} (retained flag {plain[1]})")
print(f"first message of $share/workers/fleet/order: {shared[0]} (retained flag {shared[1]})")
if plain != ("old", True) or shared != ("old", True):
    sys.exit("changed: this finding no longer holds")
print("as found: the shared subscription gets the retained message too")
PYTHON

#!/usr/bin/env bash
# Mosquitto 2.0.11 (Debian 12): message_size_limit is not announced to clients, max_packet_size is.
#
# Both make the broker refuse large messages. MQTT 5 has a property in CONNACK for it (0x27, Maximum Packet Size), so a client might rely on it
# to cut its files into pieces. With message_size_limit it hears of the limit only from the PUBACK that refuses a message (reason 0x95).
# Needs Debian 12 and Python 3.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder" && cd "$folder"
apt-get download -q mosquitto=2.0.11-1.2+deb12u2 libwebsockets17=4.1.6-3 libcjson1 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$folder/root/usr/lib/$(uname -m)-linux-gnu"
timeout 60 python3 - "$folder/root/usr/sbin/mosquitto" <<'PYTHON'
import socket
import subprocess
import sys
from pathlib import Path

LIMIT = 8000
# CONNECT of MQTT 5: clean start, keep alive 60 s, no properties, client identifier "robot-7".
BODY = b"\x00\x04MQTT\x05\x02\x00\x3c\x00" + b"\x00\x07robot-7"


def read(stream, count):
    data = b""
    while len(data) < count:
        data += stream.recv(count - len(data)) or sys.exit("the broker closed the connection")
    return data


def packet(stream):
    """Type byte and body of the next packet; all of them are short here."""
    kind, length = read(stream, 2)
    return kind, read(stream, length)


def seen(setting):
    """The limit in CONNACK, if any, and the reason of the PUBACK for a message that is larger (none: not sent)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Path("mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{setting} {LIMIT}\n")
    broker = subprocess.Popen([sys.argv[1], "-c", "mosquitto.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for line in broker.stderr:
            if line.rstrip().endswith("running"):
                break
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
            stream.sendall(bytes([0x10, len(BODY)]) + BODY)
            kind, body = packet(stream)
            assert kind == 0x20 and body[1] == 0, "no CONNACK"
            properties = body[3:]
            # Properties of this broker's CONNACK are short: 0x27 is followed by four bytes.
            at = properties.find(b"\x27")
            announced = int.from_bytes(properties[at + 1:at + 5], "big") if at >= 0 else None
            if announced is not None:
                return announced, None
            message = b"\x00\x01t" + b"\x00\x01" + b"\x00" + bytes(LIMIT + 1000)
            stream.sendall(bytes([0x32, len(message) % 128 + 128, len(message) // 128]) + message)
            kind, body = packet(stream)
            assert kind == 0x40, "no PUBACK"
            return None, body[2]
    finally:
        broker.kill()
        broker.wait()


results = {setting: seen(setting) for setting in ("max_packet_size", "message_size_limit")}
for setting, (announced, reason) in results.items():
    told = f"CONNACK says {announced}" if announced is not None else "CONNACK says nothing"
    print(f"{setting} {LIMIT}: {told}" + (f", PUBACK of a larger message has reason {reason:#x}" if reason is not None else ""))
if results != {"max_packet_size": (LIMIT, None), "message_size_limit": (None, 0x95)}:
    sys.exit("changed: this finding no longer holds")
print("as found: one limit is announced, the other is met")
PYTHON

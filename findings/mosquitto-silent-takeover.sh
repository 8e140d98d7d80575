#!/usr/bin/env bash
# Mosquitto 2.0.11 (Debian 12) closes a client whose identifier another one takes without the DISCONNECT that MQTT 5 asks for.
#
# MQTT 5.0, section 3.1.4: the server sends the existing client a DISCONNECT with reason 0x8E (session taken over), then closes. Here only the
# connection ends, so a robot cannot tell that its card was cloned from a network that broke, and both sides reconnect for ever.
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

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
broker = subprocess.Popen([sys.argv[1], "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

# CONNECT of MQTT 5: clean start, keep alive 60 s, no properties, client identifier "robot-7".
body = b"\x00\x04MQTT\x05\x02\x00\x3c\x00" + b"\x00\x07robot-7"
connect = bytes([0x10, len(body)]) + body


def client():
    stream = socket.create_connection(("127.0.0.1", port), timeout=10)
    stream.sendall(connect)
    head = stream.recv(2)
    assert head[0] == 0x20, "no CONNACK"
    rest = stream.recv(head[1])
    assert rest[1] == 0, f"refused with {rest[1]:#x}"
    return stream


try:
    for line in broker.stderr:
        if line.rstrip().endswith("starting"):
            version = line.split("mosquitto version ")[1].split()[0]
        if line.rstrip().endswith("running"):
            break
    first = client()
    second = client()
    last_words = first.recv(64)
finally:
    broker.kill()
    broker.wait()
print(f"Mosquitto {version}: a second client says robot-7")
print(f"bytes that the first one gets before its connection ends: {last_words.hex(' ') or 'none'} (a DISCONNECT would begin with e0)")
if last_words:
    sys.exit("changed: this finding no longer holds")
print("as found: taken over without a DISCONNECT")
PYTHON

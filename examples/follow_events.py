"""Prints the events of the mesh as they happen, with nothing but Python's standard library, by WatchEvents over the
Connect protocol (https://connectrpc.com/docs/protocol). Keeps its place in a file, and goes on from there.

    python3 examples/follow_events.py http://127.0.0.1:8080 place.txt [API_KEY]
"""

import json
import pathlib
import struct
import sys
import time
import urllib.request


def read_exactly(reply, count):
    data = reply.read(count)
    if len(data) < count:
        raise ConnectionError("the stream broke off")
    return data


def follow(url, sequence, api_key):
    """Yields every message after that sequence; those without an id only say where the stream is."""
    body = json.dumps({"afterSequence": str(sequence)}).encode()
    headers = {"Content-Type": "application/connect+json"}
    if api_key:
        headers["Authorization"] = "Bearer " + api_key
    request = urllib.request.Request(
        url + "/imagemesh.v1.JobService/WatchEvents", struct.pack(">BI", 0, len(body)) + body, headers
    )
    # A sign of life comes every 10 s.
    with urllib.request.urlopen(request, timeout=30) as reply:
        while True:
            flags, size = struct.unpack(">BI", read_exactly(reply, 5))
            message = json.loads(read_exactly(reply, size))
            if flags & 2:
                raise ConnectionError(message.get("error", "the stream ended"))
            yield message


def keep(path, sequence):
    """Whole or not at all, whenever the program is ended."""
    new = path.with_name(path.name + ".new")
    new.write_text(str(sequence))
    new.replace(path)


def main(url, place, api_key=None):
    path = pathlib.Path(place)
    sequence = int(path.read_text()) if path.exists() else 0
    while True:
        try:
            for message in follow(url, sequence, api_key):
                if "id" in message:
                    print(message["time"], message["type"], message["subject"], flush=True)
                sequence = int(message.get("sequence", 0))
                keep(path, sequence)
        except (OSError, ConnectionError) as error:
            print("trying again:", error, file=sys.stderr, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass

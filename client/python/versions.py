#!/usr/bin/env python3
"""A model version's life over HTTP, with nothing but requests.

    python3 versions.py http://127.0.0.1:8000 model.onnx

packs a model file as a bundle, uploads it in pieces that survive a broken line, promotes it, asks it, rolls back, and reads
the log of one request. Errors carry a stable code and say what to do; GET /v2/errors lists all.
"""
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from base64 import b64encode

import requests

PIECE = 8 << 20


class ServerError(Exception):
    def __init__(self, answer):
        try:
            body = answer.json()
        except ValueError:
            body = {"error": answer.text[:300], "code": "http_%d" % answer.status_code}
        self.code, self.request_id = body.get("code"), body.get("request_id")
        super().__init__("%s: %s (request %s)" % (self.code, body.get("error"), self.request_id))


class Server:
    def __init__(self, url, token=None):
        self.url, self.http = url.rstrip("/"), requests.Session()
        if token:  # needed to change a server that is not on this machine
            self.http.headers["Authorization"] = "Bearer " + token

    def call(self, method, path, **options):
        answer = self.http.request(method, self.url + path, timeout=300, **options)
        if not answer.ok:
            raise ServerError(answer)
        return answer

    def release(self, model):
        return self.call("GET", "/v2/repository/models/%s/release" % model).json()

    def decide(self, model, what, **body):
        return self.call("POST", "/v2/repository/models/%s/%s" % (model, what), json=body).json()

    def push(self, model, version, bundle):
        """Uploads in pieces; after a break it asks where to go on."""
        path = "/v2/repository/models/%s/versions/%d/upload" % (model, version)
        digest = "sha-256=:" + b64encode(hashlib.sha256(bundle).digest()).decode() + ":"
        offset, breaks = 0, 0
        while True:
            piece = bundle[offset:offset + PIECE]
            where = "bytes %d-%d/%d" % (offset, offset + len(piece) - 1, len(bundle)) if piece else "bytes */%d" % len(bundle)
            try:
                state = self.call("PUT", path, data=piece, headers={"Content-Range": where, "Repr-Digest": digest}).json()
            except (requests.ConnectionError, requests.Timeout):
                breaks += 1
                if breaks > 5:
                    raise
                try:
                    state = self.call("GET", path).json()
                except ServerError as e:
                    if e.code != "upload_not_found":
                        raise
                    state = {"offset": 0, "complete": False}  # none is under way: begin, or learn that it is complete
            if state["complete"]:
                return state
            offset = state["offset"]

    def infer(self, model, inputs, request_id):
        return self.call("POST", "/v2/models/%s/infer" % model, json={"id": request_id, "inputs": inputs}).json()

    def logs(self, **query):
        return self.call("GET", "/v2/logs", params=query).json()["lines"]


def pack(model, files):
    """A bundle: zstd around a tar that begins with a manifest of sizes and hashes."""
    entries = sorted(files.items())
    manifest = {"format": "aimass-bundle-1", "model": model,
                "files": [{"path": p, "size": len(b), "sha256": hashlib.sha256(b).hexdigest()} for p, b in entries]}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in [("manifest.json", json.dumps(manifest).encode())] + entries:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return compress(out.getvalue())


def compress(data):
    """zstd by the tool, or as a frame of raw blocks, which every zstd reader takes (RFC 8878, section 3.1.1)."""
    if shutil.which("zstd"):
        return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    block = 128 << 10
    frame = b"\x28\xb5\x2f\xfd\x00\x38"  # magic, no content size, a window of 128 KiB
    blocks = [data[i:i + block] for i in range(0, len(data), block)] or [b""]
    for i, b in enumerate(blocks):
        frame += (len(b) << 3 | (i == len(blocks) - 1)).to_bytes(3, "little") + b
    return frame


def main():
    url, file = sys.argv[1], sys.argv[2]
    server, model = Server(url), "from-python"
    with open(file, "rb") as f:
        onnx = f.read()
    for version in (1, 2):
        card = json.dumps({"model": model, "version": version, "task": "an example"}).encode()
        state = server.push(model, version, pack(model, {"version/model.onnx": onnx, "version/model_card.json": card}))
        print("pushed version %d: %s" % (version, state["state"]))
    server.decide(model, "canary", version=2, percent=50)
    promoted = server.decide(model, "promote")  # of the canary; with "gate" it must prove itself on held-out rows
    print("promoted version %d, before it was %d" % (promoted["stable"], promoted["previous"]))

    ports = server.call("GET", "/v2/models/" + model).json()["inputs"]
    inputs = [{"name": p["name"], "datatype": p["datatype"], "shape": [max(d, 1) for d in p["shape"]]} for p in ports]
    for i in inputs:
        n = 1
        for d in i["shape"]:
            n *= d
        i["data"] = [0] * n
    answer = server.infer(model, inputs, "python-1")
    print("version %s answers %s" % (answer["model_version"], [o["name"] for o in answer["outputs"]]))
    print("rolled back to %d" % server.decide(model, "rollback")["stable"])
    try:
        server.infer("nothing", inputs, "python-2")
    except ServerError as e:
        print("refused as it should be: %s" % e)
    for line in server.logs(request_id="python-2"):
        print("log: %(time)s %(level)s %(msg)s, code %(code)s" % line)


if __name__ == "__main__":
    main()

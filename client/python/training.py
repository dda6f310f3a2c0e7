#!/usr/bin/env python3
"""A training job over HTTP, with nothing but requests.

    python3 training.py http://127.0.0.1:8000 rows.csv TARGET [MODEL]

stores the rows as a snapshot, trains gradient boosted trees on them as a job, follows its log, prints its figures, has the new
version loaded and asks it for the first row, then cancels a second job. Errors carry a stable code; GET /v2/errors lists all.
"""
import csv
import json
import sys
import time

from versions import Server, ServerError


class Trainer(Server):
    def snapshot(self, path):
        """Stores a CSV; equal content is stored once."""
        with open(path, "rb") as f:
            return self.call("POST", "/v2/train/snapshots?name=rows.csv", data=f, headers={"Content-Type": "text/csv"}).json()

    def train(self, **job):
        return self.call("POST", "/v2/train/jobs", json=job).json()["id"]

    def job(self, id):
        return self.call("GET", "/v2/train/jobs/" + id).json()

    def cancel(self, id):
        return self.call("POST", "/v2/train/jobs/%s/cancel" % id).json()

    def follow(self, id):
        """The lines of a job's log as they come, until it has ended."""
        with self.call("GET", "/v2/train/jobs/%s/logs" % id, stream=True, headers={"Accept": "text/event-stream"}) as events:
            for line in events.iter_lines():
                if line.startswith(b"event: end"):
                    return
                if line.startswith(b"data: {"):
                    yield json.loads(line[len(b"data: "):])

    def wait_ready(self, model, seconds=30):
        for _ in range(seconds * 10):
            if self.http.get(self.url + "/v2/models/%s/ready" % model, timeout=10).ok:
                return
            time.sleep(0.1)
        raise SystemExit("%s is not ready after %d s" % (model, seconds))


def main():
    url, path, target = sys.argv[1:4]
    model = sys.argv[4] if len(sys.argv) > 4 else "trained-from-python"
    server = Trainer(url)
    data = server.snapshot(path)
    print("snapshot %s: %d rows" % (data["id"][:12], data["rows"]))
    # "load" has the server load the version when the job has made it.
    id = server.train(trainer="gbdt", model=model, target=target, data={"snapshot": data["id"]}, parameters={"rounds": 50}, load=True)
    for line in server.follow(id):
        print("  %s" % " ".join(filter(None, (line["stage"], line.get("message")))))
    job = server.job(id)
    if job["state"] != "succeeded":
        raise SystemExit("the job has %s: %s" % (job["state"], job["error"]))
    print("version %d: %s" % (job["result"]["version"], ", ".join("%s %.4f" % (m["name"], m["value"]) for m in job["result"]["metrics"])))

    server.wait_ready(model)
    features = server.call("GET", "/v2/train/jobs/%s/artefacts/features.json" % id).json()["features"]
    with open(path, newline="") as f:
        row = next(csv.DictReader(f))
    inputs = []
    for name, datatype in (("numeric", "FP32"), ("categorical", "BYTES")):
        columns = [c["name"] for c in features if c["kind"] == name]
        if columns:
            values = [row[c] if datatype == "BYTES" else float(row[c] or "nan") for c in columns]
            inputs.append({"name": name, "datatype": datatype, "shape": [1, len(columns)], "data": values})
    print("the first row: %s" % {o["name"]: o["data"] for o in server.infer(model, inputs, "python-3")["outputs"]})

    second = server.train(trainer="gbdt", model=model, target=target, data={"snapshot": data["id"]}, parameters={"rounds": 1000000, "early_stop": 0})
    server.cancel(second)
    for _ in server.follow(second):
        pass
    print("the second job is %s" % server.job(second)["state"])
    try:
        server.train(trainer="gbdt", model=model, target="nothing", data={"snapshot": "0" * 64})
    except ServerError as e:
        print("refused as it should be: %s" % e)


if __name__ == "__main__":
    main()

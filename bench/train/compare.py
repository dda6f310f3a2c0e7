"""Trains gradient boosting with LightGBM and with aimass on the same rows and compares AUC and time.

usage: compare.py AIMASS DATA_DIR RESULT.md [no-show CSV or zip]

Both get the same features, settings, threads and rows: by an order column, 60 % to fit, 10 % to stop early, the last 20 %
to test (10 % are for aimass's intervals and not used here). LightGBM's time is that of its Dataset and its training, that
of aimass of its binning and training; reading the file counts for neither. The best of several runs counts, taken in turn.
"""
import io, json, os, pathlib, subprocess, sys, tempfile, time, zipfile
import numpy as np, pandas as pd, lightgbm as lgb
from sklearn.metrics import roc_auc_score

THREADS, RUNS = 2, int(os.environ.get("RUNS", "5"))
SET = dict(rounds=400, learning_rate=0.05, leaves=31, min_rows=50, l2=1, early_stop=50, bins=255)


def credit(n=120_000, seed=1):
    """A credit file in form: incomes, ages with gaps, jobs and regions with many values, an imbalanced outcome."""
    r = np.random.default_rng(seed)
    age = np.round(r.gamma(9, 5, n).clip(18, 95))
    income = np.round(np.exp(r.normal(10, 0.7, n)), 2)
    debt = np.round(income * r.beta(2, 5, n), 2)
    job, region = r.integers(0, 40, n), r.zipf(1.5, n).clip(1, 200)
    years, lines = np.round(r.exponential(6, n), 1), r.poisson(4, n)
    kind = r.choice(["own", "rent", "mortgage", "other"], n, p=[.2, .4, .35, .05])
    jw, rw = r.normal(0, .5, 40), r.normal(0, .4, 201)
    z = -2.4 + 3 * debt / income - .02 * (age - 40) - .06 * years + jw[job] + rw[region] + .12 * np.abs(lines - 4) + .5 * (kind == "rent") * (age < 30)
    y = r.random(n) < 1 / (1 + np.exp(-z))
    d = pd.DataFrame(dict(age=age, income=income, debt=debt, years=years, lines=lines, job=[f"j{v}" for v in job], region=[f"r{v}" for v in region], kind=kind))
    d.loc[r.random(n) < .08, "age"] = np.nan
    d.loc[r.random(n) < .2, "years"] = np.nan
    return d.assign(y=np.where(y, "yes", "no"))


def physics(n=150_000, seed=2):
    """Events in form: 28 numbers, the signal in products and radii of some of them."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(n, 28)).astype(np.float32)
    z = .8 * x[:, 0] * x[:, 1] + np.hypot(x[:, 2], x[:, 3]) - 1.2 + .6 * np.sin(2 * x[:, 4]) + .4 * x[:, 5] * (x[:, 6] > 0) + .3 * x[:, 7]
    y = r.random(n) < 1 / (1 + np.exp(-1.5 * z))
    return pd.DataFrame({f"x{i}": x[:, i] for i in range(28)}).assign(y=y.astype(int))


def noshow(path):
    """The public no-show file: what is known at booking, without the patients' histories."""
    raw = open(path, "rb").read()
    if raw[:2] == b"PK":
        z = zipfile.ZipFile(io.BytesIO(raw))
        raw = z.read([n for n in z.namelist() if n.endswith(".csv")][0])
    d = pd.read_csv(io.BytesIO(raw))
    booked, day = pd.to_datetime(d["ScheduledDay"]), pd.to_datetime(d["AppointmentDay"])
    out = pd.DataFrame(dict(age=d["Age"], male=(d["Gender"] == "M").astype(int), lead=(day.dt.normalize() - booked.dt.normalize()).dt.days,
                            hour=booked.dt.hour + booked.dt.minute / 60, booked=booked.dt.dayofweek, weekday=day.dt.dayofweek, scholarship=d["Scholarship"],
                            hipertension=d["Hipertension"], diabetes=d["Diabetes"], alcoholism=d["Alcoholism"], handcap=d["Handcap"], sms=d["SMS_received"],
                            place=d["Neighbourhood"], y=d["No-show"]))
    return out[(out.lead >= 0) & (out.age >= 0)].reset_index(drop=True)


def rows(n, seed=7):
    order = np.random.default_rng(seed).permutation(n)  # the value of the order column
    at = np.argsort(order)
    return order, at[: int(.6 * n)], at[int(.6 * n): int(.7 * n)], at[int(.8 * n):]


def ours(binary, csv, cats, seed):
    with tempfile.TemporaryDirectory() as out:
        args = [binary, "train", "gbdt", "--data", csv, "--target", "y", "--out", out, "--model", "m", "--order", "order", "--workers", str(THREADS), "--seed", str(seed),
                "--set", ",".join(f"{k}={v}" for k, v in SET.items()) + ",outlier_rate=0"]
        subprocess.run(args, check=True, capture_output=True, env=dict(os.environ, GOMAXPROCS=str(THREADS)))
        rep = json.load(open(f"{out}/m/1/report.json"))
        return next(m["value"] for m in rep["metrics"] if m["name"] == "auc"), rep["fit_seconds"]


def theirs(d, parts, cats, seed):
    x, y = d.drop(columns=["y", "order"]).copy(), (d["y"].astype(str).isin(["yes", "Yes", "1"])).astype(int)
    for c in cats:
        x[c] = x[c].astype("category")
    fit, valid, test = parts
    began = time.perf_counter()
    a = lgb.Dataset(x.iloc[fit], y.iloc[fit], categorical_feature=cats, params=dict(max_bin=SET["bins"], num_threads=THREADS, verbose=-1))
    b = lgb.Dataset(x.iloc[valid], y.iloc[valid], reference=a)
    m = lgb.train(dict(objective="binary", learning_rate=SET["learning_rate"], num_leaves=SET["leaves"], min_data_in_leaf=SET["min_rows"], lambda_l2=SET["l2"],
                       max_bin=SET["bins"], num_threads=THREADS, verbose=-1, seed=seed, metric="binary_logloss"),
                  a, SET["rounds"], valid_sets=[b], callbacks=[lgb.early_stopping(SET["early_stop"], verbose=False)])
    took = time.perf_counter() - began
    return roc_auc_score(y.iloc[test], m.predict(x.iloc[test], num_iteration=m.best_iteration)), took


def main():
    binary, data, result = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    data.mkdir(parents=True, exist_ok=True)
    sets = {"credit": credit(), "physics": physics()}
    if len(sys.argv) > 4 and os.path.exists(sys.argv[4]):
        sets["no-show"] = noshow(sys.argv[4])
    else:
        print("NOT RUN: bench-train on the no-show file: it is absent")
    lines = ["| data | rows × columns | AUC aimass | AUC LightGBM | difference | s aimass | s LightGBM | ratio |", "|---|---|---|---|---|---|---|---|"]
    bad = 0
    for name, d in sets.items():
        order, fit, valid, test = rows(len(d))
        d = d.assign(order=order)
        cats = [c for c in d.columns if d[c].dtype == object or str(d[c].dtype) in ("str", "string") and c != "y"]
        cats = [c for c in cats if c != "y"]
        csv = str(data / f"{name}.csv")
        d.to_csv(csv, index=False)
        a, b = [], []
        for run in range(RUNS):
            a.append(ours(binary, csv, cats, 1))
            b.append(theirs(d, (fit, valid, test), cats, 1))
        auc1, auc2, t1, t2 = a[0][0], b[0][0], min(t for _, t in a), min(t for _, t in b)
        ok = auc1 >= auc2 - .002 and t1 <= 1.5 * t2
        bad += not ok
        lines.append(f"| {name} | {len(d)} × {d.shape[1] - 2} | {auc1:.4f} | {auc2:.4f} | {auc1 - auc2:+.4f} | {t1:.2f} | {t2:.2f} | {t1 / t2:.2f} |")
        print(lines[-1], flush=True)
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(f"# Gradient boosting against LightGBM {lgb.__version__}\n\n{cpu}, {THREADS} threads each, best of {RUNS} runs in turn; {SET}.\n"
                      "Same rows, features and settings; time without reading the file. `make bench-train` makes this page.\n\n" + "\n".join(lines) + "\n")
    print(f"{len(sets) - bad} of {len(sets)} within 0.002 AUC and 1.5 times the time; written to {result}")


main()

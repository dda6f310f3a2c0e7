"""Records golden.json.gz of runtime/ops/ml: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import Tensor, case, cases, write  # noqa: E402

ML = "ai.onnx.ml"
rng = np.random.default_rng(7)
F = np.float32


def c(name, op, inputs, opset=1, outs=(1,), fails=None, rtol=1e-5, atol=1e-6, **attrs):
    return case(name, op, inputs, attrs, ML, opset, outs, rtol, atol, fails=fails)


def random_tree(tid, features, depth, modes, missing, grid):
    """Nodes of one tree in preorder: lists of (tree, node, feature, value, mode, yes, no, missing)."""
    nodes = []

    def build(d):
        me = len(nodes)
        nodes.append(None)
        if d == 0 or (d < depth and rng.random() < 0.2):
            nodes[me] = (tid, me, 0, 0.0, "LEAF", 0, 0, 0)
            return me
        f, v, m = int(rng.integers(features)), float(F(rng.choice(grid))), str(rng.choice(modes))
        miss = int(rng.integers(2)) if missing else 0
        yes = build(d - 1)
        no = build(d - 1)
        nodes[me] = (tid, me, f, v, m, yes, no, miss)
        return me

    build(depth)
    return nodes


def forest(trees, features, depth, modes, missing, grid):
    nodes = [n for t in range(trees) for n in random_tree(t, features, depth, modes, missing, grid)]
    k = list(zip(*nodes))
    a = dict(nodes_treeids=k[0], nodes_nodeids=k[1], nodes_featureids=k[2], nodes_values=np.array(k[3], F), nodes_modes=k[4],
             nodes_truenodeids=k[5], nodes_falsenodeids=k[6])
    if missing:
        a["nodes_missing_value_tracks_true"] = k[7]
    leaves = [(n[0], n[1]) for n in nodes if n[4] == "LEAF"]
    return a, leaves


LEQ = ["BRANCH_LEQ"]
ALL = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
GRID = np.arange(-3, 4) / 2


def features(n, k, nan=False):
    x = rng.choice(GRID, (n, k)).astype(F)
    x += (rng.random((n, k)) < 0.3) * rng.normal(size=(n, k)).astype(F)
    if nan:
        x[rng.random((n, k)) < 0.15] = np.nan
    return x.astype(F)


def trees():
    i = 0
    for post in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]:
        for agg in ["SUM", "AVERAGE", "MIN", "MAX"]:
            for targets in [1, 3]:
                base = [None, rng.random(targets) * 0.2][i // 2 % 2]
                a, leaves = forest(3, 4, 3, [LEQ, ALL][i % 2], i % 4 == 1, GRID)
                ids, at = [], []
                for leaf in leaves:
                    for t in (range(targets) if targets == 1 else rng.choice(targets, rng.integers(1, targets + 1), replace=False)):
                        ids.append(int(t))
                        at.append(leaf)
                w = rng.random(len(ids)) * 0.3 + 0.01 if post == "PROBIT" else rng.normal(size=len(ids))
                a.update(target_ids=ids, target_treeids=[t for t, _ in at], target_nodeids=[n for _, n in at], target_weights=w.astype(F),
                         n_targets=targets, aggregate_function=agg, post_transform=post)
                if base is not None:
                    a["base_values"] = base.astype(F)
                x = features([1, 5][i % 5 > 0], 4, i % 4 == 1)
                c(f"regressor_{post}_{agg}_{targets}", "TreeEnsembleRegressor", [x], opset=[1, 3][i % 2], rtol=2e-5, atol=2e-6, **a)
                i += 1
    for post in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]:
        for classes, given in [(2, [0]), (2, [1]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 2, 3]), (1, [0])]:
            for sign in ["positive", "mixed"]:
                for nbase in sorted({0, 1, classes}):
                    if classes == 1 and nbase > 1 or post == "PROBIT" and (sign == "mixed" or classes == 2):
                        continue
                    # With one base value and two classes ONNX Runtime leaves the second score unwritten.
                    if classes > 2 and nbase == 1 or classes == 2 and len(given) == 2 and nbase == 1:
                        continue
                    a, leaves = forest(3, 4, 2, [LEQ, ALL][i % 2], i % 4 == 1, GRID)
                    w = rng.random(len(leaves)) * 0.3 + 0.01
                    if sign == "mixed":
                        w = rng.normal(size=len(leaves))
                    a.update(class_ids=[given[k % len(given)] for k in range(len(leaves))], class_treeids=[t for t, _ in leaves],
                             class_nodeids=[n for _, n in leaves], class_weights=w.astype(F), post_transform=post)
                    if nbase:
                        a["base_values"] = (rng.random(nbase) * 0.2).astype(F)
                    if i % 3 == 0 and classes > 1:
                        a["classlabels_strings"] = [f"c{k}" for k in range(classes)]
                    else:
                        a["classlabels_int64s"] = [7 + 3 * k for k in range(classes)]
                    x = features([1, 6][i % 4 > 0], 4, i % 4 == 1)
                    c(f"classifier_{post}_{classes}_{len(given)}{given[0]}_{sign}_{nbase}", "TreeEnsembleClassifier", [x],
                      opset=[1, 3][i % 2], outs=(1, 1), rtol=2e-5, atol=2e-6, **a)
                    i += 1
    # Inputs of other types, double thresholds, many trees, weights on inner nodes.
    for dt in [np.float64, np.int64, np.int32]:
        a, leaves = forest(4, 3, 3, ALL, False, GRID)
        a.update(target_ids=[0] * len(leaves), target_treeids=[t for t, _ in leaves], target_nodeids=[n for _, n in leaves],
                 target_weights=rng.normal(size=len(leaves)).astype(F), n_targets=1)
        if dt == np.float64:
            c(f"regressor_{np.dtype(dt).name}", "TreeEnsembleRegressor", [features(5, 3).astype(dt)], opset=3, rtol=2e-5, atol=2e-6, **a)
        b = {k: v for k, v in a.items() if not k.startswith("target") and k != "n_targets"}
        b.update(class_ids=[0] * len(leaves), class_treeids=a["target_treeids"], class_nodeids=a["target_nodeids"], class_weights=a["target_weights"],
                 classlabels_int64s=[0, 1], post_transform="LOGISTIC")
        c(f"classifier_{np.dtype(dt).name}", "TreeEnsembleClassifier", [features(5, 3).astype(dt)], opset=3, outs=(1, 1), rtol=2e-5, atol=2e-6, **b)
    grid = rng.normal(size=9)
    a, leaves = forest(90, 3, 2, LEQ, False, grid)
    v, w = rng.choice(grid, len(a["nodes_values"])), rng.normal(size=len(leaves))
    del a["nodes_values"]
    a.update(target_ids=[0] * len(leaves), target_treeids=[t for t, _ in leaves], target_nodeids=[n for _, n in leaves], n_targets=1,
             nodes_values_as_tensor=Tensor(v), target_weights_as_tensor=Tensor(w))
    x = rng.normal(size=(9, 3))
    x[:, 0] = grid
    c("regressor_double", "TreeEnsembleRegressor", [x], opset=3, **a)
    tree = dict(nodes_treeids=[0] * 3, nodes_featureids=[0] * 3, nodes_values=np.array([0, 0, 0], F), nodes_nodeids=[0, 1, 2],
                nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], n_targets=1, target_ids=[0, 0], target_treeids=[0, 0], target_nodeids=[1, 2],
                target_weights=np.array([1, 2], F))
    x = features(3, 2)
    c("regressor_cycle", "TreeEnsembleRegressor", [x], fails=False, **(tree | dict(nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0])))
    # A leaf with several weights for one target, as exports of decision paths have them.
    again = tree | dict(nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], target_ids=[0] * 5, target_treeids=[0] * 5, target_nodeids=[2, 1, 1, 2, 1],
                        target_weights=np.array([1, 2, 3, 4, 5], F))
    for agg in ["SUM", "AVERAGE", "MIN", "MAX"]:
        c(f"regressor_again_{agg}", "TreeEnsembleRegressor", [x], aggregate_function=agg, **again)
    c("regressor_again_two", "TreeEnsembleRegressor", [x], **(again | dict(n_targets=2, target_ids=[0, 1, 1, 0, 0])))
    c("regressor_no_child", "TreeEnsembleRegressor", [x], fails=True, **(tree | dict(nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[5, 0, 0])))
    c("regressor_own_child", "TreeEnsembleRegressor", [x], fails=True, **(tree | dict(nodes_truenodeids=[0, 0, 0], nodes_falsenodeids=[2, 0, 0])))


def trees5():
    for i in range(24):
        features_n, n_targets = 4, [1, 3][i % 2]
        dt = [np.float32, np.float64][i % 5 == 4]
        inner, leaf_t, leaf_w, roots, members = [], [], [], [], []

        def build(d):
            if d == 0:
                leaf_t.append(int(rng.integers(n_targets)))
                leaf_w.append(rng.random() * 0.3 + 0.01)
                return len(leaf_t) - 1, 1
            me = len(inner)
            inner.append(None)
            mode = int(rng.integers(7 if i % 3 else 1))
            if mode == 6:
                members.append((me, rng.choice(np.arange(-1, 4), 2, replace=False)))
            t, f = build(d - 1), build(d - 1)
            inner[me] = (int(rng.integers(features_n)), rng.choice(GRID), mode, t, f, int(rng.integers(2)))
            return me, 0

        for _ in range(3):
            roots.append(len(inner))
            build(int(rng.integers(1, 4)))
        a = dict(nodes_featureids=[n[0] for n in inner], nodes_splits=Tensor(np.array([n[1] for n in inner], dt)),
                 nodes_modes=Tensor(np.array([n[2] for n in inner], np.uint8)), nodes_truenodeids=[n[3][0] for n in inner],
                 nodes_trueleafs=[n[3][1] for n in inner], nodes_falsenodeids=[n[4][0] for n in inner], nodes_falseleafs=[n[4][1] for n in inner],
                 leaf_targetids=leaf_t, leaf_weights=Tensor(np.array(leaf_w, dt)), tree_roots=roots, n_targets=n_targets,
                 aggregate_function=i % 4, post_transform=(i // 4) % 5)
        if members:
            v = []
            for _, m in sorted(members, key=lambda p: p[0]):
                v += list(m) + [np.nan]
            a["membership_values"] = Tensor(np.array(v, dt))
        if i % 4 == 1:
            a["nodes_missing_value_tracks_true"] = [n[5] for n in inner]
        x = features(6, features_n, i % 4 == 1).astype(dt)
        # ONNX Runtime cuts features to integers before it looks for them in a set, and
        # numbers the transforms SOFTMAX and LOGISTIC the other way round than the standard.
        if members:
            x = np.floor(x)
        post = a["post_transform"]
        a["post_transform"] = [0, 2, 1, 3, 4][post]
        if c(f"ensemble_{i}", "TreeEnsemble", [x], opset=5, rtol=2e-5, atol=2e-6, **a) is not None:
            cases[-1]["attrs"]["post_transform"]["i"] = post


def linear():
    for post in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]:
        for targets, labels in [(1, 2), (2, 2), (3, 3)]:
            scale = 0.1 if post == "PROBIT" else 1
            a = dict(coefficients=(rng.random(targets * 4) * scale).astype(F), intercepts=(rng.random(targets) * scale).astype(F), post_transform=post)
            if targets % 2:
                a["classlabels_ints"] = [5 + k for k in range(labels)]
            else:
                a["classlabels_strings"] = [f"l{k}" for k in range(labels)]
            x = rng.random((5, 4)).astype(F)
            if post != "PROBIT":
                x -= 0.5
            if not (post == "PROBIT" and (targets, labels) == (1, 2)):
                c(f"linear_classifier_{post}_{targets}_{labels}", "LinearClassifier", [x], outs=(1, 1), **a)
            b = dict(coefficients=a["coefficients"], intercepts=a["intercepts"], post_transform=post, targets=targets)
            c(f"linear_regressor_{post}_{targets}_{labels}", "LinearRegressor", [x], **b)
    c("linear_classifier_strings1", "LinearClassifier", [features(5, 2)], outs=(1, 1), coefficients=[1.0, -1.0], intercepts=[0.25], classlabels_strings=["no", "yes"])
    c("linear_classifier_int64", "LinearClassifier", [rng.integers(-3, 3, (4, 2))], outs=(1, 1), coefficients=[1.0, -1.0, 0.5, 0.5], intercepts=[0.25, 0.0], classlabels_ints=[4, 9])
    c("linear_classifier_vector", "LinearClassifier", [features(1, 2)[0]], outs=(1, 1), coefficients=[1.0, -1.0, 0.5, 0.5], intercepts=[0.25, 0.0], classlabels_ints=[4, 9])
    c("linear_regressor_no_intercept", "LinearRegressor", [features(5, 2)], coefficients=[1.0, -1.0], targets=1)


def svm():
    for kernel in ["LINEAR", "POLY", "RBF", "SIGMOID"]:
        for classes in [2, 3, 4]:
            for proba in [False, True]:
                for post in ["NONE", "LOGISTIC", "SOFTMAX"]:
                    if post != "NONE" and (kernel != "RBF" or classes == 4):
                        continue
                    per = [int(v) for v in rng.integers(1, 4, classes)]
                    n, pairs = sum(per), classes * (classes - 1) // 2
                    a = dict(kernel_type=kernel, kernel_params=[0.3, 0.1, 3.0], vectors_per_class=per, support_vectors=rng.normal(size=n * 3).astype(F),
                             coefficients=rng.normal(size=n * (classes - 1)).astype(F), rho=rng.normal(size=pairs).astype(F), post_transform=post)
                    if proba:
                        a.update(prob_a=(-rng.random(pairs)).astype(F), prob_b=rng.normal(size=pairs).astype(F))
                    if classes == 3:
                        a["classlabels_strings"] = ["x", "y", "z"]
                    else:
                        a["classlabels_ints"] = [3 * k + 1 for k in range(classes)]
                    c(f"svc_{kernel}_{classes}_{proba}_{post}", "SVMClassifier", [rng.normal(size=(6, 3)).astype(F)], outs=(1, 1), rtol=1e-4, atol=1e-5, **a)
        a = dict(kernel_type=kernel, kernel_params=[0.3, 0.1, 2.0], support_vectors=rng.normal(size=12).astype(F), n_supports=4,
                 coefficients=rng.normal(size=4).astype(F), rho=[0.3])
        c(f"svr_{kernel}", "SVMRegressor", [rng.normal(size=(5, 3)).astype(F)], rtol=1e-4, atol=1e-5, **a)
        c(f"oneclass_{kernel}", "SVMRegressor", [rng.normal(size=(5, 3)).astype(F)], one_class=1, **a)
    for classes in [2, 3]:
        for post in ["NONE", "LOGISTIC", "SOFTMAX"]:
            for sign in ["positive", "mixed"]:
                w = rng.normal(size=classes * 3)
                if sign == "positive":
                    w = abs(w)
                c(f"svc_liblinear_{classes}_{post}_{sign}", "SVMClassifier", [rng.normal(size=(6, 3)).astype(F)], outs=(1, 1), kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0],
                  coefficients=w.astype(F), rho=rng.normal(size=classes).astype(F) * F(0.3), post_transform=post, classlabels_ints=[2 * k for k in range(classes)])
    c("svc_double", "SVMClassifier", [rng.normal(size=(6, 3))], outs=(1, 1), kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0], coefficients=rng.normal(size=6).astype(F), rho=[0.2, 0.1], classlabels_ints=[0, 1])
    c("svr_linear_mode", "SVMRegressor", [rng.normal(size=(5, 3)).astype(F)], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0], coefficients=rng.normal(size=3).astype(F), rho=[0.2], n_supports=0)


def feature_ops():
    S = lambda *v: np.array(v, dtype=object)  # noqa: E731
    x = features(4, 3)
    for dt in [np.float32, np.float64, np.int64, np.int32]:
        n = np.dtype(dt).name
        c(f"scaler_{n}", "Scaler", [(x * 3).astype(dt)], offset=[0.5, -1.0, 0.25], scale=[2.0, 0.3, 1.5])
        c(f"scaler_one_{n}", "Scaler", [(x * 3).astype(dt)], offset=[0.5], scale=[0.3])
        for norm in ["MAX", "L1", "L2"]:
            y = (x * 3).astype(dt)
            y[1] = 0
            c(f"normalizer_{norm}_{n}", "Normalizer", [y], norm=norm)
    c("scaler_vector", "Scaler", [x[0]], offset=[0.5, -1.0, 0.25], scale=[2.0, 0.3, 1.5])
    c("scaler_bad", "Scaler", [x], offset=[0.5, 1.0], scale=[2.0, 0.3], fails=True)
    c("normalizer_negative", "Normalizer", [-np.abs(x) - 1], norm="MAX")
    c("normalizer_vector", "Normalizer", [x[0]], norm="L2")
    cats = S("a", "b", "ü", "")
    c("onehot_strings", "OneHotEncoder", [S("b", "zz", "ü", "", "a")], cats_strings=list(cats))
    c("onehot_strings2", "OneHotEncoder", [S("b", "zz", "ü", "", "a", "a").reshape(3, 2)], cats_strings=list(cats), zeros=1)
    c("onehot_strict", "OneHotEncoder", [S("b", "zz")], cats_strings=list(cats), zeros=0, fails=True)
    for dt in [np.int64, np.float32, np.float64]:
        c(f"onehot_{np.dtype(dt).name}", "OneHotEncoder", [np.array([[1, 5], [-2, 9]]).astype(dt)], cats_int64s=[5, 1, -2])
    c("onehot_fraction", "OneHotEncoder", [np.array([1.7, -0.5, 5.0], F)], cats_int64s=[5, 1, 0])
    c("labels_v1_to", "LabelEncoder", [S("b", "q", "a")], classes_strings=["a", "b"], default_int64=-7)
    c("labels_v1_from", "LabelEncoder", [np.array([[1, 0], [5, -1]])], classes_strings=["a", "b"], default_string="?")
    kv = {"strings": (["a", "b", "c"], S("c", "a", "zz")), "int64s": ([4, 1, 9], np.array([9, 4, 7])), "floats": ([0.5, 1.0, 2.5], np.array([2.5, 0.5, 7], F))}
    for kn, (k, xin) in kv.items():
        for vn, (v, _) in kv.items():
            for op in [2, 4]:
                c(f"labels_{kn}_{vn}_{op}", "LabelEncoder", [xin.reshape(1, 3)], opset=op, **{"keys_" + kn: k, "values_" + vn: v})
    c("labels_defaults", "LabelEncoder", [S("c", "zz")], opset=2, keys_strings=["c"], values_int64s=[4], default_int64=99)
    c("labels_twice", "LabelEncoder", [S("c", "d")], opset=2, keys_strings=["c", "d", "c"], values_int64s=[1, 2, 3])
    for op in [2, 4]:
        c(f"labels_nan_{op}", "LabelEncoder", [np.array([np.nan, 1, 2], F)], opset=op, keys_floats=[1.0, float("nan")], values_int64s=[1, 2])
    T = Tensor
    c("labels_t_i16", "LabelEncoder", [S("a", "zz")], opset=4, keys_tensor=T(S("a", "b")), values_tensor=T(np.array([3, 4], np.int16)), default_tensor=T(np.array([9], np.int16)))
    c("labels_t_double", "LabelEncoder", [np.array([1.5, np.nan, 8])], opset=4, keys_tensor=T(np.array([1.5, np.nan])), values_tensor=T(np.array([3.25, 4.5])), default_tensor=T(np.array([9.0])))
    c("labels_t_nodefault", "LabelEncoder", [np.array([1, 7])], opset=4, keys_tensor=T(np.array([1, 2])), values_tensor=T(S("p", "q")))
    c("labels_mismatch", "LabelEncoder", [S("a")], opset=2, keys_strings=["a", "b"], values_int64s=[1], fails=True)
    for xin in [x, S("a", "b", "c", "d", "e", "f").reshape(2, 3), rng.integers(0, 9, (2, 3)), rng.integers(0, 9, (2, 2, 3)).astype(np.int32), x[0], x.astype(np.float64)]:
        c(f"extract_{xin.dtype.name}_{xin.ndim}", "ArrayFeatureExtractor", [xin, np.array([2, 0, 2])])
    c("extract_2d", "ArrayFeatureExtractor", [x, np.array([[1, 0]])])
    c("extract_bad", "ArrayFeatureExtractor", [x, np.array([3])], fails=True)
    y = x.copy()
    y[0, 1], y[2, 2] = np.nan, np.nan
    c("impute_nan", "Imputer", [y], imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=float("nan"))
    c("impute_one", "Imputer", [y], imputed_value_floats=[9.0], replaced_value_float=float("nan"))
    c("impute_value", "Imputer", [y], imputed_value_floats=[9.0], replaced_value_float=float(y[1, 1]))
    c("impute_int", "Imputer", [np.array([[1, 2], [3, 1]])], imputed_value_int64s=[7, 8], replaced_value_int64=1)
    c("binarizer", "Binarizer", [x], threshold=0.5)
    c("zipmap_int", "ZipMap", [x], classlabels_int64s=[3, 5, 8])
    c("zipmap_str", "ZipMap", [x], classlabels_strings=["a", "b", "c"])
    c("zipmap_bad", "ZipMap", [x], classlabels_strings=["a", "b"], fails=True)
    c("vectorize", "FeatureVectorizer", [x, features(4, 2)], inputdimensions=[3, 2])
    c("vectorize_pad", "FeatureVectorizer", [x, features(4, 2)], inputdimensions=[2, 4])
    c("vectorize_int", "FeatureVectorizer", [rng.integers(0, 9, (2, 3)), rng.integers(0, 9, (2, 1))], inputdimensions=[3, 1])
    c("vectorize_vector", "FeatureVectorizer", [features(1, 4)[0], features(1, 4)[0]], inputdimensions=[1, 1])
    c("dict_str", "DictVectorizer", [{"a": 1.5, "zz": 2.0, "c": 3.0}], string_vocabulary=["c", "b", "a"])
    c("dict_int", "DictVectorizer", [{4: 1.5, 9: 2.0}], int64_vocabulary=[9, 1, 4])
    c("castmap_dense", "CastMap", [{4: 1.5, 1: 2.0}])
    c("castmap_sparse", "CastMap", [{4: 1.5, 1: 2.0}], map_form="SPARSE", max_map=6)
    c("castmap_to_text", "CastMap", [{4: 1.5, 1: 2.0}], cast_to="TO_STRING")
    c("castmap_to_text_sparse", "CastMap", [{4: 1.5, 1: 2.0}], cast_to="TO_STRING", map_form="SPARSE", max_map=6)
    c("category_to", "CategoryMapper", [S("a", "zz", "b")], cats_strings=["a", "b"], cats_int64s=[5, 6])
    c("category_from", "CategoryMapper", [np.array([[6, 1]])], cats_strings=["a", "b"], cats_int64s=[5, 6])


trees()
trees5()
linear()
svm()
feature_ops()
write(sys.argv[1])

"""Records golden.json.gz of runtime/ops/text: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

rng = np.random.default_rng(3)


def S(*v):
    return np.array(v, dtype=object)


for mode in ["TF", "IDF", "TFIDF"]:
    for skips in [0, 1, 3]:
        for least, most in [(1, 1), (1, 2), (2, 2), (2, 3), (1, 3)]:
            pool = list(range(6)) + [0, 1, 2, 3, 1, 1, 5, 4] + [0, 1, 2, 3, 3, 3]
            n = 6 + 4 + 2
            a = dict(mode=mode, max_skip_count=skips, min_gram_length=least, max_gram_length=most, ngram_counts=[0, 6, 14],
                     ngram_indexes=[int(v) for v in rng.permutation(n)])
            if skips == 1:
                a["weights"] = rng.random(n).astype(np.float32)
            x = rng.integers(0, 8, (3, 9))
            if mode == "IDF":
                a["pool_strings"] = [f"w{v}" for v in pool]
                x = S(*[f"w{v}" for v in x.ravel()]).reshape(3, 9)
            else:
                a["pool_int64s"] = pool
                if skips == 0:
                    x = x.astype(np.int32)
            case(f"tfidf_{mode}_{skips}_{least}_{most}", "TfIdfVectorizer", [x], a, opset=9)
            case(f"tfidf_row_{mode}_{skips}_{least}_{most}", "TfIdfVectorizer", [x[0]], a, opset=9)
words = S("Monday", "tuesday", "ÉTÉ", "monday", "", "Wed nesday")
for action in ["NONE", "LOWER", "UPPER"]:
    for sensitive in [0, 1]:
        for stop in [None, ["monday"], ["Monday", "TUESDAY"]]:
            a = dict(case_change_action=action, is_case_sensitive=sensitive, locale="C.UTF-8")
            if stop:
                a["stopwords"] = stop
            case(f"normalize_{action}_{sensitive}_{stop}", "StringNormalizer", [words], a, opset=10)
            case(f"normalize2_{action}_{sensitive}_{stop}", "StringNormalizer", [words.reshape(1, -1)], a, opset=10)
case("normalize_all", "StringNormalizer", [S("a", "a")], dict(stopwords=["a"], is_case_sensitive=1), opset=10)
case("normalize_bad", "StringNormalizer", [S("a", "a").reshape(2, 1)], dict(stopwords=["a"], is_case_sensitive=1), opset=10, fails=True)
texts = S("a,b,,c", "", ",", "abc", "x,y").reshape(5, 1)
for most in [None, 0, 1, 2]:
    for sep, x in [(",", texts), (",,", texts), (None, S(" a  b c ", "", "  ", "one", "x y"))]:
        a = {} if most is None else {"maxsplit": most}
        if sep:
            a["delimiter"] = sep
        case(f"split_{most}_{sep}", "StringSplit", [x], a, opset=20, outs=(1, 1), reference=True)
case("match", "RegexFullMatch", [S("ab1", "ab", "xab1x", "ab1\n")], dict(pattern="[a-z]+[0-9]|x"), opset=20)
case("match_alternatives", "RegexFullMatch", [S("a", "ab", "b")], dict(pattern="a|ab"), opset=20)
case("match_bad", "RegexFullMatch", [S("a")], dict(pattern="a)(b"), opset=20, fails=True)
case("concat", "StringConcat", [S("a", "ü"), S("x", "y", "z").reshape(3, 1)], opset=20)
write(sys.argv[1])

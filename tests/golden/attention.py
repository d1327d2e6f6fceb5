#!/usr/bin/env python3
"""Golden numbers for every attention of the Synthesizer paper (Tay et al., arXiv 2005.00743).

    python tests/golden/attention.py

writes `attention/index.json` and one `attention/<case>.safetensors` per case beside this file. It
shares no code with synth: `layer.py` has the equations, float64 in plain numpy, the score matrix
always whole, and takes gradients by the complex step, so that none is derived by hand. The seed of
a case is its name; a second run writes the same bytes (numpy 2.4.6, CPython 3.11, x86-64;
elsewhere the last digits may differ).

Names in comments and docstrings are those of the paper: X the input, B the scores, G the values,
Y = softmax(B) G(X) the result of a head, F and H the functions that synthesise B.

A row of the index has `name`, `kind`, `options` (keys under `[attention]`, absent = the default),
`mode` (below), `causal`, `key_lengths` (keys from there on are hidden; null = none), `cross`,
`heads`, `head_width`, `d_model`, `max_length` (the size of every table by position) and `frozen`
(parameters that are not trained). A file holds `x`, `memory` (cross-attention: the source of keys
and values), `key_lengths`, `bias` (added to the mixed scores) and `parameter.<name>`; from them
`scores` (without `bias` and mask), `weights` and `output`; `compare` (1 where a query is no
padding), `upstream` (the gradient of the output, 0 at padding) and with it `gradient.<name>` of
the inputs and parameters.
"""

import json
import struct
import zlib
from pathlib import Path

import numpy as np

from layer import gradient, layer

FOLDER = Path(__file__).with_suffix("")

# ---------------------------------------------------------------------------- inputs and parameters


def parameter_shapes(row, projection_biases):
    """Shape of every parameter, by name."""
    parts, option = row["kind"].split("+"), row["options"].get
    heads, d_model, length = row["heads"], row["d_model"], row["max_length"]
    inner = heads * row["head_width"]
    shared_query = "dense" in parts and option("dense.shared_query")
    projections = {"value": (inner, d_model), "output": (d_model, inner)}
    if "vanilla" in parts or shared_query:
        projections["query"] = (inner, d_model)
    if "vanilla" in parts:
        projections["key"] = (inner, d_model)
    shapes = {f"{name}.weight": shape for name, shape in projections.items()}
    if projection_biases:
        shapes |= {f"{name}.bias": shape[:1] for name, shape in projections.items()}
    if "dense" in parts:
        hidden = option("dense.hidden", row["head_width"])
        tables = () if option("dense.shared_output") else (heads,)
        shapes["dense.w2"] = (*tables, length, hidden)
        if not shared_query:
            shapes["dense.w1.weight"] = (heads * hidden, d_model)
        if option("dense.bias"):
            shapes |= {"dense.w1.bias": (heads * hidden,), "dense.b2": (*tables, length)}
    if "factorized-dense" in parts:
        a, b = factors(option("factorized-dense.factors"), length)
        shapes["factorized-dense.a.weight"] = (heads * a, d_model)
        shapes["factorized-dense.b.weight"] = (heads * b, d_model)
    for name in ("random", "fixed-random"):
        if name in parts:
            shapes[f"{name}.r"] = (heads, length, length)
    if "factorized-random" in parts:
        rank = option("factorized-random.rank", 8)
        shapes |= {f"factorized-random.{r}": (heads, length, rank) for r in ("r1", "r2")}
    if len(parts) > 1 and option("mixture.weights") != "sum":
        per_head = (heads,) if option("mixture.per") == "head" else ()
        shapes["mixture"] = (len(parts), *per_head)
    return shapes


def factors(option, length):
    """a and b with a · b ≥ length: the pair, or the first with the smallest b."""
    if isinstance(option, list):
        return option
    a = option or int(np.ceil(np.sqrt(length)))
    return a, -(-length // a)


def draw(row, mode):
    """Everything a case is given: standard normal, parameters and bias half of that."""
    normal = np.random.default_rng(zlib.crc32(row["name"].encode())).standard_normal
    n, m = mode["n"], mode.get("m", mode["n"])
    given = {"x": normal((BATCH, n, D_MODEL)), "upstream": normal((BATCH, n, D_MODEL))}
    given["compare"] = np.ones((BATCH, n))
    if row["cross"]:
        given["memory"] = normal((BATCH, m, D_MODEL))
    elif row["key_lengths"] is not None:
        # A sample without any key has no padding either: its outputs are defined, as those of 0.
        for real, length in zip(given["compare"], row["key_lengths"]):
            real[length or n :] = 0.0
    given["upstream"] *= given["compare"][..., None]
    if mode.get("bias"):
        given["bias"] = 0.5 * normal((1, row["heads"], n, n))
    for name, shape in sorted(parameter_shapes(row, mode.get("projection_biases")).items()):
        given[f"parameter.{name}"] = 0.5 * normal(shape)
    return given


# -------------------------------------------------------------------------------------- the cases

BATCH = 2
D_MODEL = 4
# What is not said: 2 heads of width 2, n = 5 of max_length = 6, nothing hidden, self-attention.
MODES = {
    "full": {"n": 6},
    "one-token": {"n": 1},
    "causal": {"causal": True},
    "padding": {"key_lengths": [5, 2]},
    "equal-padding": {"key_lengths": [3, 3]},
    "causal-padding": {"causal": True, "key_lengths": [3, 4]},
    "empty": {"key_lengths": [4, 0]},
    "causal-empty": {"causal": True, "key_lengths": [0, 3]},
    "cross": {"cross": True, "n": 4, "m": 6, "key_lengths": [6, 3]},
    "cross-short": {"cross": True, "n": 6, "m": 3},
    "cross-empty": {"cross": True, "m": 4, "key_lengths": [0, 2]},
    "one-head": {"causal": True, "heads": 1, "head_width": 4},
    "head-width": {"head_width": 3, "key_lengths": [5, 3]},
    "projection-biases": {"projection_biases": True, "key_lengths": [2, 5]},
    "relative": {"bias": True, "causal": True, "key_lengths": [5, 2]},
    "prime": {"max_length": 7, "causal": True},
}
SHARED_QUERY = {"dense.shared_query": True}
AUTHORS_DENSE = {"dense.shared_query": True, "dense.shared_output": True}
ALL_SIX = "factorized-random+fixed-random+random+factorized-dense+dense+vanilla"
CASES = [
    *[("vanilla", {}, mode) for mode in ("full", "causal-padding", "causal-empty")],
    *[("vanilla", {}, mode) for mode in ("cross", "head-width", "projection-biases", "relative")],
    *[("dense", {}, mode) for mode in ("causal-padding", "one-token")],
    ("dense", {"dense.hidden": 5}, "head-width"),
    ("dense", {"dense.bias": True}, "padding"),
    ("dense", {"dense.shared_output": True}, "causal"),
    ("dense", {"dense.bias": True, "dense.shared_output": True, "dense.hidden": 3}, "cross-short"),
    ("dense", SHARED_QUERY, "causal"),
    ("dense", SHARED_QUERY | {"dense.bias": True}, "causal-padding"),
    ("dense+vanilla", SHARED_QUERY, "causal-padding"),
    ("dense+vanilla", SHARED_QUERY | {"dense.bias": True}, "padding"),
    ("dense+vanilla", SHARED_QUERY | {"dense.bias": True}, "projection-biases"),
    ("dense+vanilla", AUTHORS_DENSE, "relative"),
    *[("factorized-dense", {}, mode) for mode in ("full", "prime", "cross-empty")],
    ("factorized-dense", {"factorized-dense.factors": 2}, "relative"),
    ("factorized-dense", {"factorized-dense.factors": 4}, "prime"),
    ("factorized-dense", {"factorized-dense.factors": [2, 4]}, "prime"),
    *[("random", {}, mode) for mode in ("full", "causal", "padding", "equal-padding", "empty")],
    *[("random", {}, mode) for mode in ("cross", "relative")],
    ("fixed-random", {}, "causal-padding"),
    ("factorized-random", {}, "cross-empty"),
    ("factorized-random", {"factorized-random.rank": 1}, "padding"),
    ("factorized-random", {"factorized-random.rank": 3}, "relative"),
    ("random+vanilla", {"mixture.weights": "sum"}, "causal-padding"),
    ("random+vanilla", {"mixture.per": "head"}, "empty"),
    ("dense+vanilla", {}, "cross"),
    ("factorized-random+vanilla", {}, "one-head"),
    ("random+dense", {}, "relative"),
    ("factorized-random+random", {}, "full"),
    ("fixed-random+random", {"mixture.weights": "sum"}, "padding"),
    ("vanilla+dense+random", {}, "causal"),
    ("factorized-random+factorized-dense+vanilla", {"mixture.per": "head"}, "cross-empty"),
    (ALL_SIX, {}, "causal-padding"),
    (ALL_SIX, {"mixture.weights": "sum"}, "cross"),
    ("+".join(reversed(ALL_SIX.split("+"))), {"mixture.per": "head"}, "padding"),
]


def index_row(kind, options, mode_name):
    """A case as the index describes it."""
    mode = MODES[mode_name]
    chosen = ",".join(f"{key}={value}".replace(" ", "") for key, value in options.items())
    return {
        "name": kind + (f"[{chosen}]" if chosen else "") + f"@{mode_name}",
        "kind": kind,
        "options": options,
        "mode": mode_name,
        "causal": mode.get("causal", False),
        "key_lengths": mode.get("key_lengths"),
        "cross": mode.get("cross", False),
        "heads": mode.get("heads", 2),
        "head_width": mode.get("head_width", 2),
        "d_model": D_MODEL,
        "max_length": mode.get("max_length", 6),
        "frozen": ["fixed-random.r"] if "fixed-random" in kind.split("+") else [],
    }


def solve(row):
    """All arrays of a case: what it is given, and what follows."""
    arrays = draw(row, {"n": 5} | MODES[row["mode"]])
    scores, weights, output = layer(arrays, row)
    answers = {"scores": scores, "weights": weights, "output": output}
    for name in arrays:
        if name not in ("upstream", "compare"):
            answers["gradient." + name.removeprefix("parameter.")] = gradient(name, arrays, row)
    if row["key_lengths"] is not None:
        answers["key_lengths"] = np.array(row["key_lengths"], dtype=np.int64)
    return arrays | answers


def write_safetensors(path, arrays):
    """Length of the header, the header in JSON, then the numbers, little-endian."""
    header, numbers = {}, b""
    for name, array in sorted(arrays.items()):
        kind = {"f": "F64", "i": "I64"}[array.dtype.kind]
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
        place = [len(numbers), len(numbers) + len(data)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": place}
        numbers += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)


def main():
    rows = [index_row(*case) for case in CASES]
    FOLDER.mkdir(exist_ok=True)
    for stale in FOLDER.glob("*.safetensors"):
        stale.unlink()
    for row in rows:
        write_safetensors(FOLDER / f"{row['name']}.safetensors", solve(row))
    lines = ",\n".join(" " + json.dumps(row) for row in rows)
    (FOLDER / "index.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(rows)} cases in {FOLDER.name}/")


if __name__ == "__main__":
    main()

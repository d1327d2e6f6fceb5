"""The attention layer of every kind of the Synthesizer paper (arXiv 2005.00743), equation by
equation, and its gradients by the complex step. `attention.py` beside this file tells the rest."""

import numpy as np

STEP = 1e-30  # of the complex step: its square vanishes beside 1, so only rounding is left
# ---------------------------------------------------------------- the layer, equation by equation


def layer(arrays, row):
    """Scores [batch or 1, heads, n, m], weights likewise, and output [batch, n, d_model]."""
    x = arrays["x"]
    memory = arrays["memory"] if row["cross"] else x
    scores = mixed_scores(x, memory, arrays, row)
    biased = scores + arrays["bias"] if "bias" in arrays else scores
    weights = softmax(biased, visible_keys(row, x.shape[1], memory.shape[1]))
    value = by_head(project(memory, arrays, "value"), row)  # G(X)
    of_each_sample = np.broadcast_to(weights, (len(x), *weights.shape[1:]))
    y = np.einsum("bhip,bhpw->bihw", of_each_sample, value)  # Y = softmax(B) G(X)
    joined = y.reshape(*y.shape[:2], row["heads"] * row["head_width"])
    return scores, weights, project(joined, arrays, "output")


def project(x, arrays, name):
    """y = x Wᵀ + b; the bias where there is one."""
    y = np.einsum("bnd,od->bno", x, arrays[f"parameter.{name}.weight"])
    bias = arrays.get(f"parameter.{name}.bias")
    return y if bias is None else y + bias


def by_head(y, row):
    """[batch, n, heads · width] as [batch, heads, n, width]: row h · width + j belongs to head h."""
    return y.reshape(*y.shape[:2], row["heads"], -1).transpose(0, 2, 1, 3)


def visible_keys(row, queries, keys):
    """Which keys a query may see, [batch or 1, 1, n, m]."""
    query, key = np.arange(queries)[:, None], np.arange(keys)[None, :]
    visible = np.ones((1, 1, queries, keys), dtype=bool)
    if row["causal"]:
        visible = visible & (key <= query)
    if row["key_lengths"] is not None:
        visible = visible & (key < np.array(row["key_lengths"])[:, None, None, None])
    return visible


def softmax(scores, visible):
    """Over the visible keys; a query that sees none has weights of 0.

    The scores here are small, so no maximum is subtracted before the exponential.
    """
    exponentials = np.where(visible, np.exp(scores), 0.0)
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(visible.any(axis=-1, keepdims=True), total, 1.0)


def relu(z):
    """max(z, 0); a complex number is decided by its real part, which the step leaves alone."""
    return np.where(z.real > 0, z, 0.0)


# ------------------------------------------- B, the scores: Section 3 of the paper, name by name


def vanilla(x, memory, arrays, row):
    """Dot product, B = F_Q(X) F_K(X)ᵀ / √d_h: the only scores that are scaled."""
    query = by_head(project(x, arrays, "query"), row)
    key = by_head(project(memory, arrays, "key"), row)
    return np.einsum("bhiw,bhpw->bhip", query, key) / np.sqrt(row["head_width"])


def dense(x, memory, arrays, row):
    """Dense Synthesizer, B_i = F(X_i) = W₂ relu(W₁ X_i + b₁) + b₂.

    `shared_query`: the query projection, unscaled, stands for W₁. `shared_output`: one W₂ and b₂
    for all heads.
    """
    if row["options"].get("dense.shared_query"):
        hidden = project(x, arrays, "query") + arrays.get("parameter.dense.w1.bias", 0.0)
    else:
        hidden = project(x, arrays, "dense.w1")
    hidden = by_head(relu(hidden), row)
    positions = memory.shape[1]
    w2 = arrays["parameter.dense.w2"][..., :positions, :]  # [heads, m, r], or [m, r]
    w2 = np.broadcast_to(w2, (row["heads"], *w2.shape[-2:]))
    scores = np.einsum("bhir,hpr->bhip", hidden, w2)
    if row["options"].get("dense.bias"):
        scores = scores + arrays["parameter.dense.b2"][..., None, :positions]
    return scores


def factorized_dense(x, memory, arrays, row):
    """Factorized Dense, B_i = H_A(F_A(X_i)) * H_B(F_B(X_i)).

    H_A repeats each of its a numbers b times, H_B tiles its b numbers a times, so that no two of
    the a · b positions share both factors.
    """
    a = by_head(project(x, arrays, "factorized-dense.a"), row)
    b = by_head(project(x, arrays, "factorized-dense.b"), row)
    repeated = np.repeat(a, b.shape[-1], axis=-1)
    tiled = np.tile(b, a.shape[-1])
    return (repeated * tiled)[..., : memory.shape[1]]


def random(x, memory, arrays, row, table="random.r"):
    """Random Synthesizer, B = R: the corner of R that the lengths need."""
    return arrays[f"parameter.{table}"][None, :, : x.shape[1], : memory.shape[1]]


def fixed_random(x, memory, arrays, row):
    """Random Synthesizer (Fixed): the same, R not trained."""
    return random(x, memory, arrays, row, table="fixed-random.r")


def factorized_random(x, memory, arrays, row):
    """Factorized Random, B = R₁ R₂ᵀ."""
    r1 = arrays["parameter.factorized-random.r1"][:, : x.shape[1]]
    r2 = arrays["parameter.factorized-random.r2"][:, : memory.shape[1]]
    return np.einsum("hik,hpk->hip", r1, r2)[None]


SCORES = {
    "vanilla": vanilla,
    "dense": dense,
    "factorized-dense": factorized_dense,
    "random": random,
    "fixed-random": fixed_random,
    "factorized-random": factorized_random,
}


def mixed_scores(x, memory, arrays, row):
    """Mixture of Synthesizers, B = Σ α_i B_i with Σ α_i = 1, in the order of the kind's name."""
    parts = [SCORES[part](x, memory, arrays, row) for part in row["kind"].split("+")]
    if len(parts) == 1:
        return parts[0]
    if row["options"].get("mixture.weights") == "sum":
        return sum(parts)
    exponentials = np.exp(arrays["parameter.mixture"])  # [parts], or [parts, heads]
    alpha = (exponentials / exponentials.sum(axis=0)).reshape(len(parts), 1, -1, 1, 1)
    return sum(alpha[i] * part for i, part in enumerate(parts))


# ------------------------------------------------------------------------------------- gradients


def gradient(name, arrays, row):
    """d Σ upstream · output / d array, an element at a time: Im f(x + ih) / h."""
    result = np.zeros(arrays[name].shape)
    for index in np.ndindex(result.shape):
        moved = arrays[name].astype(complex)
        moved[index] += 1j * STEP
        output = layer({**arrays, name: moved}, row)[2]
        result[index] = (arrays["upstream"] * output).sum().imag / STEP
    return result

"""Makes the golden figures beside it with the reference programs.

    pip install sacrebleu==2.6.0 rouge-score==0.1.2 nltk scikit-learn==1.9.1 scipy==1.17.1
    python make_golden.py CIDER_SCORER     # nlgeval/pycocoevalcap/cider/cider_scorer.py of nlg-eval

texts.json: corpora of hard lines with their scores; labels.json: lists of labels and numbers with theirs;
systems.json: two systems of 300 lines with sacrebleu's intervals and p-values; long.json: scores of one line of 10,000
words, which the tests make by the same recipe (rouge-score takes minutes and gigabytes for it); lists.json: metrics
whose reference program cannot be installed, by their formula in numpy, with scikit-learn's F1 and NLTK's words.
"""

import importlib.util
import json
import logging
import os
import random
import re
import string
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from nltk.tokenize import NLTKWordTokenizer
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

FOLDER = Path(__file__).parent

# Scripts, marks, quotes, white space and ends of lines that programs disagree on.
LINES = """The cat sat on the mat.
the CAT sat, on a mat!

"Quoted" (text) -- with 3.14, 1,000 and 5-6; U.S. dollars: $5 &amp; 7%...
I can't believe it's 'true': they're running, nationally.
我爱北京天安门。“你好”，世界！123.5
東京タワーへ行きました。
नमस्ते दुनिया, हिन्दी में क्षत्रिय।
cafe\u0301 cre\u0300me bru\u0302le\u0301e naïve
👩\u200d👩\u200d👧 😀😀 🇩🇪 flag
ΟΔΟΣ ΣΑΣ İstanbul Straße ẞ
tab\tand\u00a0no-break\u3000ideographic\x1cseparator\x85next
a
.
\u200b\ufeffzero width
«ja», 5€… in 1999. ½ Ⅷ ٣.٤
the the the the the the
<skipped> a-b &lt;b&gt; &quot;x&quot;
dogs dog's dogged skies sky dying national nationality""".split("\n")


class NoWordNet:
    """A WordNet that knows no word: what is left of METEOR are its exact and stem stages."""

    def synsets(self, _word):
        return []


def changed(rng, line):
    """The line with words left out, put in, moved or doubled."""
    words = line.split(" ")
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(words))
        what = rng.randrange(4)
        if what == 0 and len(words) > 1:
            del words[at]
        elif what == 1:
            words.insert(at, rng.choice(rng.choice(LINES).split(" ")))
        elif what == 2:
            piece = words[at : at + 3]
            del words[at : at + 3]
            place = rng.randrange(len(words) + 1)
            words[place:place] = piece
        else:
            words.insert(at, words[at])
        words = words or [""]
    return " ".join(words).rstrip()


def corpora():
    rng = random.Random(7)
    made = []
    for references in (1, 1, 2, 3):
        lists = [[changed(rng, line) for line in LINES] for _ in range(references)]
        made.append({"hypotheses": [changed(rng, line) for line in LINES], "references": lists})
    for hypothesis, reference in [("", ""), ("", "a b"), ("a b", ""), ("a", "a"), ("a b c d", "a b c d"), ("x", "y")]:
        made.append({"hypotheses": [hypothesis], "references": [[reference]]})
    return made


def sacrebleu_scores(hypotheses, references):
    metrics = {"ter": (TER(), TER())}
    for tokenizer in ("13a", "intl", "char", "zh", "none"):
        for lowercase in (False, True):
            both = [BLEU(tokenize=tokenizer, lowercase=lowercase, effective_order=effective) for effective in (False, True)]
            metrics[f"bleu {tokenizer} {'lc' if lowercase else 'mixed'} exp"] = both
    for smooth in ("none", "floor", "add-k", "floor:0.02", "add-k:0.5"):
        method, _, value = smooth.partition(":")
        value = float(value) if value else None
        both = [BLEU(smooth_method=method, smooth_value=value, effective_order=effective) for effective in (False, True)]
        metrics[f"bleu 13a mixed {smooth}"] = both
    for name, order in (("chrf", 0), ("chrf++", 2)):
        for lowercase in (False, True):
            metric = CHRF(word_order=order, lowercase=lowercase)
            metrics[f"{name} {'lc' if lowercase else 'mixed'}"] = (metric, metric)
    by_line = list(zip(hypotheses, *references))
    return {
        name: {
            "corpus": corpus.corpus_score(hypotheses, references).score,
            "lines": [sentence.sentence_score(line[0], list(line[1:])).score for line in by_line],
        }
        for name, (corpus, sentence) in metrics.items()
    }


def mean_of(lines):
    return {"corpus": sum(lines) / len(lines), "lines": lines}


def rouge_scores(hypotheses, references):
    scores = {}
    for name in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        for stemmer in (True, False):
            scorer = RougeScorer([name], use_stemmer=stemmer)
            of_line = lambda line: 100 * scorer.score_multi(list(line[1:]), line[0])[name].fmeasure
            lines = [of_line(line) for line in zip(hypotheses, *references)]
            scores[f"{name} {'stem' if stemmer else 'plain'}"] = mean_of(lines)
    return scores


def meteor_scores(hypotheses, references):
    of_line = lambda line: meteor_score([ref.split() for ref in line[1:]], line[0].split(), wordnet=NoWordNet())
    return mean_of([100 * of_line(line) for line in zip(hypotheses, *references)])


def cider_scores(module, hypotheses, references):
    scorer = module.CiderScorer(n=4, sigma=6.0)
    for hypothesis, *others in zip(hypotheses, *references):
        scorer += (hypothesis.strip(), [other.strip() for other in others])
    if not any(other.split() for others in references for other in others):
        return None
    corpus, lines = scorer.compute_score()
    return {"corpus": float(corpus), "lines": [float(score) for score in lines]}


def normalised(answer):
    """SQuAD's rule, in its own words."""
    bare = "".join(c for c in answer.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def squad_f1(predicted, expected):
    common = sum((Counter(predicted) & Counter(expected)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def squad_scores(hypotheses, references):
    pairs = [(normalised(line[0]), [normalised(other) for other in line[1:]]) for line in zip(hypotheses, *references)]
    return {
        "squad-f1": mean_of([100 * max(squad_f1(own, other) for other in others) for own, others in pairs]),
        "squad-em": mean_of([100.0 * any(own == other for other in others) for own, others in pairs]),
    }


def texts(cider_module):
    made = corpora()
    for corpus in made:
        lists = corpus["hypotheses"], corpus["references"]
        scores = sacrebleu_scores(*lists) | rouge_scores(*lists) | squad_scores(*lists)
        scores["meteor-exact-stem"] = meteor_scores(*lists)
        scores["cider-d"] = cider_scores(cider_module, *lists)
        corpus["scores"] = {name: score for name, score in scores.items() if score is not None}
    return made


def long_lines():
    """Words of a linear congruential generator; in the hypothesis some are missing, replaced or swapped."""
    state, reference = 1, []
    for _ in range(10_000):
        state = (state * 1103515245 + 12345) % 2**31
        reference.append(f"w{(state >> 16) % 500}")
    kept = [word for at, word in enumerate(reference) if at % 7]
    hypothesis = [f"x{at % 11}" if at % 13 == 0 else word for at, word in enumerate(kept)]
    for at in range(0, len(hypothesis) - 1, 17):
        hypothesis[at], hypothesis[at + 1] = hypothesis[at + 1], hypothesis[at]
    return " ".join(hypothesis), " ".join(reference)


def long_scores():
    hypothesis, reference = long_lines()
    metrics = {"bleu 13a mixed exp": BLEU(), "chrf mixed": CHRF(), "chrf++ mixed": CHRF(word_order=2)}
    scores = {name: metric.corpus_score([hypothesis], [[reference]]).score for name, metric in metrics.items()}
    for name in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        measured = RougeScorer([name], use_stemmer=True).score(reference, hypothesis)
        scores[f"{name} stem"] = 100 * measured[name].fmeasure
    return scores


def multirc():
    """SuperGLUE: F1 over all answers, and questions with every answer right."""
    rng = random.Random(17)
    expected = [[rng.random() < 0.5 for _ in range(rng.randrange(1, 8))] for _ in range(80)]
    predicted = [[right if rng.random() < 0.85 else not right for right in answers] for answers in expected]
    scores = {
        "multirc-f1a": 100 * f1_score(np.concatenate(expected), np.concatenate(predicted)),
        "multirc-em": 100 * float(np.mean([own == right for own, right in zip(predicted, expected)])),
    }
    return {"predicted": predicted, "expected": expected, "scores": scores}


def distinct(lines):
    """Li et al. (2016): different n-grams of all lines per 100 words."""
    lines = [line.split() for line in lines]
    total = sum(map(len, lines))
    different = lambda order: {tuple(words[at : at + order]) for words in lines for at in range(len(words) - order + 1)}
    return {f"distinct-{order}": 100 * len(different(order)) / total for order in (1, 2)}


def embedding(hypotheses, references):
    """Cosines of summed word vectors; a third of the words has none and takes the mean of all."""
    rng, cut = random.Random(19), NLTKWordTokenizer().tokenize
    words = sorted({word for line in hypotheses + references for word in cut(line)})
    known = [word for word in words if rng.random() < 0.67 and word.split() == [word]]
    vectors = {word: [round(rng.gauss(0, 1), 3) for _ in range(8)] for word in known}
    table = {word: np.float32(vector) for word, vector in vectors.items()}
    unknown = np.float32(np.mean([np.float64(vector) for vector in table.values()], axis=0))
    sums = lambda line: sum(np.float64(table.get(word, unknown)) for word in cut(line))
    cosine = lambda own, other: float(own @ other / np.linalg.norm(own) / np.linalg.norm(other))
    lines = [cosine(sums(own), sums(other)) for own, other in zip(hypotheses, references)]
    return {"vectors": vectors, "scores": mean_of(lines)}


def lists():
    rng = random.Random(23)
    lines = [line for line in LINES if line.strip()]
    hypotheses, references = ([changed(rng, line) or "x" for line in lines] for _ in range(2))
    texts = {"hypotheses": hypotheses, "references": [references], "distinct": distinct(hypotheses)}
    return {"multirc": multirc(), "texts": texts | {"embedding": embedding(hypotheses, references)}}


def labels():
    rng = random.Random(11)
    made = []
    for names in (["0", "1"], ["entailment", "neutral", "contradiction"], ["1", "1", "1", "0"], list("abcdef")):
        expected = [rng.choice(names) for _ in range(60)]
        predicted = [label if rng.random() < 0.6 else rng.choice(names) for label in expected]
        positive = "1" if "1" in names else names[0]
        binary = lambda labels: [int(label == positive) for label in labels]
        scores = {
            "accuracy": 100 * accuracy_score(expected, predicted),
            "f1": 100 * f1_score(binary(expected), binary(predicted)),
            "macro-f1": 100 * f1_score(expected, predicted, average="macro"),
            "matthews": matthews_corrcoef(expected, predicted),
        }
        made.append({"predicted": predicted, "expected": expected, "positive": positive, "scores": scores})
    for digits in (0, 1, 3):
        expected = [round(rng.uniform(0, 5), digits) for _ in range(50)]
        predicted = [round(value + rng.gauss(0, 1), digits) for value in expected]
        scores = {"pearson": pearsonr(predicted, expected)[0], "spearman": spearmanr(predicted, expected)[0]}
        numbers = {"predicted": [str(value) for value in predicted], "expected": [str(value) for value in expected]}
        made.append(numbers | {"scores": {name: float(value) for name, value in scores.items()}})
    return made


def systems():
    """References of random words and two systems that change some of them, one a little less."""
    rng = random.Random(3)
    word = lambda: f"w{int(rng.expovariate(0.05))}"
    references = [" ".join(word() for _ in range(rng.randrange(5, 25))) for _ in range(300)]
    spoil = lambda line, share: " ".join(w if rng.random() > share else word() for w in line.split())
    better = [spoil(line, 0.29) for line in references]
    baseline = [spoil(line, 0.31) for line in references]
    metrics = lambda: {"bleu": BLEU(references=[references]), "chrf": CHRF(references=[references]), "ter": TER(references=[references])}
    made = {"references": references, "system": better, "baseline": baseline, "bs": {}, "ar": {}}
    # The mean over seeds: what is compared with has less of sampling error than one run.
    for kind, samples in (("bs", 1000), ("ar", 10000)):
        for seed in range(5):
            os.environ["SACREBLEU_SEED"] = str(seed + 1)
            test = PairedTest([("baseline", baseline), ("system", better)], metrics(), None, kind, samples)
            _, results = test()
            for name, key in (("BLEU", "bleu"), ("chrF2", "chrf"), ("TER", "ter")):
                first, second = results[name]
                run = {"score": second.score, "baseline": first.score, "p_value": second.p_value}
                if kind == "bs":
                    run |= {"mean": float(second.mean), "half_width": float(second.ci)}
                made[kind].setdefault(key, []).append(run)
    mean = lambda runs: {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
    for kind in ("bs", "ar"):
        made[kind] = {name: mean(runs) for name, runs in made[kind].items()}
    return made


def main():
    logging.disable(logging.CRITICAL)
    spec = importlib.util.spec_from_file_location("cider_scorer", sys.argv[1])
    cider_module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cider_module)
    all_made = {"texts": texts(cider_module), "labels": labels(), "systems": systems(), "lists": lists(), "long": long_scores()}
    for name, made in all_made.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(made, ensure_ascii=True, indent=0) + "\n")


if __name__ == "__main__":
    main()

use super::*;
use crate::decode::next_tokens::Rules;
use crate::decode::scripted::{BEGIN, END, RULES, Script, Scripted, hashed};
use tch::Kind;

/// How a test decodes.
#[derive(Clone, Copy)]
struct Settings {
    beam: usize,
    wanted: usize,
    formula: LengthFormula,
    exponent: f64,
    rules: Rules<'static>,
}

fn settings(beam: usize) -> Settings {
    Settings { beam, wanted: beam, formula: LengthFormula::Gnmt, exponent: 0.6, rules: RULES }
}

fn between(min: usize, max: usize) -> Limits {
    Limits { min, max }
}

fn run(model: &mut Scripted<'_>, limits: &[Limits], settings: Settings) -> Result<Vec<Vec<Hypothesis>>> {
    let request = BeamRequest {
        beam: settings.beam,
        wanted: settings.wanted,
        length_formula: settings.formula,
        length_penalty: settings.exponent,
        rules: settings.rules,
        limits,
        watch: &mut |_| true,
    };
    Ok(beam_search(model, request)?.unwrap())
}

/// What is found for sentences, of each its number and its limits.
fn found(script: Script<'_>, sentences: &[(u64, Limits)], settings: Settings) -> Vec<Vec<Hypothesis>> {
    let (numbers, limits): (Vec<u64>, Vec<Limits>) = sentences.iter().copied().unzip();
    let mut model = Scripted::new(script, &numbers, settings.beam, Kind::Double);
    run(&mut model, &limits, settings).unwrap()
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let row = Tensor::from_slice(logits).unsqueeze(0).log_softmax(-1, None::<Kind>);
    Vec::try_from(row.squeeze_dim(0)).unwrap()
}

fn repeats(tokens: &[u32], n: usize) -> bool {
    n > 0 && (0..tokens.len()).any(|i| (0..i).any(|j| i + n <= tokens.len() && tokens[i..i + n] == tokens[j..j + n]))
}

/// Whether `id` may stand behind `tokens`.
fn may_follow(tokens: &[u32], id: u32, limits: Limits, rules: Rules<'_>) -> bool {
    if id == END {
        return tokens.len() >= limits.min;
    }
    id != BEGIN && !rules.excluded.contains(&id) && !repeats(&[tokens, &[id]].concat(), rules.no_repeat_ngram)
}

fn score(settings: Settings, log_probability: f64, length: usize) -> f64 {
    let base = match settings.formula {
        LengthFormula::Gnmt => (5 + length) as f64 / 6.0,
        LengthFormula::Power => length as f64,
    };
    log_probability / base.powf(settings.exponent)
}

fn by_score(mut hypotheses: Vec<Hypothesis>) -> Vec<Hypothesis> {
    hypotheses.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
    hypotheses
}

/// The search of one sentence, written once more and plainly: everything is sorted, nothing stops early.
fn plain(script: Script<'_>, sentence: u64, limits: Limits, settings: Settings) -> Vec<Hypothesis> {
    let Settings { beam, rules, .. } = settings;
    let mut live = vec![(Vec::new(), 0.0)];
    let (mut ended, mut unended) = (Vec::new(), Vec::new());
    let hypothesis = |tokens: &Vec<u32>, sum: f64, is_end: bool| Hypothesis {
        tokens: tokens.clone(),
        log_probability: sum,
        score: score(settings, sum, (tokens.len() + usize::from(is_end)).max(1)),
        ended: is_end,
    };
    for length in 0..=limits.max {
        let mut all = Vec::new();
        for (rank, (tokens, sum)) in live.iter().enumerate() {
            let logits = script(sentence, tokens);
            let allowed = |id: &u32| may_follow(tokens, *id, limits, rules);
            let ids: Vec<u32> = (0..logits.len() as u32).filter(allowed).collect();
            if ids.is_empty() {
                unended.push(hypothesis(tokens, *sum, false));
            }
            let probabilities = log_softmax(&logits);
            all.extend(ids.into_iter().map(|id| (sum + probabilities[id as usize], rank, -logits[id as usize], id)));
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2, a.3).partial_cmp(&(b.1, b.2, b.3)).unwrap()));
        let ends: Vec<_> = all.iter().take(beam).filter(|candidate| candidate.3 == END).copied().collect();
        ended.extend(ends.iter().map(|(sum, rank, ..)| hypothesis(&live[*rank].0, *sum, true)));
        if length == limits.max {
            for (rank, (tokens, sum)) in live.iter().enumerate() {
                let new = hypothesis(tokens, *sum, false);
                if !ends.iter().any(|end| end.1 == rank) && !unended.contains(&new) {
                    unended.push(new);
                }
            }
        }
        let going = all.iter().filter(|candidate| candidate.3 != END).take(beam);
        live = going.map(|(sum, rank, _, id)| ([&live[*rank].0[..], &[*id]].concat(), *sum)).collect();
        if ended.len() >= beam {
            break;
        }
    }
    by_score(ended).into_iter().chain(by_score(unended)).take(settings.wanted).collect()
}

#[test]
fn one_hypothesis_is_greedy_decoding() {
    for seed in 0..40 {
        // Two steps to a unit: equal logits are common.
        let script = hashed(seed, 12, if seed % 2 == 0 { 2 } else { 1 << 40 });
        let limits = between((seed % 3) as usize, 9);
        let (mut tokens, mut sum, mut ended): (Vec<u32>, f64, bool) = (Vec::new(), 0.0, false);
        while !ended {
            let logits = script(7, &tokens);
            let allowed = (0..12).filter(|id| may_follow(&tokens, *id, limits, RULES));
            let best = allowed.reduce(|a, b| if logits[b as usize] > logits[a as usize] { b } else { a }).unwrap();
            if best != END && tokens.len() == limits.max {
                break;
            }
            sum += log_softmax(&logits)[best as usize];
            ended = best == END;
            tokens.extend((!ended).then_some(best));
        }
        let best = &found(&script, &[(7, limits)], settings(1))[0];
        assert_eq!(best.len(), 1);
        assert_eq!((&best[0].tokens, best[0].log_probability, best[0].ended), (&tokens, sum, ended), "seed {seed}");
    }
}

#[test]
fn logits_that_a_probability_rounds_together_stay_apart() {
    // In float32 both have the same log-probability; the model prefers the later one.
    let (low, high) = (0.1f32, 0.1f32 + f32::EPSILON / 8.0);
    assert!(high > low);
    let script = |_: u64, _: &[u32]| vec![0.0, 30.0, f64::from(low), f64::from(high)];
    let mut model = Scripted::new(&script, &[0], 1, Kind::Float);
    let best = run(&mut model, &[between(1, 1)], settings(1)).unwrap();
    assert_eq!(best[0][0].tokens, [3]);
}

/// All outputs of at most so many tokens that may end, the best first.
fn exhaustive(script: Script<'_>, limits: Limits, settings: Settings, vocabulary: u32) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    let mut open = vec![(Vec::new(), 0.0)];
    while let Some((tokens, sum)) = open.pop() {
        let probabilities = log_softmax(&script(0, &tokens));
        for id in (0..vocabulary).filter(|id| may_follow(&tokens, *id, limits, settings.rules)) {
            let sum = sum + probabilities[id as usize];
            if id == END {
                let (score, tokens) = (score(settings, sum, tokens.len() + 1), tokens.clone());
                all.push(Hypothesis { tokens, log_probability: sum, score, ended: true });
            } else if tokens.len() < limits.max {
                open.push(([&tokens[..], &[id]].concat(), sum));
            }
        }
    }
    by_score(all)
}

#[test]
fn a_beam_as_wide_as_the_space_finds_what_a_search_through_all_does() {
    for (seed, (tokens, longest)) in [(1, 3), (2, 4), (2, 5), (3, 4)].into_iter().enumerate() {
        let vocabulary = tokens + 2;
        let script = hashed(seed as u64, vocabulary as usize, 1 << 40);
        for formula in [LengthFormula::Gnmt, LengthFormula::Power] {
            for exponent in [0.0, 0.6, 1.0, 2.0] {
                for (min, no_repeat_ngram) in [(0, 0), (2, 0), (0, 2), (longest, 0)] {
                    let limits = between(min, longest);
                    let rules = Rules { no_repeat_ngram, ..RULES };
                    let mut settings = Settings { formula, exponent, rules, ..settings(400) };
                    let expected = exhaustive(&script, limits, settings, vocabulary);
                    let all = found(&script, &[(0, limits)], settings).remove(0);
                    assert_eq!(all.len(), expected.len());
                    for (found, expected) in all.iter().zip(&expected) {
                        assert_eq!((&found.tokens, found.ended), (&expected.tokens, true));
                        approx::assert_relative_eq!(found.log_probability, expected.log_probability, epsilon = 1e-12);
                        approx::assert_relative_eq!(found.score, expected.score, epsilon = 1e-12);
                    }
                    settings.wanted = 3;
                    assert_eq!(found(&script, &[(0, limits)], settings)[0], all[..all.len().min(3)]);
                }
            }
        }
    }
}

#[test]
fn the_search_is_the_plain_one_alone_and_in_any_batch() {
    for seed in 0..39u64 {
        let vocabulary = 3 + (seed * 5 % 13) as usize;
        let script = hashed(seed, vocabulary, if seed % 3 == 0 { 2 } else { 1 << 40 });
        let excluded: &[u32] = if seed % 4 == 1 { &[2, 77] } else { &[] };
        let settings = Settings {
            beam: 1 + (seed % 5) as usize,
            exponent: [0.0, 0.6, 1.0, 2.0][seed as usize % 4],
            formula: if seed % 2 == 0 { LengthFormula::Power } else { LengthFormula::Gnmt },
            rules: Rules { excluded, no_repeat_ngram: (seed % 4) as usize, ..RULES },
            ..settings(1 + (seed % 5) as usize)
        };
        let sentence = |i: u64| (i, between((i % 4) as usize, ((i * 5 + seed) % 9) as usize));
        let sentences: Vec<(u64, Limits)> = (0..9).map(sentence).collect();
        let mut order = sentences.clone();
        order.reverse();
        order.rotate_left(seed as usize % 9);
        let (together, mixed) = (found(&script, &sentences, settings), found(&script, &order, settings));
        for (i, (number, limits)) in sentences.iter().enumerate() {
            let expected = plain(&script, *number, *limits, settings);
            assert!(!expected.is_empty());
            assert_eq!(found(&script, &sentences[i..=i], settings)[0], expected, "seed {seed}, {number}");
            assert_eq!(together[i], expected, "seed {seed}, {number}");
            let place = order.iter().position(|(other, _)| other == number).unwrap();
            assert_eq!(mixed[place], expected, "seed {seed}, {number}");
            for wanted in 1..settings.beam {
                let best = found(&script, &sentences[i..=i], Settings { wanted, ..settings }).remove(0);
                assert_eq!(best, expected[..expected.len().min(wanted)], "seed {seed}, {number}, {wanted}");
            }
        }
    }
}

#[test]
fn fewer_answers_are_found_with_less_work() {
    // It ends at once, surely, or in four other ways.
    let script = |_: u64, tokens: &[u32]| vec![0.0, if tokens.is_empty() { 9.0 } else { -9.0 }, 1.0, 0.5];
    let work = |wanted| {
        let mut model = Scripted::new(&script, &[0], 4, Kind::Float);
        let best = run(&mut model, &[between(0, 20)], Settings { wanted, exponent: 0.0, ..settings(4) }).unwrap();
        assert!(best[0][0].tokens.is_empty());
        model.work
    };
    assert_eq!((work(1), work(4)), (4, 4 * 21));
}

#[test]
fn four_hypotheses_find_more_likely_outputs_than_one() {
    let mut sums = [0.0; 2];
    for seed in 0..200 {
        let script = hashed(seed, 8, 1 << 40);
        for (sum, beam) in sums.iter_mut().zip([1, 4]) {
            *sum += found(&script, &[(0, between(0, 8))], settings(beam))[0][0].score;
        }
    }
    assert!(sums[1] > sums[0], "{sums:?}");
}

#[test]
fn equal_hypotheses_come_by_rank_and_id() {
    let script = |_: u64, _: &[u32]| vec![0.0; 600];
    let best = found(&script, &[(0, between(2, 2))], settings(3)).remove(0);
    // The end is the lowest of all: each of the hypotheses has one.
    assert_eq!(best.iter().map(|best| &best.tokens[..]).collect::<Vec<_>>(), [[2, 2], [2, 3], [2, 4]]);
    assert!(best.iter().all(|best| !best.ended || best.tokens == [2, 2]));
    assert!(best[0].ended);
}

#[test]
fn what_never_ends_is_kept_as_it_is() {
    let script = |_: u64, _: &[u32]| vec![0.0, -50.0, 1.0, 0.5, 0.25];
    let best = found(&script, &[(0, between(0, 3)), (1, between(4, 3)), (2, between(0, 0))], settings(2));
    for best in &best[..2] {
        assert_eq!(best.iter().map(|best| &best.tokens[..]).collect::<Vec<_>>(), [[2, 2, 2], [2, 2, 3]]);
        assert!(best.iter().all(|best| !best.ended));
        let expected = score(settings(2), best[0].log_probability, 3);
        approx::assert_relative_eq!(best[0].score, expected, epsilon = 1e-12);
    }
    // The end is not among the first two of what may follow nothing.
    assert_eq!(best[2], [Hypothesis { tokens: vec![], log_probability: 0.0, score: 0.0, ended: false }]);
}

#[test]
fn an_output_stops_where_nothing_may_follow() {
    // Neither the end, which comes too early, nor one of the two tokens, which must not come twice.
    let script = hashed(1, 4, 1 << 40);
    let rules = Rules { no_repeat_ngram: 1, ..RULES };
    for kind in [Kind::Float, Kind::Double, Kind::BFloat16] {
        let mut model = Scripted::new(&script, &[0], 3, kind);
        let best = run(&mut model, &[between(5, 9)], Settings { rules, ..settings(3) }).unwrap().remove(0);
        let mut tokens: Vec<Vec<u32>> = best.iter().map(|best| best.tokens.clone()).collect();
        tokens.sort();
        assert_eq!(tokens, [[2, 3], [3, 2]], "{kind:?}");
        assert!(best.iter().all(|best| !best.ended && best.log_probability.is_finite() && best.score.is_finite()));
    }
    // Nothing at all.
    let rules = Rules { excluded: &[2, 3], ..RULES };
    let best = found(&script, &[(0, between(1, 9))], Settings { rules, ..settings(3) }).remove(0);
    assert_eq!(best, [Hypothesis { tokens: vec![], log_probability: 0.0, score: 0.0, ended: false }]);
    let best = found(&script, &[(0, between(0, 9))], Settings { rules, ..settings(3) }).remove(0);
    assert_eq!((best.len(), best[0].tokens.len(), best[0].ended), (1, 0, true));
}

#[test]
fn no_run_comes_twice_and_excluded_tokens_never() {
    for seed in 0..20 {
        let script = hashed(seed, 6, 3);
        let rules = Rules { no_repeat_ngram: 1 + (seed % 3) as usize, excluded: &[4], ..RULES };
        let best = found(&script, &[(seed, between(6, 14))], Settings { rules, ..settings(4) }).remove(0);
        for best in &best {
            assert!(!repeats(&best.tokens, rules.no_repeat_ngram), "{best:?}");
            assert!(best.tokens.iter().all(|id| ![BEGIN, END, 4].contains(id)), "{best:?}");
        }
    }
}

#[test]
fn one_token_may_begin_and_end() {
    let script = hashed(2, 3, 1 << 40);
    let limits = between(1, 4);
    let rules = Rules { begin: END, ..RULES };
    let script: Script<'_> = &|sentence, tokens| {
        let mut logits = script(sentence, tokens);
        logits[BEGIN as usize] = 9.0;
        logits
    };
    let mut model = Scripted::beginning(script, &[0], 2, END);
    let best = run(&mut model, &[limits], Settings { rules, ..settings(2) }).unwrap().remove(0);
    // What is the beginning elsewhere is a token like others here.
    assert_eq!(best[0].tokens[0], BEGIN);
    assert!(best.iter().all(|best| !best.tokens.contains(&END)));
}

#[test]
fn what_is_done_leaves_the_batch() {
    // Sentence i ends after i tokens.
    let script =
        |sentence: u64, tokens: &[u32]| vec![0.0, if tokens.len() as u64 >= sentence { 9.0 } else { -9.0 }, 1.0, 0.5];
    let (numbers, limits): (Vec<u64>, Vec<Limits>) = (0..8).map(|i| (i, between(0, 20))).unzip();
    let mut model = Scripted::new(&script, &numbers, 1, Kind::Float);
    let best = run(&mut model, &limits, settings(1)).unwrap();
    for (best, number) in best.iter().zip(0..) {
        assert_eq!((best[0].tokens.len(), best[0].ended), (number, true));
    }
    // 8, 8, then two leave at a time, from four on one.
    assert_eq!(model.work, 8 + 8 + 6 + 6 + 4 + 3 + 2 + 1);
}

#[test]
fn a_watch_stops_the_search() {
    let script = |_: u64, _: &[u32]| vec![0.0, -9.0, 1.0, 0.5];
    let mut model = Scripted::new(&script, &[0], 2, Kind::Float);
    let mut told = Vec::new();
    let request = BeamRequest {
        beam: 2,
        wanted: 1,
        length_formula: LengthFormula::Gnmt,
        length_penalty: 0.6,
        rules: RULES,
        limits: &[between(0, 50)],
        watch: &mut |done| {
            told.push(done);
            done < 3
        },
    };
    assert_eq!(beam_search(&mut model, request).unwrap(), None);
    assert_eq!((told, model.work), (vec![0, 1, 2, 3], 2 * 3));
    assert_eq!(found(&script, &[], settings(2)), Vec::<Vec<Hypothesis>>::new());
}

#[test]
fn a_model_that_does_not_fit_is_an_error() {
    let limits = [between(0, 5)];
    let error = |script: Script<'_>, settings: Settings, rows: usize| {
        run(&mut Scripted::new(script, &[0], rows, Kind::Float), &limits, settings).unwrap_err().to_string()
    };
    assert!(error(&|_, _| vec![0.0, f64::NAN, 1.0], settings(2), 2).contains("not finite"));
    assert!(error(&|_, _| vec![0.0], settings(2), 2).contains("the end token 1 is not in the vocabulary of 1"));
    assert!(error(&|_, _| vec![0.0; 3], settings(2), 3).contains("2 tokens for 3 rows"));
    assert!(error(&|_, _| vec![0.0; 3], Settings { wanted: 3, ..settings(2) }, 2).contains("cannot be answered"));
}

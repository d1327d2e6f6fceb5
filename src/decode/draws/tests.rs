use super::*;
use crate::decode::beam::{BeamRequest, beam_search};
use crate::decode::options::LengthFormula;
use crate::decode::scripted::{END, RULES, Script, Scripted, hashed};

const PLAIN: Sampling = Sampling { temperature: 1.0, top_k: None, top_p: None };

/// Samples of sentences, of each its number and its limits.
fn drawn(
    script: Script<'_>,
    sentences: &[(u64, Limits)],
    samples: Range<u64>,
    sampling: Sampling,
    rules: Rules<'_>,
) -> Vec<Vec<Hypothesis>> {
    let (numbers, limits): (Vec<u64>, Vec<Limits>) = sentences.iter().copied().unzip();
    let mut model = Scripted::new(script, &numbers, samples.clone().count(), Kind::Float);
    let (sentences, limits) = (&numbers[..], &limits[..]);
    let request = DrawRequest { sampling, seed: 5, sentences, samples, rules, limits, watch: &mut |_| true };
    sample(&mut model, request).unwrap().unwrap()
}

fn sentences(count: u64) -> Vec<(u64, Limits)> {
    (0..count).map(|i| (i, Limits { min: (i % 3) as usize, max: (i * 5 % 9) as usize })).collect()
}

#[test]
fn without_a_temperature_the_most_likely_are_those_of_a_beam_of_one() {
    let script = hashed(3, 9, 1 << 20);
    let rules = Rules { excluded: &[3], no_repeat_ngram: 2, ..RULES };
    let sentences = sentences(8);
    let greedy = drawn(&script, &sentences, 0..1, Sampling { temperature: 0.0, ..PLAIN }, rules);
    let (numbers, limits): (Vec<u64>, Vec<Limits>) = sentences.iter().copied().unzip();
    let request = BeamRequest {
        beam: 1,
        wanted: 1,
        length_formula: LengthFormula::Power,
        length_penalty: 0.0,
        rules,
        limits: &limits,
        watch: &mut |_| true,
    };
    let best = beam_search(&mut Scripted::new(&script, &numbers, 1, Kind::Float), request).unwrap().unwrap();
    for (greedy, best) in greedy.iter().zip(&best) {
        assert_eq!((&greedy[0].tokens, greedy[0].ended), (&best[0].tokens, best[0].ended));
        approx::assert_relative_eq!(greedy[0].log_probability, best[0].log_probability, epsilon = 1e-4);
        assert_eq!(greedy[0].score, greedy[0].log_probability);
    }
}

#[test]
fn a_sample_is_its_own_in_any_batch() {
    let script = hashed(4, 7, 1 << 40);
    let sampling = Sampling { temperature: 0.8, top_k: Some(4), top_p: Some(0.9) };
    let mut sentences = sentences(7);
    let together = drawn(&script, &sentences, 2..5, sampling, RULES);
    for (i, sentence) in sentences.iter().enumerate() {
        for number in 2..5 {
            let alone = drawn(&script, &[*sentence], number..number + 1, sampling, RULES);
            assert_eq!(alone[0][0], together[i][number as usize - 2]);
        }
    }
    sentences.reverse();
    let mut reversed = drawn(&script, &sentences, 2..5, sampling, RULES);
    reversed.reverse();
    assert_eq!(reversed, together);
    assert!(together[6][0].tokens != together[6][1].tokens || together[6][1].tokens != together[6][2].tokens);
}

#[test]
fn outputs_keep_to_limits_and_rules() {
    let script = hashed(5, 6, 1 << 40);
    let rules = Rules { excluded: &[4], no_repeat_ngram: 2, ..RULES };
    let (mut ended, mut cut) = (0, 0);
    for output in drawn(&script, &[(0, Limits { min: 2, max: 4 })], 0..200, PLAIN, rules).remove(0) {
        assert!((2..=4).contains(&output.tokens.len()), "{output:?}");
        assert!(output.tokens.iter().all(|id| [2, 3, 5].contains(id)), "{output:?}");
        let pairs: Vec<&[u32]> = output.tokens.windows(2).collect();
        assert!((0..pairs.len()).all(|i| !pairs[..i].contains(&pairs[i])), "{output:?}");
        ended += usize::from(output.ended);
        cut += usize::from(!output.ended);
        assert!(output.ended || output.tokens.len() == 4);
    }
    assert!(ended > 0 && cut > 0);
}

#[test]
fn an_output_stops_where_nothing_may_follow() {
    let script = hashed(1, 4, 1 << 40);
    let rules = Rules { no_repeat_ngram: 1, ..RULES };
    for output in drawn(&script, &[(0, Limits { min: 5, max: 9 })], 0..4, PLAIN, rules).remove(0) {
        assert_eq!((output.tokens.len(), output.ended), (2, false));
    }
}

#[test]
fn tokens_come_as_often_as_they_are_likely() {
    let script = |_: u64, tokens: &[u32]| {
        // The end surely after one token.
        let end = if tokens.is_empty() { 0.2f64.ln() } else { 40.0 };
        vec![0.0, end, 0.3f64.ln(), 0.5f64.ln()]
    };
    let outputs = drawn(&script, &[(0, Limits { min: 0, max: 3 })], 0..2000, PLAIN, RULES).remove(0);
    let share = |wanted: &[u32]| outputs.iter().filter(|output| output.tokens == wanted).count() as f64 / 2000.0;
    for (tokens, expected) in [(&[][..], 0.2), (&[2], 0.3), (&[3], 0.5)] {
        approx::assert_abs_diff_eq!(share(tokens), expected, epsilon = 0.04);
    }
    assert!(outputs.iter().all(|output| output.ended));
    // The token that begins has a share of probability as well, though it is never put out.
    let three = outputs.iter().find(|output| output.tokens == [3]).unwrap();
    approx::assert_abs_diff_eq!(three.log_probability, (0.5f64 / 2.0).ln(), epsilon = 1e-6);
}

#[test]
fn a_watch_stops_and_damage_is_told() {
    let limits = [Limits { min: 3, max: 9 }];
    let run = |script: Script<'_>, most: u64| {
        let mut model = Scripted::new(script, &[0], 2, Kind::Float);
        let watch = &mut |done| done < most;
        let request = DrawRequest {
            sampling: PLAIN,
            seed: 1,
            sentences: &[0],
            samples: 0..2,
            rules: RULES,
            limits: &limits,
            watch,
        };
        sample(&mut model, request)
    };
    assert_eq!(run(&|_, _| vec![0.0; 4], 2).unwrap(), None);
    assert!(run(&|_, _| vec![0.0; 4], 50).unwrap().is_some());
    assert!(run(&|_, _| vec![0.0, f64::NAN, 0.0], 50).unwrap_err().to_string().contains("not finite"));
    assert!(run(&|_, _| vec![0.0; END as usize], 50).is_err());
}

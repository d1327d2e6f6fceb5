use super::*;

const IDS: PairIds = PairIds { source_end: 90, target_begin: 80, target_end: 81 };

/// A stream of records.
fn stream(records: &[&[u32]], end: u32) -> Tokens {
    let mut ids = vec![end];
    for record in records {
        ids.extend_from_slice(record);
        ids.push(end);
    }
    Tokens::of(&ids)
}

fn rows(pairs: &[(&[u32], &[u32])], limits: Bounds) -> Result<PairRows> {
    let sources: Vec<&[u32]> = pairs.iter().map(|(source, _)| *source).collect();
    let targets: Vec<&[u32]> = pairs.iter().map(|(_, target)| *target).collect();
    PairRows::new(stream(&sources, 90), stream(&targets, 81), IDS, limits)
}

const WIDE: Bounds = Bounds { source: 100, target: 100, keep: Keep::First, train: None };
const PAIRS: [(&[u32], &[u32]); 4] = [(&[1, 2, 3], &[11]), (&[], &[12, 13]), (&[4], &[]), (&[5, 6], &[14, 15, 16])];

#[test]
fn a_row_is_a_pair_and_the_rest_is_padding() {
    let rows = rows(&PAIRS, WIDE).unwrap();
    assert_eq!((rows.count(), rows.longest(), rows.target_count(), rows.token_count()), (4, (4, 4), 10, 20));
    let batch = rows.batch([0, 1, usize::MAX, 2], (4, 3)).unwrap();
    assert_eq!(batch.source, [1, 2, 3, 90, 90, 0, 0, 0, 0, 0, 0, 0, 4, 90, 0, 0]);
    assert_eq!(batch.lengths, [4, 1, 1, 2]);
    assert_eq!(batch.inputs, [80, 11, 0, 80, 12, 13, 0, 0, 0, 80, 0, 0]);
    let ignored = IGNORED;
    assert_eq!(batch.targets, [11, 81, ignored, 12, 13, 81, ignored, ignored, ignored, 81, ignored, ignored]);
    assert_eq!((batch.rows, batch.shape, batch.source_tokens, batch.target_tokens), (4, (4, 3), 7, 6));
    let place = |row, begin, targets| Place { row, begin, targets };
    assert_eq!(batch.places, [place(0, 1, 2), place(1, 5, 3), place(2, 6, 1)]);
    assert!(rows.batch([3], (3, 3)).is_err() && rows.batch([0], (3, 3)).is_err());
    assert_eq!(rows.lengths(), Lengths { pairs: 4, ..Lengths::default() });
}

#[test]
fn what_is_measured_is_cut_and_never_left_out() {
    for (keep, source) in [(Keep::First, [1, 90]), (Keep::Last, [3, 90])] {
        let rows = rows(&PAIRS, Bounds { source: 2, target: 3, keep, train: None }).unwrap();
        assert_eq!(rows.count(), 4);
        let batch = rows.batch([0, 3], (2, 3)).unwrap();
        assert_eq!(batch.source[..2], source);
        assert_eq!(batch.places[0].begin, if keep == Keep::First { 1 } else { 3 });
        assert_eq!((&batch.inputs[3..], &batch.targets[3..]), ([80, 14, 15].as_slice(), [14, 15, 81].as_slice()));
        let lengths = Lengths { pairs: 4, cut_sources: 2, cut_targets: 1, ..Lengths::default() };
        assert_eq!(rows.lengths(), lengths);
        assert_eq!(lengths.told().unwrap(), "cut: 2 of the sources, 1 of the targets");
    }
    let shortest = rows(&PAIRS, Bounds { source: 1, target: 1, ..WIDE }).unwrap();
    assert_eq!(shortest.batch(0..4, (1, 1)).unwrap().targets, [81; 4]);
}

#[test]
fn training_leaves_pairs_out() {
    let train = |skip, ratio| Some(Train { skip, ratio });
    let found = |limits| {
        let rows = rows(&PAIRS, limits).unwrap();
        (Vec::from_iter((0..rows.count()).map(|row| rows.number(row))), rows.lengths())
    };
    let pairs = Lengths { pairs: 4, empty: 1, ..Lengths::default() };
    assert_eq!(found(Bounds { train: train(false, None), ..WIDE }), (vec![0, 1, 3], pairs));
    let cut = Bounds { source: 3, ..WIDE };
    assert_eq!(
        found(Bounds { train: train(false, None), ..cut }),
        (vec![0, 1, 3], Lengths { cut_sources: 1, ..pairs })
    );
    assert_eq!(found(Bounds { train: train(true, None), ..cut }), (vec![1, 3], Lengths { too_long: 1, ..pairs }));
    // 4 to 2, 1 to 3, 3 to 4.
    assert_eq!(found(Bounds { train: train(false, Some(1.9)), ..WIDE }), (vec![3], Lengths { ratio: 2, ..pairs }));
    let (numbers, lengths) = found(Bounds { train: train(true, Some(2.0)), ..cut });
    assert_eq!((numbers, lengths), (vec![3], Lengths { too_long: 1, ratio: 1, ..pairs }));
    assert_eq!(lengths.left_out(), 3);
    assert_eq!(
        lengths.told().unwrap(),
        "left out: 1 too long, 1 of too different lengths (data.length_ratio), 1 without a target"
    );
    assert_eq!(Lengths { pairs: 9, ..Lengths::default() }.told(), None);
}

#[test]
fn nothing_and_unequal_streams_are_errors() {
    let message = |rows: Result<PairRows>| rows.unwrap_err().to_string();
    assert_eq!(message(rows(&[], WIDE)), "found no pair");
    let train = Bounds { train: Some(Train::default()), ..WIDE };
    let none = "found no pair that can be learned from; left out: 1 without a target";
    assert_eq!(message(rows(&[(&[1], &[])], train)), none);
    for (sources, targets) in [(&[&[1u32][..]][..], &[][..]), (&[], &[&[1u32][..]])] {
        assert_eq!(message(PairRows::new(stream(sources, 90), stream(targets, 81), IDS, WIDE)), UNEQUAL);
    }
    assert!(rows(&PAIRS, Bounds { source: 0, ..WIDE }).is_err());
}

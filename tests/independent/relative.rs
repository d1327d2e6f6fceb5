//! T5's relative positions: a bias for each head and each class of distances.

use crate::kinds::Half;
use crate::model::Model;
use crate::number::Number;
use crate::plan::Positions;

/// The classes that distances from a query back to a key fall into.
#[derive(Clone, Copy, PartialEq)]
pub struct Buckets {
    /// How many there are.
    pub count: usize,
    /// The distance from which on all share the last.
    pub distance: usize,
}

impl Buckets {
    /// The class of a distance: each of the nearer half has its own; of the others each is as many times further as
    /// the one before.
    pub fn of(self, distance: usize) -> usize {
        let near = self.count / 2;
        if distance < near {
            return distance;
        }
        let [reached, all] = [distance, self.distance].map(|distance| (distance as f64 / near as f64).ln());
        // Where a class begins at a whole number, a hair keeps it from the class before.
        let further = (reached / all * (self.count - near) as f64 + 1e-9).floor() as usize;
        (near + further).min(self.count - 1)
    }

    /// The class of a pair of positions where a query sees both sides of it: half of the classes are for either side.
    fn of_either_side(self, query: usize, key: usize) -> usize {
        let half = Self { count: self.count / 2, distance: self.distance };
        half.of(query.abs_diff(key)) + if key > query { half.count } else { 0 }
    }
}

impl<S: Number> Model<S> {
    /// What joins the score of a key position for a head and a query position of a half, where positions are relative.
    pub fn relative(&self, half: Half, head: usize, query: usize, key: usize) -> Option<S> {
        let Positions::Relative(buckets) = self.plan.positions else { return None };
        let table = &self.weights[&format!("{}.relative_positions.weight", half.name())];
        let class = match half {
            Half::Encoder => buckets.of_either_side(query, key),
            Half::Decoder => buckets.of(query - key),
        };
        Some(table[class * self.plan.heads + head])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_those_of_t5() {
        let buckets = Buckets { count: 32, distance: 128 };
        // The first distance of each class from 16 on, by arXiv 1910.10683's program.
        let begins = [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113];
        for distance in 0..300 {
            let expected =
                if distance < 16 { distance } else { 15 + begins.iter().filter(|b| **b <= distance).count() };
            assert_eq!(buckets.of(distance), expected, "distance {distance}");
        }
    }

    #[test]
    fn either_side_has_classes_of_its_own() {
        let buckets = Buckets { count: 32, distance: 128 };
        // By arXiv 1910.10683's program, with bidirectional=True.
        let classes =
            [(0, 0), (1, 1), (7, 7), (8, 8), (11, 8), (12, 9), (15, 9), (16, 10), (63, 13), (64, 14), (200, 15)];
        for (distance, class) in classes {
            assert_eq!(buckets.of_either_side(200, 200 - distance), class, "{distance} before");
            let after = if distance == 0 { 0 } else { 16 + class };
            assert_eq!(buckets.of_either_side(200, 200 + distance), after, "{distance} behind");
        }
    }

    #[test]
    fn a_class_begins_at_the_whole_number_where_it_should() {
        // The further half of 5 begins at 2, 4 and 8: ln 2 / ln 8 · 3 is 1.
        let classes = |count, distance| (0..18).map(|n| Buckets { count, distance }.of(n)).collect::<Vec<_>>();
        assert_eq!(classes(5, 16), [0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(classes(6, 24), [0, 1, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5]);
    }
}

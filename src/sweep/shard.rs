//! A part of a sweep's cells: one of several that are done by calls of their own.

use std::fmt;
use std::str::FromStr;

/// Shard `number` of `count`, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which one.
    pub number: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// Whether cell `index`, from 0, is this shard's: neighbours, which tend to be alike, go to different ones.
    pub fn has(self, index: usize) -> bool {
        index % self.count == self.number - 1
    }

    /// All shards of the sweep.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (1..=self.count).map(move |number| Shard { number, ..self })
    }

    /// The name of its lease; no cell's run ends like that.
    pub fn lease(self) -> String {
        format!("shard-{}-of-{}", self.number, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        let shard = parts.map(|(number, count)| Self { number, count });
        let shard = shard.filter(|shard| (1..=shard.count).contains(&shard.number));
        shard.ok_or_else(|| "expected I/N with I from 1 to N, such as 1/4".to_string())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_of_one_shard() {
        let shard: Shard = "2/3".parse().unwrap();
        assert_eq!((0..7).filter(|index| shard.has(*index)).collect::<Vec<_>>(), [1, 4]);
        assert!((0..20).all(|index| shard.all().filter(|shard| shard.has(index)).count() == 1));
        assert_eq!((shard.to_string().as_str(), shard.lease().as_str()), ("2/3", "shard-2-of-3"));
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "1", "0/2", "3/2", "1/0", "a/2", "1/2/3", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}

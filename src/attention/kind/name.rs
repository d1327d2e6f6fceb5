//! Kinds as texts: `dense`, `random+vanilla`.

use super::{Kind, Part};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// Why a name is no kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KindError {
    /// A part that is not known.
    Unknown(String),
    /// A part that stands twice.
    Twice(&'static str),
}

impl fmt::Display for KindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KindError::Unknown(part) => write!(f, "{part:?} is no kind of attention"),
            KindError::Twice(part) => write!(f, "a mixture that names {part} twice, expected each part once"),
        }
    }
}

impl std::error::Error for KindError {}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(name: &str) -> Result<Self, KindError> {
        let mut parts = 0;
        for name in name.split('+') {
            let part = Part::ALL.into_iter().find(|part| part.variant().name == name);
            let part = part.ok_or_else(|| KindError::Unknown(name.to_owned()))?;
            let bit = Kind::of(part).parts;
            if parts & bit != 0 {
                return Err(KindError::Twice(part.variant().name));
            }
            parts |= bit;
        }
        Ok(Kind { parts })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parts().map(|part| part.variant().name).collect();
        f.pad(&names.join("+"))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({self})")
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static NAMES: LazyLock<Vec<&str>> =
            LazyLock::new(|| Part::ALL.into_iter().rev().map(|part| part.variant().name).collect());
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|error| match error {
            KindError::Unknown(part) => serde::de::Error::unknown_variant(&part, &NAMES),
            KindError::Twice(_) => serde::de::Error::custom(format!("found {error}")),
        })
    }
}

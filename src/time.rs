//! Points in time and lengths of time, in milliseconds. Knows no clock: the edge reads it once
//! per tick and everything else is told.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, as on the wire in `ts` and `…_at`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// A length of time in milliseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Timestamp {
    #[must_use]
    pub const fn plus(self, length: Millis) -> Timestamp {
        Timestamp(self.0.saturating_add(length.0))
    }

    /// How long ago `earlier` was; zero when it lies ahead (clocks of two machines differ).
    #[must_use]
    pub const fn since(self, earlier: Timestamp) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    #[must_use]
    pub const fn minus(self, length: Millis) -> Timestamp {
        Timestamp(self.0.saturating_sub(length.0))
    }

    /// The next point on the grid at or after this one, so that many deadlines share one alarm.
    #[must_use]
    pub const fn on_grid(self, grid: Millis) -> Timestamp {
        Timestamp(self.0.div_ceil(grid.0).saturating_mul(grid.0))
    }
}

impl Millis {
    pub const SECOND: Millis = Millis(1_000);
    pub const MINUTE: Millis = Millis(60_000);

    #[must_use]
    pub const fn times(self, n: u64) -> Millis {
        Millis(self.0.saturating_mul(n))
    }
}

/// The earlier of two deadlines, either of which may be absent.
pub fn sooner(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

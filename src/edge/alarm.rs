//! The one alarm of an object: set only when something is due sooner than it would ring. Pure.
//! Source: `architecture.md` rule 7, `decisions.md` "The tick".

use crate::limits::SWEEP_EVERY;
use crate::time::{Millis, Timestamp};

/// What is known of the alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alarm {
    At(Timestamp),
    Off,
    /// After a wake, until the runtime has answered: it may be set.
    #[default]
    Unknown,
}

impl Alarm {
    /// When to set the alarm to, if it is to be set at all. Never at once or in the past: the
    /// runtime may lose such an alarm.
    #[must_use]
    pub fn arm(&mut self, now: Timestamp, deadline: Option<Timestamp>) -> Option<Timestamp> {
        let at = deadline?.max(now.plus(Millis(1)));
        let rings_before = match *self {
            Alarm::At(armed) => armed <= at,
            Alarm::Off => false,
            Alarm::Unknown => at >= now.plus(SWEEP_EVERY),
        };
        if rings_before {
            return None;
        }
        *self = Alarm::At(at);
        Some(at)
    }

    /// The runtime's answer after a wake; what was armed since then stands.
    pub fn learn(&mut self, armed: Option<Timestamp>) {
        if *self == Alarm::Unknown {
            *self = armed.map_or(Alarm::Off, Alarm::At);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn it_only_ever_moves_closer() {
        let mut alarm = Alarm::Off;
        let later = NOW.plus(Millis(5000));
        assert_eq!(alarm.arm(NOW, None), None);
        assert_eq!(alarm.arm(NOW, Some(later)), Some(later));
        assert_eq!(alarm.arm(NOW, Some(later.plus(Millis(1)))), None);
        assert_eq!(alarm.arm(NOW, Some(later)), None);
        let sooner = NOW.plus(Millis(10));
        assert_eq!(alarm.arm(NOW, Some(sooner)), Some(sooner));
    }

    #[test]
    fn it_is_never_in_the_past() {
        let mut alarm = Alarm::Off;
        assert_eq!(
            alarm.arm(NOW, Some(Timestamp(3))),
            Some(NOW.plus(Millis(1)))
        );
    }

    #[test]
    fn unknown_it_is_set_for_what_comes_within_the_minute() {
        let mut alarm = Alarm::Unknown;
        assert_eq!(alarm.arm(NOW, Some(NOW.plus(SWEEP_EVERY))), None);
        alarm.learn(None);
        assert_eq!(alarm, Alarm::Off);
        let mut alarm = Alarm::Unknown;
        let soon = NOW.plus(Millis(100));
        assert_eq!(alarm.arm(NOW, Some(soon)), Some(soon));
        alarm.learn(Some(NOW));
        assert_eq!(alarm, Alarm::At(soon));
    }
}

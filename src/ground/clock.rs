//! The time of a ceremony, and how it is written.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// A person's correction of this machine's clock, in seconds.
static CLOCK_OFFSET: AtomicI64 = AtomicI64::new(0);

/// The present time, to the second: this machine's clock, unless somebody corrected it.
pub(crate) fn now() -> Timestamp {
    let seconds = Timestamp::now().as_second().saturating_add(offset());
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A person's watch. While this is held, the time is the watch's; the machine's own clock is not changed.
#[derive(Default)]
pub(crate) struct Watch {
    corrects: bool,
}

impl Watch {
    /// Sets the time from now on.
    pub(crate) fn says(&mut self, present: Timestamp) {
        let offset = present.as_second() - Timestamp::now().as_second();
        CLOCK_OFFSET.store(offset, Ordering::Relaxed);
        self.corrects = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.corrects {
            CLOCK_OFFSET.store(0, Ordering::Relaxed);
        }
    }
}

/// What is added to this machine's clock, in seconds; 0 if nobody corrected it.
pub(crate) fn offset() -> i64 {
    CLOCK_OFFSET.load(Ordering::Relaxed)
}

/// `2026-11-22T11:42:03Z` as `20261122T114203Z`, for directory names.
pub(crate) fn compact(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// `2026-11-22 11:42 UTC`, for people.
pub(crate) fn for_people(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_watch_is_given_back_with_the_watch() {
        let mut watch = Watch::default();
        for ahead in [40, -70] {
            watch.says(Timestamp::from_second(Timestamp::now().as_second() + ahead).unwrap());
            assert!((offset() - ahead).abs() < 5, "{}", offset());
        }
        drop(Watch::default()); // another that corrected nothing takes nothing back
        assert_ne!(offset(), 0);
        drop(watch);
        assert_eq!(offset(), 0);
    }
}

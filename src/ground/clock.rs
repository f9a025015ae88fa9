//! The time that a ceremony goes by, and how it is written.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// What a person's watch adds to this machine's clock, in seconds.
static CLOCK_OFFSET: AtomicI64 = AtomicI64::new(0);

/// The present time, to the second: this machine's clock, as far as nobody corrected it.
pub(crate) fn now() -> Timestamp {
    let seconds = Timestamp::now().as_second().saturating_add(offset());
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A person's watch. What it says is the time for as long as this is held; the machine's own clock is not touched.
#[derive(Default)]
pub(crate) struct Watch {
    corrects: bool,
}

impl Watch {
    /// From now on this is the time.
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

/// What is added to this machine's clock, in seconds; 0 where nobody corrected it.
pub(crate) fn offset() -> i64 {
    CLOCK_OFFSET.load(Ordering::Relaxed)
}

/// `2026-11-22T11:42:03Z` as `20261122T114203Z`, for names of directories.
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

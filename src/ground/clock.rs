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

/// From now on the time is what a person says; the machine's own clock is not touched.
pub(crate) fn correct(present: Timestamp) {
    let offset = present.as_second() - Timestamp::now().as_second();
    CLOCK_OFFSET.store(offset, Ordering::Relaxed);
}

/// What was added to this machine's clock, in seconds; 0 where nobody corrected it.
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

//! The call into the module that is under way. A module, or the device behind it, may never answer; another
//! thread, of the ceremony's operator, looks at it here and tells people ([`call`]).
//!
//! There is one module, and one session at a time, so there is one such call in the process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A call that has not returned yet.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Its number since the process began; every later call has a higher one.
    pub number: u64,
    /// The function's standard name; all names if the wrapper makes several calls at once.
    pub function: &'static str,
    /// The label of the data key that the call serves, if it serves one.
    pub data_key: Option<String>,
    /// How long it has taken so far.
    pub taken: Duration,
}

struct Desk {
    count: u64,
    call: Option<(&'static str, Instant)>,
    data_key: Option<String>,
}

static DESK: Mutex<Desk> = Mutex::new(Desk {
    count: 0,
    call: None,
    data_key: None,
});

fn desk() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    fn now(&self) -> Option<Call> {
        self.call.map(|(function, since)| Call {
            number: self.count,
            function,
            data_key: self.data_key.clone(),
            taken: since.elapsed(),
        })
    }
}

/// As long as this value lives, the calls serve a data key.
#[must_use]
pub(crate) struct Serving {
    before: Option<String>,
}

/// Says that the next calls serve the data key with this label.
pub(crate) fn serving(label: &str) -> Serving {
    let before = desk().data_key.replace(label.to_owned());
    Serving { before }
}

impl Drop for Serving {
    fn drop(&mut self) {
        desk().data_key = self.before.take();
    }
}

/// The call under way.
pub(crate) fn call() -> Option<Call> {
    desk().now()
}

/// Does something while this very call is under way; its answer waits meanwhile. `None`: it has returned already.
pub(crate) fn during<T>(number: u64, act: impl FnOnce() -> T) -> Option<T> {
    let desk = desk();
    let same = desk.call.is_some() && desk.count == number;
    same.then(act)
}

/// Makes a call and shows that it is under way.
pub(super) fn seen<T>(function: &'static str, call: impl FnOnce() -> T) -> T {
    /// A call that panics is over too.
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            desk().call = None;
        }
    }
    {
        let mut desk = desk();
        desk.count += 1;
        desk.call = Some((function, Instant::now()));
    }
    let _over = Over;
    call()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_seen_until_it_comes_back() {
        let serving = serving("payments");
        let during_it = seen("C_WrapKey", call).unwrap();
        assert_eq!(during_it.function, "C_WrapKey");
        assert_eq!(during_it.data_key.as_deref(), Some("payments"));
        assert!(during(during_it.number, || ()).is_none());
        drop(serving);
        let next = seen("C_Sign", call).unwrap();
        assert_eq!(next.data_key, None);
        assert_ne!(next.number, during_it.number);
        assert!(call().is_none());
    }
}

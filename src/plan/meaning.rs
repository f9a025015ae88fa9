//! What a plan means, in the one sentence that approval, paper and report share.

use super::{Keep, Kind};

/// With this many data keys the steps count them, and tell no single one.
pub(crate) const COUNTED: usize = 50;

/// Where the data key is after the ceremony.
pub(crate) fn keep(kind: Kind, keep: Keep) -> &'static str {
    match (kind, keep) {
        (Kind::Destroy, _) => "destroyed in this ceremony",
        (_, Keep::Extractable) => {
            "in the HSM, extractable: whoever has token and PIN can wrap it again"
        }
        (_, Keep::Sealed) => "in the HSM, sealed after the proof: then only a quorum brings it out",
        (_, Keep::None) => "not in the HSM: after the ceremony only a quorum brings it back",
    }
}

/// `hsm.hardware`: nobody has asked the HSM yet.
pub(crate) fn hardware(reason: &str) -> String {
    format!("by the plan's word if not by its slot's, an exception: {reason}")
}

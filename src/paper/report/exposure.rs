//! How far the data keys were exposed: four grades, and never more than is true.

use super::{Html, Report, p, tag};
use crate::evidence::transcript::{EscrowDealt, HsmOpened, QuorumMet, Said, Wrapped};
use crate::plan::WrapIn;

/// The grade of a ceremony, as `sealed` and the report say it. `software`: the HSM is a program;
/// `bytes_here`: a data key was wrapped in this computer; `escrow_key_here`: the escrow key was.
pub(crate) fn grade(software: bool, bytes_here: bool, escrow_key_here: bool) -> &'static str {
    match (software, bytes_here, escrow_key_here) {
        (true, _, _) => "software HSM",
        (false, true, _) => "bytes were in this computer",
        (false, false, true) => "escrow key was in this computer",
        (false, false, false) => "never left the HSM in clear",
    }
}

/// The grade as the events tell it, and what it means.
pub(super) fn block(report: &Report) -> Html {
    let hsms: Vec<Said<HsmOpened>> = report.events().collect();
    let software = hsms.is_empty() || hsms.iter().any(|hsm| hsm.judged.software);
    let in_host: Vec<String> = report
        .events::<Wrapped>()
        .filter(|wrapped| wrapped.wrapped_in.known() == Some(WrapIn::Host))
        .map(|wrapped| format!("{}/{}", wrapped.label, wrapped.import))
        .collect();
    let found_in = |source: &str| -> Vec<String> {
        let from = report.data_keys();
        from.filter(|key| key.source.as_deref() == Some(source))
            .map(|key| key.label.clone())
            .collect()
    };
    let (from_files, from_token) = (found_in("file"), found_in("token"));
    let bytes_here = !in_host.is_empty() || !from_files.is_empty();
    let dealt = report.events::<EscrowDealt>().next().is_some();
    let met = report.events::<QuorumMet>().next().is_some();
    let mut parts = vec![
        p("How far the data keys were exposed in this ceremony:"),
        tag("p.grade", grade(software, bytes_here, dealt || met)),
    ];
    parts.extend(hsms.iter().filter_map(nature).map(p));
    if software {
        parts.push(p(SOFTWARE));
    }
    if !in_host.is_empty() {
        parts.push(p(format!("{BYTES} {}.", in_host.join(", "))));
    }
    if !from_files.is_empty() {
        parts.push(p(format!("{FILES} {}.", from_files.join(", "))));
    }
    if dealt || met {
        parts.push(p(ESCROW_KEY));
    }
    if !software && !bytes_here && !dealt && !met {
        parts.push(p(NEVER));
    }
    if !from_token.is_empty() {
        parts.push(p(format!("{TOKEN} {}.", from_token.join(", "))));
    }
    tag("div.box", parts)
}

/// What the HSM was taken for, and why; nothing in a record that does not say it.
fn nature(hsm: &Said<HsmOpened>) -> Option<String> {
    let nature = hsm.judged.nature(&hsm.token)?;
    Some(format!("The HSM is {}.", nature.told()))
}

const SOFTWARE: &str = "The HSM of this ceremony is a program. What it holds, and every data key with it, \
    was in the memory and on the disk of this computer. That is fit for rehearsals and tests.";

const BYTES: &str = "By the plan's explicit wish, bytes of data keys were in this computer's locked memory \
    for the moment of wrapping:";

const FILES: &str = "By the plan's explicit wish, these data keys came from files. Their bytes were in this computer's \
    locked memory, and whoever has or had such a file, or a copy of it, has the data key:";

const TOKEN: &str = "These data keys were in the HSM before this ceremony. Who made them, who has copies, and where their \
    bytes have been, this record does not know:";

const ESCROW_KEY: &str = "The escrow key was in this computer's locked memory while it was split into shares \
    or joined from them, and was erased afterwards. With the escrow package it opens every data key in it, \
    and so does any quorum of the shares. Whoever controlled this computer at that time could have kept it.";

const NEVER: &str = "No byte of a data key, and no key that opens one, was in this computer: what it had are \
    wrapped data keys, which only the KMS key that gave the wrapping key can open.";

#[cfg(test)]
mod tests {
    use super::grade;

    #[test]
    fn the_worst_that_is_true_is_the_grade() {
        assert_eq!(grade(true, true, true), "software HSM");
        assert_eq!(grade(false, true, true), "bytes were in this computer");
        assert_eq!(grade(false, false, true), "escrow key was in this computer");
        assert_eq!(grade(false, false, false), "never left the HSM in clear");
    }
}

//! How far the data keys were exposed: four grades, never better than is true.

use super::{Report, imports};
use crate::evidence::previous::Came;
use crate::evidence::transcript::{DataKeyFacts, EscrowDealt, HsmOpened, QuorumMet, Said, Wrapped};
use crate::ground::facts::Nature;
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

/// What the events say about it.
pub(super) struct Exposure {
    /// What each HSM was taken for, and why; empty for a record that does not say it.
    pub natures: Vec<String>,
    pub software: bool,
    /// Whether the plan alone says that an HSM is hardware.
    pub by_word: bool,
    /// The imports that were wrapped in this computer.
    pub wrapped_here: Vec<String>,
    pub from_files: Vec<String>,
    pub from_token: Vec<String>,
    /// What came so in an earlier ceremony.
    pub files_before: Vec<String>,
    pub token_before: Vec<String>,
    /// What no record here tells about.
    pub not_known: Vec<String>,
    pub escrow_key_here: bool,
}

impl Exposure {
    pub(super) fn of(report: &Report) -> Self {
        let hsms: Vec<Said<HsmOpened>> = report.events().collect();
        let wrapped = report.events::<Wrapped>();
        let wrapped_here = wrapped
            .filter(|wrapped| imports::wrapped_in(wrapped) == WrapIn::Host)
            .map(|wrapped| format!("{}/{}", wrapped.label, wrapped.import));
        let labels = |is: &dyn Fn(&Said<DataKeyFacts>) -> bool| -> Vec<String> {
            let keys = report.data_keys().filter(is);
            keys.map(|key| key.label.clone()).collect()
        };
        let here = |came| labels(&|key| Came::told_by(key) == Some(came));
        let before =
            |came| labels(&|key| Came::told_by(key).is_none() && report.came_before(key) == came);
        Self {
            by_word: hsms
                .iter()
                .any(|hsm| matches!(nature(hsm), Some(Nature::ByPlan(_)))),
            natures: hsms
                .iter()
                .filter_map(nature)
                .map(|nature| nature.told())
                .collect(),
            software: hsms.is_empty() || hsms.iter().any(|hsm| hsm.judged.software),
            wrapped_here: wrapped_here.collect(),
            from_files: here(Came::File),
            from_token: here(Came::Token),
            files_before: before(Some(Came::File)),
            token_before: before(Some(Came::Token)),
            not_known: before(None),
            escrow_key_here: report.events::<EscrowDealt>().next().is_some()
                || report.events::<QuorumMet>().next().is_some(),
        }
    }

    pub(super) fn bytes_here(&self) -> bool {
        !self.wrapped_here.is_empty() || !self.from_files.is_empty()
    }

    pub(super) fn grade(&self) -> &'static str {
        grade(self.software, self.bytes_here(), self.escrow_key_here)
    }

    /// Whether a data key itself was in a computer.
    pub(super) fn is_serious(&self) -> bool {
        self.software || self.bytes_here()
    }

    /// Whether no HSM made a data key for byok.
    pub(super) fn is_from_elsewhere(&self) -> bool {
        let ways = [
            &self.from_files,
            &self.from_token,
            &self.files_before,
            &self.token_before,
        ];
        ways.iter().any(|labels| !labels.is_empty())
    }

    /// Whether this computer never held anything that opens a data key.
    pub(super) fn held_nothing(&self) -> bool {
        !self.is_serious() && !self.escrow_key_here
    }

    /// Whether nobody had a data key, neither in this ceremony nor before it.
    pub(super) fn is_none(&self) -> bool {
        self.held_nothing() && !self.is_from_elsewhere() && self.not_known.is_empty()
    }
}

fn nature(hsm: &Said<HsmOpened>) -> Option<Nature> {
    hsm.judged.nature(&hsm.token)
}

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

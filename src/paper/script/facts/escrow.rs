//! The shares that this ceremony deals, and those that it asks for.

use super::{Named, Script, UNKNOWN_SHARES, eight_rows, html};
use crate::crypto::escrow::package;
use crate::crypto::escrow::policy::Place;
use crate::evidence::previous::{Dealt, Previous, not_in_use, told_outside};
use crate::ground::words;
use crate::paper::holders;
use crate::paper::html::{Html, rows_to_fill};
use crate::paper::last;
use crate::paper::script::form::FormTexts;
use crate::paper::template::facts;
use crate::plan::{Deliver, Kind, PackageSource, ShareSource, meaning};

facts! {
    /// Shares and package.
    EscrowFacts {
        escrow_meaning: Html,
        holders: Html,
        shares: Vec<ShareFacts>,
        share_count: Html,
        /// Whose shares are.
        enough: Html,
        /// The folder, if shares are written as files.
        share_folder: Html,
        by_quorum: bool,
        package_by_hand: bool,
        replaces_shares: bool,
        old_shares: Html,
        give_out: Html,
        /// If any shares are in use afterwards.
        keep: Html,
        /// If the shares stay those of an earlier record.
        keep_package: Html,
        together: Html,
        words: Html,
        ceremony_boxes: Html,
        digest_boxes: Html,
        places: Html,
        emergency: Html,
        eight_rows: Html,
        three_rows: Html,
        shares_before: Vec<ShareFacts>,
        enough_before: Html,
        blanks: Vec<Named>,
        not_in_use: Vec<Named>,
        package_typed: bool,
        shares_typed: bool,
    }
    ShareFacts { number: Html, custodian: Html, }
}

impl EscrowFacts {
    pub(super) fn of(script: &Script) -> Self {
        let plan = script.plan;
        let previous = script.previous;
        let escrow = plan.escrow.as_ref();
        let recover = plan.recover.as_ref();
        let form = FormTexts::new(escrow);
        Self {
            escrow_meaning: escrow_meaning(script).into(),
            holders: holders::picture(plan, previous),
            shares: script.places().map(ShareFacts::of).collect(),
            share_count: script.places().count().to_string().into(),
            enough: html(escrow.map(|escrow| words::capitalised(&escrow.policy.shares()))),
            share_folder: html(share_folder(script)),
            by_quorum: plan.keys.iter().any(|key| key.keep.by_quorum()),
            package_by_hand: plan.keys.iter().all(|key| package::can_be_typed(key.spec)),
            replaces_shares: last::replaces_shares(plan, previous),
            old_shares: last::OLD_SHARES.into(),
            give_out: last::GIVE_OUT.into(),
            keep: html((plan.escrow.is_some() || shares_stay(script)).then_some(package::KEEP)),
            keep_package: html(shares_stay(script).then_some(package::KEEP)),
            together: form.together,
            words: form.words,
            ceremony_boxes: form.ceremony_boxes,
            digest_boxes: form.digest_boxes,
            places: form.places,
            emergency: form.emergency,
            eight_rows: eight_rows(),
            three_rows: rows_to_fill(1..=3),
            shares_before: script.shares_before().map(ShareFacts::of).collect(),
            enough_before: html(
                script
                    .policy_before()
                    .map(|policy| words::capitalised(&policy.shares())),
            ),
            blanks: Named::all([""; UNKNOWN_SHARES]),
            not_in_use: previous.map(others).unwrap_or_default(),
            package_typed: recover.is_some_and(|recover| recover.package == PackageSource::Typed),
            shares_typed: recover.is_some_and(|recover| recover.shares == ShareSource::Typed),
        }
    }
}

/// The folder, if shares are written as files.
fn share_folder(script: &Script) -> Option<String> {
    match &script.plan.escrow.as_ref()?.deliver {
        Deliver::Files(directory) => Some(script.relative(directory)),
        Deliver::Screen => None,
    }
}

/// Whether the shares in use are those that an earlier ceremony dealt, and stay in use.
fn shares_stay(script: &Script) -> bool {
    let in_use = script.previous.and_then(Previous::in_use).is_some();
    in_use && script.plan.escrow.is_none() && script.plan.kind != Kind::Destroy
}

fn escrow_meaning(script: &Script) -> String {
    match (script.plan.kind, &script.plan.escrow) {
        (Kind::Destroy, None) => told_outside(script.plan, script.previous),
        _ => meaning::escrow(script.plan, |path| script.relative(path))
            .unwrap_or_else(|| "no new shares are dealt".to_owned()),
    }
}

impl ShareFacts {
    fn of(share: Place) -> Self {
        Self {
            number: share.number.to_string().into(),
            custodian: share.told().into(),
        }
    }
}

/// Ceremonies whose shares are not in use.
fn others(previous: &Previous) -> Vec<Named> {
    let told = |(dealt, why): (&Dealt, &str)| format!("{}, {why}", words::quoted(&dealt.ceremony));
    Named::all(not_in_use(previous).map(told))
}

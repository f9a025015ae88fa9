//! That every page of the script fits what it is filled with.

use super::facts::*;
use super::form::*;
use super::*;
use crate::paper::template::{Facts, Field as _, tests::*};

#[test]
fn every_page_fits_its_facts_in_every_branch_and_uses_them_all() {
    let facts = ScriptFacts {
        ceremony: CeremonyFacts::example(),
        keys: KeysFacts::example(),
        escrow: EscrowFacts::example(),
        hsm: HsmFacts::example(),
        record: RecordFacts::example(),
        seats: SeatFacts::example(),
    };
    let of_a_plan: &[&dyn Facts] = &facts.all();
    let seats = &facts.seats;
    let custodian = FormFacts::example();
    let form = [of_a_plan, &[&custodian]].concat();
    let cases = [
        (COVER.template, of_a_plan),
        (DATA_KEYS.template, of_a_plan),
        (PEOPLE.template, of_a_plan),
        (CALENDAR.template, of_a_plan),
        (SLIP.template, of_a_plan),
        (RECORD_BEFORE.template, of_a_plan),
        (SHARES_BROUGHT.template, of_a_plan),
        (STEPS.template, of_a_plan),
        (DESTROYED.template, of_a_plan),
        (AFTER.template, of_a_plan),
        (YEARLY.template, of_a_plan),
        (THE_PAPER.template, &[seats]),
        (THE_END.template, &[seats]),
        (EXCEPTIONS.template, &[&ExceptionFacts::example()]),
        (FORM.template, &form),
        (BLANK_FORM.template, &[&BlankFacts::example()]),
        (EMERGENCY, &[&EmergencyFacts::example()]),
        (PACKAGE, &[&PackageFacts::example()]),
        (PLACES, &[]),
        (PRACTICE, &[]),
    ];
    let used = cases
        .iter()
        .flat_map(|(template, scopes)| fits(template, scopes))
        .collect();
    let templates = cases.map(|(template, _)| template);
    let declared = [
        CeremonyFacts::NAMES,
        KeysFacts::NAMES,
        EscrowFacts::NAMES,
        HsmFacts::NAMES,
        RecordFacts::NAMES,
        KeyFacts::NAMES,
        ImportFacts::NAMES,
        MeaningFacts::NAMES,
        ShareFacts::NAMES,
        FileFacts::NAMES,
        Named::NAMES,
        SeatFacts::NAMES,
        ExceptionFacts::NAMES,
        FormFacts::NAMES,
        BlankFacts::NAMES,
        EmergencyFacts::NAMES,
        PackageFacts::NAMES,
    ];
    nothing_is_left_out("src/paper/script", &templates, &used, &declared);
}

//! This machine's clock. If something shows that it is wrong, a person's watch decides.
//!
//! It is asked before the approval, so that every line of the transcript has the time that people know.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Error, Operator, Plan, Previous, Result, screens};
use crate::ground::clock::Watch;
use crate::plan::kms::Lifetime;
use crate::plan::parameters;

/// Typed if the clock is right. Enter alone says nothing: with a clock in doubt it would end the ceremony later.
const RIGHT: &str = "right";

/// Asks for the time as long as something contradicts the clock. A person who says that the clock is right goes on;
/// the step that the contradiction belongs to then refuses.
///
/// # Errors
/// Exit 1 if the person ends the run.
pub(crate) fn compare(
    plan: &Plan,
    previous: Option<&Previous>,
    operator: &mut dyn Operator,
    watch: &mut Watch,
) -> Result<()> {
    while let Some(doubt) = doubt(plan, previous) {
        operator.say(&screens::fold(&doubt, " "));
        if !ask(operator, watch)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Takes the time from a person. `false`: the clock is right as it is, or nobody is asked.
///
/// # Errors
/// As [`compare`].
pub(crate) fn ask(operator: &mut dyn Operator, watch: &mut Watch) -> Result<bool> {
    let clock = crate::ground::clock::for_people(crate::ground::clock::now());
    operator.say(&format!(
        " The clock says {clock}. Look at a watch.\n \
         Right within 5 minutes: type {RIGHT}. Wrong: type the UTC time.\n"
    ));
    let question = format!(" UTC as YYYY-MM-DD HH:MM, or {RIGHT}: ");
    loop {
        let typed = operator.ask(&question)?;
        match typed.as_deref() {
            None => return Ok(false),
            Some(text) if text.eq_ignore_ascii_case(RIGHT) => return Ok(false),
            Some(text) => match read(text) {
                Some(present) => {
                    watch.says(present);
                    return Ok(true);
                }
                None => operator.say(&format!(
                    " That is neither {RIGHT} nor a time such as 2026-11-22 09:41.\n"
                )),
            },
        }
    }
}

/// Unattended nobody can look at a watch.
///
/// # Errors
/// Exit 5 if the previous record was sealed after what this clock says.
pub(crate) fn not_before(previous: Option<&Previous>) -> Result<()> {
    match sealed_later(previous) {
        Some(doubt) => Err(Error::machine(doubt).check("CLOCK").hint(
            "set the clock to the present UTC, then run again: date -u -s \"YYYY-MM-DD HH:MM:SS\"",
        )),
        None => Ok(()),
    }
}

/// The previous record is never younger than the one that builds on it.
pub(crate) fn sealed_later(previous: Option<&Previous>) -> Option<String> {
    let sealed = previous?.sealed;
    (sealed > crate::ground::clock::now()).then(|| {
        let sealed = crate::ground::clock::for_people(sealed);
        format!("the previous record was sealed at {sealed}, which is in the future by this machine's clock")
    })
}

/// How far the clock was corrected, for the record.
pub(crate) fn corrected() -> Option<String> {
    let offset = crate::ground::clock::offset();
    let side = match offset {
        0 => return None,
        1.. => "behind",
        _ => "ahead",
    };
    let by = SignedDuration::from_secs(offset).abs();
    let (hours, minutes) = (by.as_hours(), by.as_mins() % 60);
    Some(format!(
        "this machine's clock was {hours} h {minutes} min {side}; the time was entered by hand and used"
    ))
}

/// What the import parameters and the previous record say about the time, if the clock contradicts them.
fn doubt(plan: &Plan, previous: Option<&Previous>) -> Option<String> {
    let now = crate::ground::clock::now();
    let of_parameters = plan.imports().find_map(|(_, import)| {
        let Lifetime::Hours(hours) = import.kms_key.lifetime else {
            return None;
        };
        let valid_to = import.kms_key.deadline(&parameters::wanted(import))?;
        let name = &import.name;
        if now >= valid_to {
            let end = crate::ground::clock::for_people(valid_to);
            return Some(format!(
                "By this machine's clock the import parameters of {name} expired at {end}. If the clock is right, they are of no more use; if it is ahead, correct it here."
            ));
        }
        parameters::made_later(valid_to, hours, now).map(|made| {
            let made = crate::ground::clock::for_people(made);
            format!(
                "The import parameters of {name} were made at {made} at the earliest, which is in the future by this machine's clock. If the clock is right, the file is not what the KMS wrote: type {RIGHT}, and the ceremony refuses it."
            )
        })
    });
    of_parameters.or_else(|| {
        let doubt = sealed_later(previous)?;
        Some(format!("{}.", crate::ground::words::capitalised(&doubt)))
    })
}

/// `2026-11-22 09:41`, with seconds or a `Z` or `UTC` if somebody types them.
fn read(text: &str) -> Option<Timestamp> {
    let text = text
        .trim()
        .trim_end_matches('Z')
        .trim_end_matches("UTC")
        .trim_end();
    let at = [
        "%Y-%m-%d %H:%M",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M",
    ]
    .iter()
    .find_map(|format| DateTime::strptime(format, text).ok())?;
    let sensible = (2024..2200).contains(&at.year());
    let at = TimeZone::UTC.to_timestamp(at).ok()?;
    sensible.then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_type_it() {
        let is = |text: &str| read(text).map(|at| at.to_string());
        for text in [
            "2026-11-22 09:41",
            " 2026-11-22 09:41 UTC",
            "2026-11-22 09:41:00Z",
            "2026-11-22T09:41:00Z",
        ] {
            assert_eq!(is(text).as_deref(), Some("2026-11-22T09:41:00Z"), "{text}");
        }
        for text in [
            "",
            "09:41",
            "22.11.2026 09:41",
            "2026-02-30 09:41",
            "1970-01-01 00:00",
            "yes",
        ] {
            assert_eq!(is(text), None, "{text}");
        }
    }
}

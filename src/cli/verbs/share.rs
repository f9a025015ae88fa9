//! `byok share check`: one custodian, one share. It says whose share it is and never what it says.

use std::path::PathBuf;

use serde::Serialize;

use crate::crypto::escrow::policy::Place;
use crate::crypto::escrow::slip39::words::Words;
use crate::crypto::escrow::slip39::{NotAShare, Share};
use crate::crypto::escrow::{self, Package, share_digest};
use crate::evidence::previous::{Dealt, Previous, read_package_file};
use crate::ground::anchor::{Anchor, FROM_PAPER, TYPE_ROWS};
use crate::ground::error::{Error, Result};
use crate::ground::text::fold;
use crate::ground::words;

mod typed;

/// What a share is checked against, and where it comes from.
#[derive(Debug, Default)]
pub(crate) struct ShareWish {
    /// Paths that were given without an option.
    pub stray: Vec<PathBuf>,
    /// The record of the ceremony that dealt it.
    pub record: Option<PathBuf>,
    /// Head digest of that record, from paper.
    pub head: Option<String>,
    /// An escrow package; it names only the ceremony.
    pub package: Option<PathBuf>,
    /// A share file; otherwise the custodian types.
    pub share: Option<PathBuf>,
    /// Why a screen that others can see is acceptable.
    pub screen_recorded: Option<String>,
    /// For programs.
    pub json: bool,
}

/// What the share is checked against.
enum Against {
    Record(Box<Previous>, Dealt),
    Package(Package),
    Nothing,
}

/// The answer, for programs.
#[derive(Default, Serialize)]
struct Answer {
    /// Its own checksum holds and, with a record, that ceremony dealt it.
    good: bool,
    rehearsal: bool,
    /// The ceremony of the record or the package.
    ceremony: Option<String>,
    share: Option<u8>,
    threshold: Option<u8>,
    /// How many shares the ceremony dealt.
    shares: Option<usize>,
    custodian: Option<String>,
    /// The custodian's group, if there are groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// What the share says of itself, for people.
    #[serde(skip)]
    itself: String,
    share_sha256: Option<String>,
    /// Whether the record is vouched for from outside.
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Checks one share and says on standard output whose it is.
///
/// # Errors
/// Exit 4 if it is not a share, or not one that the record's ceremony dealt; exit 5 if others could see what is typed;
/// exit 2 without a terminal and without a share file, or for the wrong kind of input.
pub(crate) fn share_check(wish: &ShareWish) -> Result<()> {
    no_strays(&wish.stray)?;
    let against = against(wish)?;
    let typed = match &wish.share {
        Some(path) => escrow::read_share_file(path)?,
        None => typed::at_terminal(wish.screen_recorded.as_deref())?,
    };
    let mut answer = Answer::default();
    let judged = judge(&typed, &against, &mut answer);
    drop(typed);
    answer.good = judged.is_ok();
    answer.authenticated = answer.good && wish.head.is_some();
    answer.why = judged.as_ref().err().map(|error| error.what.clone());
    if wish.json {
        super::print_json(&answer)?;
    } else if answer.good {
        super::print_lines(&words::screen(&for_people(&answer, &against)))?;
    }
    judged
}

/// A share is secret: byok never guesses what a path was meant to be.
fn no_strays(stray: &[PathBuf]) -> Result<()> {
    let Some(path) = stray.first() else {
        return Ok(());
    };
    Err(Error::usage(format!(
        "{}: byok share check takes paths only after --record, --package or --share",
        path.display()
    ))
    .hint("byok share check --record RECORD"))
}

fn against(wish: &ShareWish) -> Result<Against> {
    if let Some(path) = &wish.package {
        return read_package_file(path).map(Against::Package);
    }
    let Some(directory) = &wish.record else {
        return Ok(Against::Nothing);
    };
    let anchor = wish.head.as_deref().map(Anchor::parse).transpose();
    let anchor = anchor.map_err(|why| Error::usage(format!("--head: {why}")).hint(TYPE_ROWS))?;
    if !directory.is_dir() {
        return Err(Error::usage(format!(
            "{}: there is no such record",
            directory.display()
        )));
    }
    let previous = Previous::load(directory, anchor.as_ref())?;
    let dealt = previous.in_use().cloned().ok_or_else(|| {
        Error::usage(format!(
            "{}: neither this ceremony nor an earlier one whose record is here dealt shares",
            directory.display()
        ))
        .hint("name the record whose ceremony id is on the share form")
    })?;
    Ok(Against::Record(Box::new(previous), dealt))
}

fn judge(typed: &Words, against: &Against, answer: &mut Answer) -> Result<()> {
    answer.ceremony = match against {
        Against::Record(_, dealt) => Some(dealt.ceremony.clone()),
        Against::Package(package) => Some(package.ceremony.clone()),
        Against::Nothing => None,
    };
    answer.rehearsal = matches!(against, Against::Record(previous, _) if previous.rehearsal);
    let share = Share::as_dealt(typed).map_err(|why| not_a_share(&why))?;
    answer.itself = opens(&share);
    if share.set.group_count == 1 {
        answer.share = Some(share.member + 1);
        answer.threshold = Some(share.threshold);
    }
    answer.share_sha256 = answer
        .ceremony
        .as_deref()
        .map(|ceremony| words::hex(&share_digest(ceremony, typed)));
    let Against::Record(_, set) = against else {
        return Ok(());
    };
    answer.shares = Some(set.shares.len());
    let sha256 = answer.share_sha256.as_deref().unwrap_or_default();
    let place = dealt(set, &share, sha256)?;
    answer.share = Some(place.number);
    answer.custodian = Some(place.custodian.to_owned());
    answer.group = place.group_name();
    Ok(())
}

fn dealt<'a>(set: &'a Dealt, share: &Share, sha256: &str) -> Result<Place<'a>> {
    let mut shares = set.shares.iter();
    let known = shares.find(|known| known.sha256 == sha256).ok_or_else(|| {
        mismatch(format!(
            "ceremony {} never dealt this share; it is {} of a different set",
            set.ceremony,
            told(share)
        ))
        .hint("its checksum holds: it was copied well, but from a form of another ceremony, or of an older escrow")
        .hint("compare the ceremony id on the form with the record's, then check the share with the record of that ceremony")
    })?;
    let mut places = set.policy.places();
    let place = places.find(|place| (place.group, place.member) == (share.group, share.member));
    let same = place.filter(|place| {
        let group = &set.policy.groups()[usize::from(place.group)];
        let says = (share.set.group_threshold, share.threshold);
        u64::from(place.number) == known.number
            && says == (set.policy.groups_needed(), group.threshold)
    });
    same.ok_or_else(|| {
        mismatch(format!(
            "the record says share {}, {}; the share itself says that {}",
            known.number,
            set.policy.shares(),
            opens(share)
        ))
        .hint("the record contradicts the share: call the security officer")
    })
}

/// `share 2`, or `share 1 of group 2`: what it says itself.
fn told(share: &Share) -> String {
    let number = share.member + 1;
    match share.set.group_count {
        1 => format!("share {number}"),
        _ => format!("share {number} of group {}", share.group + 1),
    }
}

/// What opens a package with shares like this one, as far as it says so itself.
fn opens(share: &Share) -> String {
    let Share { threshold, set, .. } = share;
    match set.group_count {
        1 => format!(
            "this is {} of a set of which any {threshold} open an escrow package.",
            told(share)
        ),
        groups => format!(
            "this is {}. An escrow package opens with {} of the {groups} groups; of this group {threshold} needed.",
            told(share),
            set.group_threshold,
        ),
    }
}

fn mismatch(what: impl Into<String>) -> Error {
    Error::mismatch(what).check("SHARE")
}

fn not_a_share(why: &NotAShare) -> Error {
    match why {
        NotAShare::Memory => Error::machine("there is no locked memory for a share"),
        NotAShare::Checksum { .. } | NotAShare::Length => {
            mismatch(format!("these words are not a share: {}", why.told()))
                .hint("nothing is lost: compare with the form letter by letter, and check again")
                .hint("if they still do not, tell the security officer: this form opens nothing")
        }
        foreign => mismatch(foreign.told())
            .hint("its checksum holds, so it was copied well: byok never dealt it")
            .hint("tell the security officer, and do not bring it to a ceremony"),
    }
}

fn for_people(answer: &Answer, against: &Against) -> String {
    let ceremony = words::quoted(answer.ceremony.as_deref().unwrap_or_default());
    let mut text = String::new();
    if answer.rehearsal {
        text += "REHEARSAL: this record is practice; nothing in it is real.\n";
    }
    let group = answer
        .group
        .as_ref()
        .map(|group| format!(", group {}", words::quoted(group)));
    let group = group.unwrap_or_default();
    text += &match (against, answer.share, &answer.custodian) {
        (Against::Record(_, dealt), Some(number), Some(custodian)) => format!(
            "{}{}",
            fold(
                &format!(
                    "good: this is share {number} of {}, {custodian}{group}, of ceremony {ceremony};",
                    dealt.shares.len()
                ),
                ""
            ),
            fold(
                &format!("{} open the escrow package.", dealt.policy.shares()),
                ""
            )
        ),
        _ => fold(&format!("its checksum holds: {}", answer.itself), ""),
    };
    if let Against::Record(previous, dealt) = against
        && dealt.ceremony != previous.ceremony
    {
        text += &format!(
            "That is an earlier ceremony, whose shares are still in use; its record:\n{}\n",
            words::quoted_whole(&dealt.directory.display().to_string())
        );
    }
    text += &match against {
        Against::Record(..) if answer.authenticated => {
            "The record is the one whose head digest you gave.\n".to_owned()
        }
        Against::Record(..) => format!(
            "The record is consistent, NOT AUTHENTICATED: compare its head with paper:\n\
             --head {FROM_PAPER} ({TYPE_ROWS})\n"
        ),
        Against::Package(package) => format!(
            "The package is from ceremony {}, {}. A package does not say whose share\n\
             this is, or whether it belongs to the package at all: use the record (--record),\n\
             or compare the share digest with `escrow-dealt` in its transcript:\n{}\n",
            words::quoted(&package.ceremony),
            labels(package),
            answer.share_sha256.as_deref().unwrap_or_default()
        ),
        Against::Nothing => {
            "Only a record (--record) says whose share it is, and from which ceremony.\n".to_owned()
        }
    };
    text + "Alone it opens nothing; no word of it was kept.\n"
}

fn labels(package: &Package) -> String {
    let labels: Vec<&str> = package.keys.iter().map(|key| key.label.as_str()).collect();
    match &labels[..] {
        [one] => format!("data key {}", words::quoted(one)),
        many => format!("data keys {}", words::quoted_whole(&many.join(", "))),
    }
}

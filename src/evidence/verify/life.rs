//! The life of a record's data keys, from all records that were found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::recorded::RecordedPlan;
use super::{Followed, Verified};
use crate::evidence::receipts::{
    self, ACCEPTED, Clock, FAILED, PROVED, Receipt, Receipts, Standing,
};
use crate::evidence::rules::limits;
use crate::evidence::transcript::{
    DataKeyFacts, Destroyed, EscrowDealt, EscrowDestroyed, Event, KeyName, Said,
};
use crate::plan::Kind;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// When; for events in KMS, by the clock in `at_by`.
    pub at: Timestamp,
    /// Whose clock it is, for an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_by: Option<Clock>,
    /// The data key's label in the record that says it.
    pub label: String,
    /// `generated`, `found in the HSM`, `brought in`, `recovered`, `to be imported`, `imported`, `to be reimported`,
    /// `reimported`, `import failed`, `expires`, `expired`, `shares dealt`, `shares dealt anew`, `destroyed`,
    /// `not destroyed`, `deleted in KMS`, `expired in KMS`.
    pub what: &'static str,
    /// The import's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<String>,
    /// The KMS key.
    #[serde(flatten)]
    pub(crate) kms_key: Option<KeyName>,
    /// KMS's id for the material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_material_id: Option<String>,
    /// How far the import came, according to the receipts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms: Option<&'static str>,
    /// More, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The ceremony's id.
    pub ceremony: String,
}

/// What happened to a record's data keys until `now`: one row for each event, in order of time.
pub fn life(record: &Path, verified: &Verified, followed: &Followed, now: Timestamp) -> Vec<Row> {
    let own = verified.chain.data_keys();
    let mut fingerprints: BTreeSet<String> = own.map(|key| key.fingerprint.clone()).collect();
    fingerprints.extend(ended(verified, followed));
    let earlier = followed.links.iter().rev();
    let earlier = earlier.map(|link| (link.directory.as_path(), &link.verified));
    let mut told = Told {
        fingerprints,
        rows: Vec::new(),
        ids: BTreeSet::new(),
        imported_into: BTreeSet::new(),
        sets: Vec::new(),
        before: String::new(),
    };
    for (directory, record) in earlier.chain([(record, verified)]) {
        if !record.is_aborted() {
            told.record(directory, record);
        }
    }
    let mut rows = told.rows;
    supersede(&mut rows);
    expire(&mut rows, now);
    let mut rows = told_once(rows);
    rows.sort_by_key(|row| row.at);
    rows
}

/// Fingerprints of the data keys that this record says were destroyed. If an earlier attempt destroyed one, the
/// record has only its CKA_ID.
fn ended(verified: &Verified, followed: &Followed) -> Vec<String> {
    let chain = &verified.chain;
    if chain.opening().kind.known() != Some(Kind::Destroy) {
        return Vec::new();
    }
    let gone = chain.events::<Destroyed>();
    let ids: BTreeSet<String> = gone.map(|gone| gone.cka_id.clone()).collect();
    let earlier = followed.links.iter();
    let earlier = earlier.flat_map(|link| link.verified.chain.data_keys());
    earlier
        .filter(|key| ids.contains(&key.cka_id))
        .map(|key| key.fingerprint.clone())
        .collect()
}

struct Told {
    fingerprints: BTreeSet<String>,
    rows: Vec<Row>,
    /// The data keys' CKA_IDs.
    ids: BTreeSet<String>,
    imported_into: BTreeSet<KeyName>,
    /// The shares that were dealt so far.
    sets: Vec<Set>,
    /// The last ceremony that was added.
    before: String,
}

/// Shares that one ceremony dealt.
struct Set {
    ceremony: String,
    /// The data keys that are told here, of those in its package.
    labels: BTreeSet<String>,
    shares: usize,
}

impl Told {
    fn record(&mut self, directory: &Path, record: &Verified) {
        let ceremony = record.chain.opening().ceremony.clone();
        let row = |at: Timestamp, label: &str, what| Row {
            at,
            at_by: None,
            label: label.to_owned(),
            what,
            import: None,
            kms_key: None,
            key_material_id: None,
            kms: None,
            detail: String::new(),
            ceremony: ceremony.clone(),
        };
        let mut labels = BTreeSet::new();
        for key in record.chain.data_keys() {
            if !self.fingerprints.contains(&key.fingerprint) {
                continue;
            }
            labels.insert(key.label.clone());
            self.ids.insert(key.cka_id.clone());
            self.rows.push(Row {
                detail: format!("{}{}", key.glance(), doubt(record)),
                ..row(key.line.at, &key.label, how(&key))
            });
        }
        // In the order of the steps: events within the same second stay in the order in which they happened.
        self.imports(directory, record, &labels, &row);
        self.escrow(record, &labels, &row);
        self.in_kms(record, &labels, &row);
        let mut ends = BTreeSet::new();
        for gone in record.chain.events::<Destroyed>() {
            if self.ids.contains(&gone.cka_id) {
                self.rows.push(Row {
                    detail: gone.why.clone(),
                    ..row(gone.line.at, &gone.label, "destroyed")
                });
                ends.insert(gone.label.clone());
            }
        }
        if record.chain.opening().kind.known() == Some(Kind::Destroy) {
            self.outlives(record, &ends, &row);
        }
        self.before = ceremony.clone();
    }

    /// What can still recover a data key after it was destroyed in the HSM: what the operator said was not
    /// destroyed, and what byok did not ask about.
    fn outlives(
        &mut self,
        record: &Verified,
        ends: &BTreeSet<String>,
        row: &dyn Fn(Timestamp, &str, &'static str) -> Row,
    ) {
        let kept = kept(record, ends.len());
        let unasked = self.unasked(record);
        let mut rows = Vec::new();
        for label in ends {
            let told = |at, detail| Row {
                detail,
                ..row(at, label, NOT_DESTROYED)
            };
            rows.extend(kept.iter().map(|(at, what)| told(*at, what.clone())));
            for set in unasked.get(label.as_str()).into_iter().flatten() {
                let (shares, ceremony) = (set.shares, &set.ceremony);
                let detail = format!(
                    "byok did not ask about the {shares} share forms and the package of ceremony {ceremony}"
                );
                rows.push(told(record.chain.end().at, detail));
            }
        }
        self.rows.extend(rows);
    }

    /// The shares that this record says nothing of, by the label of each data key that they bring back.
    fn unasked(&self, record: &Verified) -> BTreeMap<&str, Vec<&Set>> {
        let ticked = record.chain.events::<EscrowDestroyed>();
        let of = |ticked: Said<EscrowDestroyed>| ticked.ceremony.clone();
        let asked: BTreeSet<String> = ticked
            .map(|ticked| of(ticked).unwrap_or_else(|| self.before.clone()))
            .collect();
        let mut unasked: BTreeMap<&str, Vec<&Set>> = BTreeMap::new();
        for set in self
            .sets
            .iter()
            .filter(|set| !asked.contains(&set.ceremony))
        {
            for label in &set.labels {
                unasked.entry(label).or_default().push(set);
            }
        }
        unasked
    }

    fn escrow(
        &mut self,
        record: &Verified,
        labels: &BTreeSet<String>,
        row: &dyn Fn(Timestamp, &str, &'static str) -> Row,
    ) {
        let what = match record.chain.opening().kind.known() {
            Some(Kind::Generate) => "shares dealt",
            _ => "shares dealt anew",
        };
        for dealt in record.chain.events::<EscrowDealt>() {
            let mut of_set = BTreeSet::new();
            for label in dealt.labels.iter().filter(|of| labels.contains(*of)) {
                if of_set.insert(label.clone()) {
                    self.rows.push(Row {
                        detail: format!("{} bring it back", dealt.quorum()),
                        ..row(dealt.line.at, label, what)
                    });
                }
            }
            self.sets.push(Set {
                ceremony: record.chain.opening().ceremony.clone(),
                labels: of_set,
                shares: dealt.shares.len(),
            });
        }
    }

    fn imports(
        &mut self,
        directory: &Path,
        record: &Verified,
        labels: &BTreeSet<String>,
        row: &dyn Fn(Timestamp, &str, &'static str) -> Row,
    ) {
        let expiries = RecordedPlan::of(directory).expiries();
        for (import, standing) in record.receipts.by_import() {
            if !labels.contains(&import.label) {
                continue;
            }
            let again = !self.imported_into.insert(import.kms_key.clone());
            if standing.kms == PROVED {
                self.prove_earlier(&standing, &import.spec);
            }
            let at = standing.at.unwrap_or(import.wrapped_at);
            let expires = expiries.of(&import.label, &import.import);
            let elsewhere = standing
                .endpoint
                .as_deref()
                .map(|url| so_says(url, Some(&standing.kms_key)));
            let added = standing.at_by == Some(Clock::Added);
            let added = added.then(|| RECEIPT_ADDED.to_owned());
            let told: Vec<String> = [elsewhere, added].into_iter().flatten().collect();
            let of_import = |at, what| Row {
                import: Some(import.import.clone()),
                kms_key: Some(import.kms_key.clone()),
                ..row(at, &import.label, what)
            };
            self.rows.push(Row {
                kms: Some(standing.kms),
                key_material_id: standing.key_material_id.clone(),
                at_by: standing.at_by,
                detail: told.join("; "),
                ..of_import(at, import_word(&standing, again))
            });
            let expires = expires.filter(|_| standing.kms != FAILED);
            self.rows.extend(expires.map(|at| of_import(at, "expires")));
        }
    }

    /// A second import of the same material also proves the first one. So does an answer that shows which HMAC key
    /// or key pair a KMS key has: such a KMS key keeps its first material for ever.
    fn prove_earlier(&mut self, standing: &Standing, spec: &str) {
        // in other KMSs a key can be deleted, and made anew under its name
        let of_aws = matches!(standing.kms_key, KeyName::Arn(_));
        let first_for_ever = of_aws && (spec.starts_with("HMAC_") || receipts::is_pair(spec));
        for row in &mut self.rows {
            if [Some(ACCEPTED), Some(PROVED)].contains(&row.kms)
                && (first_for_ever || standing.key_material_id.is_some())
                && row.kms_key.as_ref() == Some(&standing.kms_key)
                && (first_for_ever || row.key_material_id == standing.key_material_id)
            {
                row.kms = Some(PROVED);
            }
        }
    }

    /// Deletions, from CloudTrail.
    fn in_kms(
        &mut self,
        record: &Verified,
        labels: &BTreeSet<String>,
        row: &dyn Fn(Timestamp, &str, &'static str) -> Row,
    ) {
        let receipts = &record.receipts;
        for gone in deletions(receipts) {
            let import = receipts
                .imports
                .iter()
                .find(|import| import.is_into(&gone.key_arn));
            let label = import.map(|import| &import.label);
            if let Some(label) = label.filter(|label| labels.contains(*label)) {
                self.rows.push(Row {
                    kms_key: Some(KeyName::Arn(gone.key_arn)),
                    key_material_id: gone.key_material_id,
                    detail: gone.doubt.unwrap_or_default(),
                    ..row(gone.at, label, gone.what)
                });
            }
        }
    }
}

/// KMS deleted material, says CloudTrail.
pub(crate) struct Deletion {
    /// When.
    pub at: Timestamp,
    key_arn: String,
    key_material_id: Option<String>,
    what: &'static str,
    /// If it was not AWS who says so.
    doubt: Option<String>,
}

impl Deletion {
    /// Whether it is of the material of this import, as far as ids tell.
    pub(crate) fn is_of(&self, standing: &Standing) -> bool {
        let ids = self
            .key_material_id
            .as_ref()
            .zip(standing.key_material_id.as_ref());
        standing.kms_key.arn() == Some(&self.key_arn) && ids.is_none_or(|(gone, held)| gone == held)
    }
}

/// The deletions that the receipts of a record tell.
pub(crate) fn deletions(receipts: &Receipts) -> Vec<Deletion> {
    let of_receipt = |receipt: &Receipt| {
        let endpoint = receipt.entry.endpoint.as_deref();
        let doubt = endpoint.map(|url| so_says(url, None));
        let events = receipt.entry.events.clone().into_iter();
        events.filter_map(move |event| {
            let what = match event.event_name.as_str() {
                "DeleteImportedKeyMaterial" => "deleted in KMS",
                "DeleteExpiredKeyMaterial" => "expired in KMS",
                _ => return None,
            };
            event.error.is_none().then(|| Deletion {
                at: event.happened,
                key_arn: event.key_arn,
                key_material_id: event.key_material_id,
                what,
                doubt: doubt.clone(),
            })
        })
    };
    receipts.receipts.iter().flat_map(of_receipt).collect()
}

/// What the operator said was not destroyed, to be told of each of `ends` data keys; all of it as one where that would be
/// more rows than a transcript has lines.
fn kept(record: &Verified, ends: usize) -> Vec<(Timestamp, String)> {
    let ticked = record.chain.events::<EscrowDestroyed>();
    let kept = ticked.filter(|ticked| !ticked.is_destroyed());
    let told = |kept: Said<EscrowDestroyed>| {
        let (what, said) = (&kept.what, &kept.said);
        (kept.line.at, format!("{what}: {said}"))
    };
    let mut kept: Vec<_> = kept.map(told).collect();
    let count = kept.len();
    if count.saturating_mul(ends) > limits::MOST_LINES as usize {
        let ceremony = &record.chain.opening().ceremony;
        kept.truncate(1);
        kept[0].1 =
            format!("{count} things: see the lines escrow-destroyed of ceremony {ceremony}");
    }
    kept
}

/// The note for an answer that did not come from AWS.
fn so_says(endpoint: &str, key: Option<&KeyName>) -> String {
    format!("so says {endpoint}, {}", receipts::is_not(key))
}

fn how(key: &Said<DataKeyFacts>) -> &'static str {
    match (&key.line.event, key.source.as_deref()) {
        (Event::KeyGenerated(_), _) => "generated",
        (_, Some("file")) => "brought in",
        (Event::KeyFound(_), _) => "found in the HSM",
        _ => "recovered",
    }
}

/// The proof that a data key is the same as before is worth only as much as what vouches for the earlier record.
fn doubt(record: &Verified) -> &'static str {
    match record.compared_in_doubt() {
        false => "",
        true => "; nothing vouched for the record with which it was compared",
    }
}

/// Only a receipt shows that something was imported.
fn import_word(standing: &Standing, again: bool) -> &'static str {
    match (standing.is_accepted(), standing.kms == FAILED, again) {
        (true, _, false) => "imported",
        (true, _, true) => "reimported",
        (_, true, _) => "import failed",
        (_, _, false) => "to be imported",
        (_, _, true) => "to be reimported",
    }
}

const RECEIPT_ADDED: &str = "receipt added then: its answer does not say when KMS did it";

const NOT_DESTROYED: &str = "not destroyed";

const REPLACED: &str = "replaced by a later import";

/// Marks an expiry that a later import into the same KMS key replaced in time.
fn supersede(rows: &mut [Row]) {
    let imported: Vec<Row> = rows
        .iter()
        .filter(|row| ["imported", "reimported"].contains(&row.what))
        .cloned()
        .collect();
    for expiry in rows.iter_mut().filter(|row| row.what == "expires") {
        let into = || imported.iter().filter(|row| row.kms_key == expiry.kms_key);
        let own = into().find(|row| row.ceremony == expiry.ceremony && row.import == expiry.import);
        let replaced =
            own.is_some_and(|own| into().any(|other| own.at < other.at && other.at < expiry.at));
        if replaced {
            expiry.detail = REPLACED.into();
        }
    }
}

/// A past expiry has expired: KMS deletes the material then, whether or not a receipt says so.
fn expire(rows: &mut [Row], now: Timestamp) {
    let of_import = |row: &Row| (row.ceremony.clone(), row.label.clone(), row.import.clone());
    let imported = rows
        .iter()
        .filter(|row| ["imported", "reimported"].contains(&row.what));
    let imported: BTreeSet<_> = imported.map(of_import).collect();
    for expiry in rows
        .iter_mut()
        .filter(|row| row.what == "expires" && row.at <= now && row.detail.is_empty())
    {
        let taken = imported.contains(&of_import(expiry));
        expiry.detail = match taken {
            true => "by the plan: KMS deletes the material then",
            false => "by the plan, if it was imported: no receipt says so",
        }
        .into();
        expiry.what = "expired";
    }
}

/// If a later ceremony plans the same expiry of the same KMS key again, it is one event.
fn told_once(rows: Vec<Row>) -> Vec<Row> {
    let expires = |row: &Row| ["expires", "expired"].contains(&row.what);
    let about = |row: &Row| {
        (
            row.at,
            row.label.clone(),
            row.import.clone(),
            row.kms_key.clone(),
        )
    };
    let mut kept: Vec<Option<Row>> = Vec::with_capacity(rows.len());
    let mut expiries: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for row in rows {
        if expires(&row) {
            let same = expiries.entry(about(&row)).or_default();
            same.retain(|at| {
                let replaced = kept[*at]
                    .take_if(|earlier| earlier.detail == REPLACED || earlier.detail == row.detail);
                replaced.is_none()
            });
            same.push(kept.len());
        }
        kept.push(Some(row));
    }
    kept.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_expiry_that_two_ceremonies_planned_is_told_once() {
        let row = |at: &str, what, detail: &str, ceremony: &str| Row {
            at: at.parse().unwrap(),
            at_by: None,
            label: "payments".into(),
            what,
            import: Some("eu".into()),
            kms_key: Some(KeyName::Arn("arn".into())),
            key_material_id: None,
            kms: None,
            detail: detail.into(),
            ceremony: ceremony.into(),
        };
        let (day, later) = ("2027-11-20T00:00:00Z", "2027-11-21T00:00:00Z");
        let rows = vec![
            row(day, "expires", REPLACED, "one"),
            row(day, "recovered", "", "two"),
            row(day, "expires", "", "two"),
            row(later, "expires", "", "three"),
            row(later, "expires", "", "four"),
            row(
                later,
                "expired",
                "by the plan, if it was imported: no receipt says so",
                "five",
            ),
        ];
        let told: Vec<_> = told_once(rows)
            .into_iter()
            .map(|row| (row.ceremony, row.what))
            .collect();
        let kept = [
            ("two", "recovered"),
            ("two", "expires"),
            ("four", "expires"),
            ("five", "expired"),
        ];
        assert_eq!(
            told,
            kept.map(|(ceremony, what)| (ceremony.to_owned(), what))
        );
    }
}

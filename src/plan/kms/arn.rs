//! The Amazon Resource Name of a KMS key.
//!
//! Only the full key ARN says which key is meant: an id does not say account, Region and partition, and an alias can
//! be pointed at another key between the ceremony and the import.

use std::fmt;

use super::FILL_IN;
use crate::ground::error::{Error, Result};

/// The Regions that are in a partition of their own, by the beginnings of their names. All others are in `aws`, or in
/// partitions that are not known yet.
const PARTITIONS: [(&str, &str); 7] = [
    ("aws-cn", "cn-"),
    ("aws-us-gov", "us-gov-"),
    ("aws-iso", "us-iso-"),
    ("aws-iso-b", "us-isob-"),
    ("aws-iso-e", "eu-isoe-"),
    ("aws-iso-f", "us-isof-"),
    ("aws-eusc", "eusc-"),
];

/// The ARN of one KMS key, `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`, in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyArn {
    text: String,
    partition: String,
    region: String,
    account: String,
    key_id: String,
}

impl KeyArn {
    /// A placeholder in a plan until somebody knows the KMS key; no plan is accepted with it.
    pub(crate) fn to_fill_in() -> Self {
        let [partition, region, account, key_id] = ["aws", "REGION", "ACCOUNT", FILL_IN];
        Self {
            text: format!("arn:{partition}:kms:{region}:{account}:key/{key_id}"),
            partition: partition.into(),
            region: region.into(),
            account: account.into(),
            key_id: key_id.into(),
        }
    }

    /// Reads `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`: partition `aws` or `aws-…`, twelve digits of
    /// account, ID a lower-case UUID or `mrk-` and 32 lower-case hex digits.
    ///
    /// # Errors
    /// Exit 2. An id alone, an alias, an alias ARN and any other resource are refused by name, with
    /// the command that prints the key ARN.
    pub(crate) fn parse(text: &str) -> Result<KeyArn> {
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let &["arn", partition, service, region, account, resource] = fields.as_slice() else {
            return Err(not_an_arn(text));
        };
        if service != "kms" {
            return Err(refused(text, "is the ARN of another service, not of KMS"));
        }
        let key_id = key_id_of(text, resource)?;
        judge_place(text, partition, region, account)?;
        Ok(KeyArn {
            text: text.to_owned(),
            partition: partition.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            key_id: key_id.to_owned(),
        })
    }

    /// Checks that partition and Region belong together: an ARN that was put together by hand may name either
    /// wrongly.
    ///
    /// # Errors
    /// Exit 2 if the Region is in another partition.
    pub(crate) fn in_its_partition(self) -> Result<KeyArn> {
        let known = |partition: &str| PARTITIONS.iter().any(|(name, _)| *name == partition);
        let fits = match partition_of(&self.region) {
            Some(partition) => partition == self.partition,
            None => !known(&self.partition),
        };
        match fits {
            true => Ok(self),
            false => Err(not_in_its_partition(&self.text, &self.region)),
        }
    }

    /// The partition, such as `aws`, `aws-cn` or `aws-us-gov`.
    pub(crate) fn partition(&self) -> &str {
        &self.partition
    }

    /// The Region, such as `eu-west-1`.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// The account: twelve digits.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// The key id: a UUID, or `mrk-` and 32 hex digits.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The whole ARN.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the other ARN names this same multi-Region key in another Region: partition, account and `mrk-` id
    /// are equal.
    pub(crate) fn is_replica_of(&self, other: &str) -> bool {
        KeyArn::parse(other).is_ok_and(|other| {
            self.is_multi_region()
                && self.partition() == other.partition()
                && self.account() == other.account()
                && self.key_id() == other.key_id()
        })
    }

    /// Whether the key is in the China partition, where key specs and wrapping algorithms differ.
    pub(crate) fn is_china(&self) -> bool {
        self.partition == "aws-cn"
    }

    /// Whether this is a multi-Region key: its id begins with `mrk-`.
    pub(crate) fn is_multi_region(&self) -> bool {
        self.key_id.starts_with("mrk-")
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn key_id_of<'a>(text: &str, resource: &'a str) -> Result<&'a str> {
    if resource.starts_with("alias/") {
        return Err(refused(
            text,
            "is an alias ARN; an alias can be pointed at another key",
        ));
    }
    let Some(id) = resource.strip_prefix("key/") else {
        return Err(refused(text, "is an ARN, but not of a KMS key"));
    };
    if !is_key_id(id) {
        return Err(refused(
            text,
            "does not end in a KMS key id (a lower-case UUID, or mrk- and 32 hex digits)",
        ));
    }
    Ok(id)
}

fn judge_place(text: &str, partition: &str, region: &str, account: &str) -> Result<()> {
    if !is_partition(partition) {
        return Err(refused(
            text,
            "has no known partition (aws, aws-cn, aws-us-gov, aws-…)",
        ));
    }
    if !is_region(region) {
        return Err(refused(text, "has no Region such as eu-west-1"));
    }
    if account.len() != 12 || !account.bytes().all(|c| c.is_ascii_digit()) {
        return Err(refused(text, "has no account of twelve digits"));
    }
    // Records are read by this rule too, and what they accept must not change: see `in_its_partition`.
    if (partition_of(region) == Some("aws-cn")) != (partition == "aws-cn") {
        return Err(not_in_its_partition(text, region));
    }
    Ok(())
}

/// The partition that contains only Regions with such a name.
fn partition_of(region: &str) -> Option<&'static str> {
    let of_region = |(_, begins): &&(&str, &str)| region.starts_with(begins);
    let found = PARTITIONS.iter().find(of_region);
    found.map(|(partition, _)| *partition)
}

fn not_in_its_partition(text: &str, region: &str) -> Error {
    refused(
        text,
        &format!(
            "has a Region outside its partition: {region} is in {}",
            partition_of(region).unwrap_or("aws")
        ),
    )
}

fn not_an_arn(text: &str) -> Error {
    let what = if is_key_id(text) {
        "is a key id alone; account, Region and partition are needed to say which key"
    } else if text.starts_with("alias/") {
        "is an alias; account, Region and partition are needed to say which key"
    } else {
        "is not a key ARN (arn:aws:kms:REGION:ACCOUNT:key/ID)"
    };
    refused(text, what)
}

fn refused(text: &str, why: &str) -> Error {
    // The command contains only characters that a shell takes literally: people copy it.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/:".contains(c);
    let key = match !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        true => text,
        false => "KEY",
    };
    Error::usage(format!("`{text}` {why}")).hint(format!(
        "print the key ARN online: aws kms describe-key --key-id {key} --query KeyMetadata.Arn --output text"
    ))
}

fn is_partition(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase());
    let mut parts = text.split('-');
    parts.next() == Some("aws") && parts.all(part)
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else {
        return false;
    };
    let word = |word: &&str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase());
    let is_number = !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
    words.len() >= 2 && words.iter().all(word) && is_number
}

fn is_key_id(text: &str) -> bool {
    match text.strip_prefix("mrk-") {
        Some(hex) => hex.len() == 32 && is_lower_hex(hex),
        None => is_uuid(text),
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    lengths.eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| is_lower_hex(group))
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::error::Exit;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
    const MRK: &str = "mrk-1234abcd12ab34cd56ef1234567890ab";

    fn refusal(text: &str) -> Error {
        let error = KeyArn::parse(text).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        let hint = error.hints.join("\n");
        assert!(hint.contains("aws kms describe-key --key-id"), "{hint}");
        error
    }

    #[test]
    fn a_key_arn_falls_into_its_parts() {
        let text = format!("arn:aws:kms:eu-west-1:111122223333:key/{ID}");
        let arn = KeyArn::parse(&text).unwrap();
        assert_eq!(arn.partition(), "aws");
        assert_eq!(arn.region(), "eu-west-1");
        assert_eq!(arn.account(), "111122223333");
        assert_eq!(arn.key_id(), ID);
        assert_eq!(arn.as_str(), text);
        assert_eq!(arn.to_string(), text);
        assert!(!arn.is_china() && !arn.is_multi_region());
    }

    #[test]
    fn other_partitions_and_multi_region_keys_are_known() {
        for (place, china) in [
            ("aws-cn:kms:cn-north-1", true),
            ("aws-us-gov:kms:us-gov-west-1", false),
            ("aws-iso-b:kms:us-isob-east-1", false),
        ] {
            let arn = KeyArn::parse(&format!("arn:{place}:111122223333:key/{MRK}")).unwrap();
            assert_eq!(arn.is_china(), china);
            assert!(arn.is_multi_region());
        }
    }

    #[test]
    fn what_does_not_say_which_key_is_refused_by_name() {
        let at = "arn:aws:kms:eu-west-1:111122223333";
        for (text, why) in [
            (
                ID.to_owned(),
                "is a key id alone; account, Region and partition are needed",
            ),
            (
                MRK.to_owned(),
                "is a key id alone; account, Region and partition are needed",
            ),
            (
                "alias/payments".into(),
                "is an alias; account, Region and partition are needed",
            ),
            (
                format!("{at}:alias/payments"),
                "is an alias ARN; an alias can be pointed",
            ),
            (
                format!("{at}:grant/{ID}"),
                "is an ARN, but not of a KMS key",
            ),
            (
                format!("arn:aws:s3:eu-west-1:111122223333:key/{ID}"),
                "is the ARN of another service",
            ),
            (
                format!("{at}:key/{}", ID.to_uppercase()),
                "does not end in a KMS key id",
            ),
            (format!("{at}:key/{ID} "), "does not end in a KMS key id"),
            (format!("{at}:key/mrk-12"), "does not end in a KMS key id"),
            (
                format!("arn:aws:kms:eu-west-1:11112222333:key/{ID}"),
                "has no account of twelve digits",
            ),
            (
                format!("arn:aws:kms::111122223333:key/{ID}"),
                "has no Region such as",
            ),
            (
                format!("arn:gcp:kms:eu-west-1:111122223333:key/{ID}"),
                "has no known partition",
            ),
            (
                format!("arn:aws-:kms:eu-west-1:111122223333:key/{ID}"),
                "has no known partition",
            ),
            (
                format!("arn:aws:kms:cn-north-1:111122223333:key/{ID}"),
                "has a Region outside",
            ),
            (
                format!("arn:aws-cn:kms:eu-west-1:111122223333:key/{ID}"),
                "has a Region outside",
            ),
            (String::new(), "is not a key ARN"),
            ("payments".into(), "is not a key ARN"),
        ] {
            let error = refusal(&text);
            assert!(
                error.what.starts_with(&format!("`{text}` {why}")),
                "{}",
                error.what
            );
        }
    }

    #[test]
    fn every_region_is_in_one_partition() {
        let planned = |partition: &str, region: &str| {
            let text = format!("arn:{partition}:kms:{region}:111122223333:key/{ID}");
            KeyArn::parse(&text).and_then(KeyArn::in_its_partition)
        };
        let places = [
            ("aws", "eu-west-1"),
            ("aws", "us-east-1"),
            ("aws", "il-central-1"),
            ("aws", "mx-central-1"),
            ("aws-cn", "cn-northwest-1"),
            ("aws-us-gov", "us-gov-west-1"),
            ("aws-iso", "us-iso-east-1"),
            ("aws-iso-b", "us-isob-east-1"),
            ("aws-iso-e", "eu-isoe-west-1"),
            ("aws-iso-f", "us-isof-south-1"),
            ("aws-eusc", "eusc-de-east-1"),
        ];
        for (partition, _) in places {
            for (home, region) in places {
                let read = planned(partition, region);
                match home == partition {
                    true => assert_eq!(read.unwrap().region(), region),
                    false => {
                        let why = format!("outside its partition: {region} is in {home}");
                        let error = read.unwrap_err();
                        assert!(error.what.ends_with(&why), "{}", error.what);
                        assert_eq!(error.exit, Exit::Usage);
                    }
                }
            }
        }
        // a partition and an area that do not exist yet
        assert!(planned("aws-new", "zz-new-1").is_ok() && planned("aws", "zz-new-1").is_ok());
        assert!(planned("aws-new", "us-gov-west-1").is_err());
    }

    #[test]
    fn only_plain_text_is_put_into_the_command() {
        assert!(
            refusal(ID)
                .hints
                .concat()
                .contains(&format!("--key-id {ID} "))
        );
        for text in ["alias/$(reboot)", "--profile", ""] {
            assert!(refusal(text).hints.concat().contains("--key-id KEY "));
        }
    }
}

//! SLIP-0039 shares (SatoshiLabs, 2017 to 2024): deals a secret, and recovers it.
//!
//! byok deals one group or several, extendable, iteration exponent 0, empty passphrase. It reads every form of the
//! standard, passphrases too, so that the official vectors can be checked.
//!
//! byok does not use the `sharks` crate: its coefficients are biased (RUSTSEC-2024-0398), and a mistyped or repeated
//! share silently gives a wrong secret. Here each share has its own checksum, and the secret a digest that only the
//! right shares give.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::crypto::locked::{Locked, leaving_nothing};
use crate::crypto::random;
use crate::ground::error::{Error, Result};

pub mod gf256;
pub mod words;

use words::{CHECKSUM, Suspects, Words};

/// The most groups, and the most shares of one group: the standard has four bits for the number of each.
pub(crate) const MOST_SHARES: u8 = 16;

/// The most shares of all groups together that byok deals: each is written down, typed back and counted in one room.
pub(crate) const MOST_IN_ALL: u8 = 32;

/// Words before the share value: identifier and parameters, two words each.
const HEADER: usize = 4;

/// The least length of a secret, in bytes.
const LEAST: usize = 16;

/// The x coordinates that no share has: those of the secret and of its digest.
const SECRET: u8 = 255;
const DIGEST: u8 = 254;

/// Length of the digest within its share, in bytes.
const DIGEST_LEN: usize = 4;

/// PBKDF2 iterations of one Feistel round at exponent 0; there are four rounds.
const ITERATIONS: u32 = 2500;
const ROUNDS: u8 = 4;

/// The highest iteration exponent that byok reads: the highest in the official vectors. The standard allows up to 15,
/// 328 million iterations, and a single share would decide that for all.
const MOST_EXPONENT: u8 = 3;

/// What all shares of one secret have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// 15 random bits.
    pub identifier: u16,
    /// Whether the set can be dealt again under another identifier (the `ext` flag).
    pub extendable: bool,
    /// PBKDF2 makes 10000 · 2^e iterations in all.
    pub iteration_exponent: u8,
    /// How many groups are needed.
    pub group_threshold: u8,
    /// How many groups there are.
    pub group_count: u8,
}

/// One share.
pub struct Share {
    /// The set to which it belongs.
    pub set: Set,
    /// Its group, from 0.
    pub group: u8,
    /// Its number within the group, from 0.
    pub member: u8,
    /// How many shares of this group are needed.
    pub threshold: u8,
    value: Locked,
}

/// Why words are not a share.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAShare {
    /// There are too few words, or their number fits no length of a secret.
    Length,
    /// The checksum does not fit. These rows (from 1) would explain it if one word was changed, or if a row and the
    /// next were exchanged.
    Checksum {
        /// One changed word here would explain it.
        changed: Vec<usize>,
        /// Exchanging this row and the next would explain it.
        exchanged: Vec<usize>,
    },
    /// The padding is not zero.
    Padding,
    /// More groups are needed than there are.
    Groups,
    /// Its own group is not one of the set's groups.
    Group,
    /// The iteration exponent is higher than byok reads, or than byok deals.
    Exponent(u8),
    /// A form of the standard that byok does not deal.
    Foreign,
    /// No locked memory.
    Memory,
}

impl NotAShare {
    /// Why words are not a share, for people; byok never guesses the right word for them.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Checksum { changed, exchanged } => suspected_rows(changed, exchanged),
            Self::Length => "no share has this number of words".into(),
            Self::Padding | Self::Groups => "the words are not a share that byok deals".into(),
            Self::Group => "it names a group that its own set does not have".into(),
            Self::Exponent(exponent) => format!(
                "its iteration exponent is {exponent}, and byok deals shares of exponent 0 only"
            ),
            Self::Foreign => "it is a share of the same kind, but not one that byok deals".into(),
            Self::Memory => "there is no locked memory for it".into(),
        }
    }

    /// Whether words were mistyped: if the checksum is right, typing them again changes nothing.
    pub(crate) fn is_mistyped(&self) -> bool {
        matches!(self, Self::Checksum { .. })
    }
}

fn suspected_rows(changed: &[usize], exchanged: &[usize]) -> String {
    let changed: Vec<String> = changed.iter().map(usize::to_string).collect();
    let changed = changed.join(" or ");
    match (changed.as_str(), exchanged.first()) {
        ("", None) => "more than one word is wrong: compare every row with the form".into(),
        (rows, None) => format!(
            "exactly one wrong word would explain it, in row {rows}: compare letter by letter"
        ),
        ("", Some(row)) => format!("rows {row} and {} exchanged would explain it", row + 1),
        (rows, Some(row)) => format!(
            "rows {row} and {} exchanged would explain it, or one wrong word in row {rows}",
            row + 1
        ),
    }
}

/// Why shares do not give a secret.
#[derive(Debug, PartialEq, Eq)]
pub enum NotASecret {
    /// There are no shares, or fewer than needed.
    TooFew,
    /// They do not belong to one set.
    DifferentSets,
    /// Two have the same number.
    Repeated,
    /// There are more than needed: the caller must say which ones to use.
    TooMany,
    /// They belong to one set, but together they give a different secret from the one that was dealt.
    Digest,
    /// No locked memory.
    Memory,
}

impl Share {
    /// Reads a share from its words.
    ///
    /// # Errors
    /// The first reason why they are not a share.
    pub fn from_words(words: &Words) -> std::result::Result<Self, NotAShare> {
        let value_words = words
            .len()
            .checked_sub(HEADER + CHECKSUM)
            .ok_or(NotAShare::Length)?;
        let value_bits = value_words * 10;
        let padding = value_bits % 16;
        let len = (value_bits - padding) / 8;
        if padding > 8 || len < LEAST {
            return Err(NotAShare::Length);
        }
        let extendable = words.bits(15, 1) == 1;
        if !words.holds(extendable) {
            let Suspects { changed, exchanged } = words.suspects(extendable);
            return Err(NotAShare::Checksum { changed, exchanged });
        }
        let small = |start| words.bits(start, 4) as u8;
        let set = Set {
            identifier: words.bits(0, 15),
            extendable,
            iteration_exponent: small(16),
            group_threshold: small(24) + 1,
            group_count: small(28) + 1,
        };
        if set.group_threshold > set.group_count {
            return Err(NotAShare::Groups);
        }
        let group = small(20);
        if group >= set.group_count {
            return Err(NotAShare::Group);
        }
        if set.iteration_exponent > MOST_EXPONENT {
            return Err(NotAShare::Exponent(set.iteration_exponent));
        }
        if words.bits(HEADER * 10, padding) != 0 {
            return Err(NotAShare::Padding);
        }
        let mut value = Locked::zeroed(len).map_err(|_| NotAShare::Memory)?;
        for (at, byte) in value.iter_mut().enumerate() {
            *byte = words.bits(HEADER * 10 + padding + at * 8, 8) as u8;
        }
        Ok(Self {
            set,
            group,
            member: small(32),
            threshold: small(36) + 1,
            value,
        })
    }

    /// Reads a share that byok may have dealt, as [`deal`] does: one alone never gives the secret.
    ///
    /// # Errors
    /// The first reason why they are not such a share.
    pub(crate) fn as_dealt(words: &Words) -> std::result::Result<Self, NotAShare> {
        let share = Self::from_words(words)?;
        match share.set {
            Set {
                iteration_exponent: exponent @ 1..,
                ..
            } => Err(NotAShare::Exponent(exponent)),
            Set {
                extendable: true,
                group_threshold,
                ..
            } if group_threshold >= 2 || share.threshold >= 2 => Ok(share),
            _ => Err(NotAShare::Foreign),
        }
    }

    /// The share as words: 33 of them for a secret of 32 bytes.
    ///
    /// # Errors
    /// Exit 5 if no locked memory is available.
    pub fn words(&self) -> Result<Words> {
        let value_bits = self.value.len() * 8;
        let value_words = value_bits.div_ceil(10);
        let padding = value_words * 10 - value_bits;
        let mut words = Words::blank(HEADER + value_words + CHECKSUM)?;
        words.set_bits(0, 15, self.set.identifier);
        words.set_bits(15, 1, self.set.extendable.into());
        for (start, value) in [
            (16, self.set.iteration_exponent),
            (20, self.group),
            (24, self.set.group_threshold - 1),
            (28, self.set.group_count - 1),
            (32, self.member),
            (36, self.threshold - 1),
        ] {
            words.set_bits(start, 4, value.into());
        }
        for (at, byte) in self.value.iter().enumerate() {
            words.set_bits(HEADER * 10 + padding + at * 8, 8, (*byte).into());
        }
        words.seal(self.set.extendable);
        Ok(words)
    }

    /// Its number in its group, and its value.
    pub(crate) fn point(&self) -> Point<'_> {
        (self.member, &self.value)
    }

    /// Whether both are the same share.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.is_of_set(other)
            && (self.group, self.member) == (other.group, other.member)
            && same(&self.value, &other.value)
    }

    /// Whether both are shares of one secret, from one dealing.
    pub(crate) fn is_of_set(&self, other: &Self) -> bool {
        self.set == other.set
            && self.value.len() == other.value.len()
            && (self.group != other.group || self.threshold == other.threshold)
    }
}

/// How many words are the same at the beginning of every share of a set, told from the first four of one. With several
/// groups, the third holds most of the group's number.
pub(crate) fn words_in_common([_, _, third, fourth]: [u16; 4]) -> usize {
    // 10 bits each: group, threshold and two bits of the number of groups, less one; the other two bits, member, threshold
    let is_one_group = third & 0b11 == 0 && fourth >> 8 == 0;
    if is_one_group { 3 } else { 2 }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Share(member {}, {} needed)",
            self.member + 1,
            self.threshold
        )
    }
}

/// Of one group: how many of its shares are needed, and how many there are.
pub(crate) type Sizes = (u8, u8);

/// Whether byok deals such shares: any `needed` of these groups give the secret.
///
/// # Errors
/// The limit that does not hold.
pub(crate) fn can_be_dealt(needed: u8, groups: &[Sizes]) -> std::result::Result<(), String> {
    let in_all: usize = groups.iter().map(|(_, count)| usize::from(*count)).sum();
    let possible = |k: u8, of: usize| (1..=of.min(MOST_SHARES.into())).contains(&k.into());
    if groups.len() > MOST_SHARES.into() || !possible(needed, groups.len()) {
        let count = groups.len();
        return Err(format!(
            "{needed} of {count} groups: 1 to {} are possible",
            count.min(MOST_SHARES.into())
        ));
    }
    let unfit = |(threshold, count): &&Sizes| {
        !possible(*threshold, (*count).into()) || *count > MOST_SHARES
    };
    if let Some((threshold, count)) = groups.iter().find(unfit) {
        return Err(format!(
            "{threshold} of {count} shares in one group: 1 to {} of at most {MOST_SHARES} are possible",
            count.min(&MOST_SHARES)
        ));
    }
    if in_all > MOST_IN_ALL.into() {
        return Err(format!(
            "{in_all} shares in all: at most {MOST_IN_ALL} are possible"
        ));
    }
    match groups.iter().any(|(threshold, _)| *threshold == 1) && needed == 1 {
        true => Err("one share alone would be the secret itself: at least 2 must be needed".into()),
        false => Ok(()),
    }
}

/// Deals a secret of at least 16 bytes (an even number) into the shares of all groups, one group after the other. The
/// thresholds of any `needed` groups recover it: extendable, e = 0, empty passphrase. Where a threshold is 1, every share
/// of the group has the same value (SLIP-0039, "Sharing a secret").
///
/// # Errors
/// Exit 2 for an impossible quorum; exit 5 if randomness or locked memory fails.
pub fn deal(secret: &[u8], needed: u8, groups: &[Sizes]) -> Result<Vec<Share>> {
    can_be_dealt(needed, groups).map_err(Error::usage)?;
    if secret.len() < LEAST || !secret.len().is_multiple_of(2) {
        return Err(Error::usage(
            "a secret to be shared must have an even number of bytes, at least 16",
        ));
    }
    let mut identifier = [0; 2];
    random::fill(&mut identifier, "shares")?;
    let group_count = u8::try_from(groups.len()).unwrap_or(MOST_SHARES); // as was just looked at
    let set = Set {
        identifier: u16::from_be_bytes(identifier) & 0x7fff,
        extendable: true,
        iteration_exponent: 0,
        group_threshold: needed,
        group_count,
    };
    let mut encrypted = Locked::zeroed(secret.len())?;
    encrypted.copy_from_slice(secret);
    feistel(&mut encrypted, set, b"", Direction::Encrypt)?;
    let of_groups = split(&encrypted, needed, group_count)?;
    let mut shares = Vec::new();
    for ((group, of_group), (threshold, count)) in (0..).zip(of_groups).zip(groups) {
        let values = split(&of_group, *threshold, *count)?;
        let share = |(member, value)| Share {
            set,
            group,
            member,
            threshold: *threshold,
            value,
        };
        shares.extend((0..).zip(values).map(share));
    }
    Ok(shares)
}

/// Recovers a secret from exactly as many shares as are needed: for each of the needed groups, its threshold.
///
/// # Errors
/// Why they do not give one.
pub fn combine(shares: &[&Share], passphrase: &[u8]) -> std::result::Result<Locked, NotASecret> {
    let first = shares.first().ok_or(NotASecret::TooFew)?;
    let encrypted = encrypted(shares)?;
    decrypt(encrypted, first.set, passphrase).map_err(|_| NotASecret::Memory)
}

/// The same, before anything is derived: the encrypted secret, for which its digest vouches.
///
/// # Errors
/// As [`combine`].
fn encrypted(shares: &[&Share]) -> std::result::Result<Locked, NotASecret> {
    let first = shares.first().ok_or(NotASecret::TooFew)?;
    if shares
        .iter()
        .any(|share| !share.is_of_set(first) || same_group_differs(share, shares))
    {
        return Err(NotASecret::DifferentSets);
    }
    let mut groups: BTreeMap<u8, Vec<&Share>> = BTreeMap::new();
    shares
        .iter()
        .for_each(|share| groups.entry(share.group).or_default().push(share));
    match groups.len().cmp(&first.set.group_threshold.into()) {
        Ordering::Less => return Err(NotASecret::TooFew),
        Ordering::Greater => return Err(NotASecret::TooMany),
        Ordering::Equal => {}
    }
    let mut values = Vec::new();
    for (group, members) in &groups {
        let points: Vec<_> = members
            .iter()
            .map(|share| (share.member, &share.value[..]))
            .collect();
        values.push((*group, join(&points, members[0].threshold)?));
    }
    let points: Vec<_> = values
        .iter()
        .map(|(group, value)| (*group, &value[..]))
        .collect();
    join(&points, first.set.group_threshold)
}

/// Derives the secret from what [`encrypted`] gave.
///
/// # Errors
/// Exit 5 if no locked memory is available.
pub(crate) fn decrypt(mut encrypted: Locked, set: Set, passphrase: &[u8]) -> Result<Locked> {
    feistel(&mut encrypted, set, passphrase, Direction::Decrypt)?;
    Ok(encrypted)
}

fn same_group_differs(share: &Share, shares: &[&Share]) -> bool {
    shares
        .iter()
        .any(|other| other.group == share.group && other.threshold != share.threshold)
}

/// Whether a point is on the polynomial through others, which are exactly as many as needed.
///
/// # Errors
/// Exit 5 if no locked memory is available.
pub(crate) fn is_on(points: &[Point], (x, value): &Point) -> Result<bool> {
    let mut expected = Locked::zeroed(value.len())?;
    gf256::interpolate(points, *x, &mut expected);
    Ok(same(&expected, value))
}

/// Whether both are the same bytes, in a time that does not reveal where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Values of `count` shares at x = 0, 1, …
fn split(secret: &Locked, threshold: u8, count: u8) -> Result<Vec<Locked>> {
    let len = secret.len();
    if threshold == 1 {
        let copy = |_| {
            let mut value = Locked::zeroed(len)?;
            value.copy_from_slice(secret);
            Ok(value)
        };
        return (0..count).map(copy).collect();
    }
    let mut digest = Locked::zeroed(len)?;
    let (tag, key) = digest.split_at_mut(DIGEST_LEN);
    random::fill(key, "shares")?;
    tag.copy_from_slice(&digest_of(secret, key));
    let mut values = Vec::with_capacity(count.into());
    for _ in 0..threshold - 2 {
        let mut value = Locked::zeroed(len)?;
        random::fill(&mut value, "shares")?;
        values.push(value);
    }
    for x in threshold - 2..count {
        let mut value = Locked::zeroed(len)?;
        let drawn = &values[..usize::from(threshold - 2)];
        let mut points: Vec<(u8, &[u8])> =
            (0..).zip(drawn).map(|(x, value)| (x, &value[..])).collect();
        points.extend([(DIGEST, &digest[..]), (SECRET, &secret[..])]);
        gf256::interpolate(&points, x, &mut value);
        values.push(value);
    }
    Ok(values)
}

/// A share's number, or a group's, and its value.
pub(crate) type Point<'a> = (u8, &'a [u8]);

/// The secret of one layer of sharing, from exactly `threshold` points.
///
/// # Errors
/// As [`combine`].
pub(crate) fn join(points: &[Point], threshold: u8) -> std::result::Result<Locked, NotASecret> {
    let needed = usize::from(threshold);
    if points.len() < needed {
        return Err(NotASecret::TooFew);
    }
    let repeated = |at: usize| points[..at].iter().any(|(x, _)| *x == points[at].0);
    if (0..points.len()).any(repeated) {
        return Err(NotASecret::Repeated);
    }
    if points.len() > needed {
        return Err(NotASecret::TooMany);
    }
    let len = points[0].1.len();
    let mut secret = Locked::zeroed(len).map_err(|_| NotASecret::Memory)?;
    if threshold == 1 {
        secret.copy_from_slice(points[0].1);
        return Ok(secret);
    }
    let mut digest = Locked::zeroed(len).map_err(|_| NotASecret::Memory)?;
    gf256::interpolate(points, SECRET, &mut secret);
    gf256::interpolate(points, DIGEST, &mut digest);
    let (tag, key) = digest.split_at(DIGEST_LEN);
    if same(&digest_of(&secret, key), tag) {
        Ok(secret)
    } else {
        Err(NotASecret::Digest)
    }
}

/// The first four bytes of HMAC-SHA256(key, secret).
fn digest_of(secret: &[u8], key: &[u8]) -> [u8; DIGEST_LEN] {
    leaving_nothing(|| {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            return [0; DIGEST_LEN];
        };
        mac.update(secret);
        let tag = mac.finalize().into_bytes();
        [tag[0], tag[1], tag[2], tag[3]]
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// The wide-block cipher of SLIP-0039: four Feistel rounds of PBKDF2-HMAC-SHA256.
fn feistel(block: &mut Locked, set: Set, passphrase: &[u8], direction: Direction) -> Result<()> {
    let half = block.len() / 2;
    let prefix: &[u8] = if set.extendable { b"" } else { b"shamir" };
    let identifier = set.identifier.to_be_bytes();
    let identifier: &[u8] = if set.extendable { b"" } else { &identifier };
    let mut password = Locked::zeroed(1 + passphrase.len())?;
    password[1..].copy_from_slice(passphrase);
    let mut salt = Locked::zeroed(prefix.len() + identifier.len() + half)?;
    salt[..prefix.len()].copy_from_slice(prefix);
    salt[prefix.len()..prefix.len() + identifier.len()].copy_from_slice(identifier);
    let salted = prefix.len() + identifier.len();
    let mut mask = Locked::zeroed(half)?;
    for round in 0..ROUNDS {
        password[0] = if direction == Direction::Encrypt {
            round
        } else {
            ROUNDS - 1 - round
        };
        salt[salted..].copy_from_slice(&block[half..]);
        let iterations = ITERATIONS << set.iteration_exponent;
        leaving_nothing(|| {
            pbkdf2::pbkdf2_hmac::<Sha256>(&password, &salt, iterations, &mut mask);
        });
        // (L, R) becomes (R, L xor F(R))
        let (left, right) = block.split_at_mut(half);
        for ((left, right), mask) in left.iter_mut().zip(right).zip(mask.iter()) {
            let mixed = *left ^ mask;
            *left = *right;
            *right = mixed;
        }
    }
    // The result is R || L.
    let (left, right) = block.split_at_mut(half);
    left.swap_with_slice(right);
    Ok(())
}

#[cfg(test)]
mod tests;

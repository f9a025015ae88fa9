//! From typed shares to an escrow key: byok trusts nothing until everything fits.

use std::collections::BTreeMap;

use super::policy::{Counted, Standing};
use super::slip39::{self, NotASecret, Point, Set, Share};
use crate::crypto::locked::Locked;
use crate::ground::error::{Error, Result};

/// Shares as they come in, one at a time, each with the name of who brought it.
#[derive(Default)]
pub struct UntrustedShares {
    shares: Vec<(String, Share)>,
}

/// Why a share is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It belongs to another set than the shares before it.
    OtherSet {
        /// Who brought the first of those shares.
        than: String,
    },
    /// This very share was brought before.
    Repeated {
        /// Who brought it first.
        by: String,
    },
    /// Another share with this number was brought before: only one of the two can have been dealt.
    Contradicts {
        /// Who brought the other share.
        by: String,
    },
}

/// Enough shares that agree. Only this type can recover the escrow key.
pub struct Quorum {
    secret: Locked,
    /// Who contributed a share.
    pub names: Vec<String>,
    /// Who brought a share that does not agree with the others.
    pub dissenters: Vec<String>,
    /// Who brought shares of a group that gives something else than the rest: at least one of them was not dealt, and
    /// nothing says which.
    pub unjudged: Vec<String>,
}

impl UntrustedShares {
    /// Takes a share.
    ///
    /// # Errors
    /// Another set, or the same share again; the shares before it stay.
    pub fn add(&mut self, name: &str, share: Share) -> std::result::Result<(), Refused> {
        let mut taken = self.shares.iter();
        if let Some((than, _)) = taken.find(|(_, taken)| !share.is_of_set(taken)) {
            return Err(Refused::OtherSet { than: than.clone() });
        }
        let of_number = |(_, taken): &&(String, Share)| {
            (taken.group, taken.member) == (share.group, share.member)
        };
        if let Some((by, taken)) = self.shares.iter().find(of_number) {
            let by = by.clone();
            return Err(match taken.is_same(&share) {
                true => Refused::Repeated { by },
                false => Refused::Contradicts { by },
            });
        }
        self.shares.push((name.to_owned(), share));
        Ok(())
    }

    /// Puts a share aside.
    pub(crate) fn remove(&mut self, name: &str) {
        self.shares.retain(|(by, _)| by != name);
    }

    /// How far they are from a quorum, as far as they say it themselves; not known before the first.
    pub(crate) fn standing(&self) -> Option<Standing> {
        let (_, first) = self.shares.first()?;
        let group = |group| Counted {
            name: String::new(),
            needed: self
                .of_group(group)
                .next()
                .map(|(_, share)| share.threshold.into()),
            brought: self.brought(group),
        };
        Some(Standing {
            needed: first.set.group_threshold.into(),
            groups: (0..first.set.group_count).map(group).collect(),
        })
    }

    /// Whether there are enough shares of enough groups.
    pub(crate) fn is_enough(&self) -> bool {
        self.standing().is_some_and(|standing| standing.is_enough())
    }

    /// How many shares of this group were brought, the first group being 0.
    pub(crate) fn brought(&self, group: u8) -> usize {
        self.of_group(group).count()
    }

    fn of_group(&self, group: u8) -> impl Iterator<Item = (usize, &Share)> {
        let shares = self.shares.iter().enumerate();
        let shares = shares.map(|(at, (_, share))| (at, share));
        shares.filter(move |(_, share)| share.group == group)
    }

    /// Who has brought a share so far.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.shares.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Finds shares that agree. All shares of the groups that are complete take part: if the others are enough, a share
    /// that is not on their polynomial is named.
    ///
    /// # Errors
    /// Exit 4 if there are too few, or if no quorum among them gives a secret with its digest.
    pub fn validate(&self) -> Result<Quorum> {
        let (Some((_, first)), Some(standing)) = (self.shares.first(), self.standing()) else {
            return Err(Error::mismatch("no share was given"));
        };
        if !standing.is_enough() {
            let few = format!("too few shares: still needed {}", standing.told());
            return Err(Error::mismatch(few)
                .check("QUORUM")
                .hint("nothing is lost: bring the custodians who are missing"));
        }
        let mut groups = Vec::new();
        for group in 0..first.set.group_count {
            groups.extend(self.possible(group)?);
        }
        let found = best(&groups, first.set.group_threshold)?.ok_or_else(|| {
            Error::mismatch("the shares belong to one set, but together they give no escrow key")
                .check("QUORUM")
                .hint("at least one of them is not the share that was dealt: put one aside, and use another custodian's")
        })?;
        let named = |wanted: Judged| -> Vec<String> {
            let of_group = groups.iter().flat_map(|group| {
                let right = found.right.get(&group.number);
                group.shares.iter().map(move |at| (*at, right))
            });
            let judged = of_group.map(|(at, right)| match right {
                None => (at, Judged::NotAtAll),
                Some(agreeing) if agreeing.contains(&at) => (at, Judged::Agrees),
                Some(_) => (at, Judged::Dissents),
            });
            let wanted = judged.filter(|(_, judged)| *judged == wanted);
            wanted.map(|(at, _)| self.shares[at].0.clone()).collect()
        };
        Ok(Quorum {
            names: named(Judged::Agrees),
            dissenters: named(Judged::Dissents),
            unjudged: named(Judged::NotAtAll),
            secret: slip39::decrypt(found.secret, first.set, b"")?,
        })
    }

    /// Everything that the shares of a group can mean; nothing if there are too few.
    fn possible(&self, number: u8) -> Result<Option<Complete>> {
        let (shares, of_group): (Vec<usize>, Vec<&Share>) = self.of_group(number).unzip();
        let needed = of_group.first().map_or(1, |share| share.threshold);
        if of_group.len() < needed.into() {
            return Ok(None);
        }
        let points: Vec<Point> = of_group.iter().map(|share| share.point()).collect();
        let mut meanings: Vec<Meaning> = Vec::new();
        for chosen in Choices::new(points.len(), needed.into()) {
            let known = |meaning: &Meaning| {
                chosen
                    .iter()
                    .all(|at| meaning.agreeing.contains(&shares[*at]))
            };
            if meanings.iter().any(known) {
                continue; // the same polynomial again
            }
            let quorum: Vec<Point> = chosen.iter().map(|at| points[*at]).collect();
            let Some(secret) = joined(&quorum, needed)? else {
                continue;
            };
            let mut agreeing = Vec::new();
            for (at, point) in shares.iter().zip(&points) {
                if slip39::is_on(&quorum, point)? {
                    agreeing.push(*at);
                }
            }
            meanings.push(Meaning { secret, agreeing });
        }
        Ok(Some(Complete {
            number,
            shares,
            meanings,
        }))
    }

    /// Checks that every share takes part in a recombination that gives the same escrow key: its own group's next shares
    /// with those of the next groups. Returns the number of recombinations.
    ///
    /// # Errors
    /// Exit 4, naming the share that does not.
    pub(crate) fn every_share_recombines(&self, quorum: &Quorum) -> Result<usize> {
        for (name, share) in &self.shares {
            let Set {
                group_threshold,
                group_count,
                ..
            } = share.set;
            let mut chosen: Vec<&Share> = Vec::new();
            for next in 0..group_threshold {
                let of_group = self.of_group((share.group + next) % group_count);
                let shares: Vec<&Share> = of_group.map(|(_, share)| share).collect();
                let first = shares.iter().position(|other| std::ptr::eq(*other, share));
                let needed = shares.first().map_or(0, |one| one.threshold.into());
                chosen.extend(shares.iter().cycle().skip(first.unwrap_or(0)).take(needed));
            }
            let same =
                slip39::combine(&chosen, b"").is_ok_and(|secret| secret[..] == quorum.secret[..]);
            if !same {
                return Err(Error::mismatch(format!(
                    "the share of {name} does not give the escrow key together with the others",
                ))
                .check("QUORUM"));
            }
        }
        Ok(self.shares.len())
    }
}

/// What is known of a share once there is an escrow key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    Agrees,
    Dissents,
    NotAtAll,
}

/// A group with enough shares.
struct Complete {
    number: u8,
    /// All its shares, by their places among those that were brought.
    shares: Vec<usize>,
    /// More than one if some of them were not dealt.
    meanings: Vec<Meaning>,
}

/// A secret of a group for which its digest vouches (with a threshold of 1 nothing does), and the shares that give it.
struct Meaning {
    secret: Locked,
    agreeing: Vec<usize>,
}

/// What is left when the groups are joined.
struct Found {
    secret: Locked,
    /// The groups that fit it, each with its shares that do.
    right: BTreeMap<u8, Vec<usize>>,
}

/// So many ways to join groups are tried. More than two or three meanings of one group are no mistakes any more.
const MOST_WAYS: usize = 20_000;

/// The secret with which the most shares agree: any `needed` groups, each by one of its meanings.
///
/// # Errors
/// Exit 5 if no locked memory is available.
fn best(groups: &[Complete], needed: u8) -> Result<Option<Found>> {
    let mut best: Option<(usize, Found)> = None;
    let ways = Choices::new(groups.len(), needed.into()).flat_map(|chosen| ways(groups, &chosen));
    for way in ways.take(MOST_WAYS) {
        let points: Vec<Point> = way
            .iter()
            .map(|(number, meaning)| (*number, &meaning.secret[..]))
            .collect();
        let Some(secret) = joined(&points, needed)? else {
            continue;
        };
        let mut right = BTreeMap::new();
        for group in groups {
            for meaning in &group.meanings {
                if slip39::is_on(&points, &(group.number, &meaning.secret[..]))? {
                    right.insert(group.number, meaning.agreeing.clone());
                }
            }
        }
        let agree = right.values().map(Vec::len).sum();
        if best.as_ref().is_none_or(|(before, _)| *before < agree) {
            best = Some((agree, Found { secret, right }));
        }
        let all: usize = groups.iter().map(|group| group.shares.len()).sum();
        if agree == all {
            break;
        }
    }
    Ok(best.map(|(_, found)| found))
}

/// Every way to take one meaning of each of these groups.
fn ways<'a>(groups: &'a [Complete], chosen: &[usize]) -> Vec<Vec<(u8, &'a Meaning)>> {
    chosen.iter().fold(vec![Vec::new()], |ways, at| {
        let group = &groups[*at];
        let with = |way: &Vec<(u8, &'a Meaning)>| -> Vec<_> {
            let meanings = group.meanings.iter();
            meanings
                .map(|meaning| [&way[..], &[(group.number, meaning)]].concat())
                .collect()
        };
        ways.iter().flat_map(with).take(MOST_WAYS).collect()
    })
}

/// What so many points give; `None` if that is no secret.
///
/// # Errors
/// Exit 5 if no locked memory is available.
fn joined(points: &[Point], threshold: u8) -> Result<Option<Locked>> {
    match slip39::join(points, threshold) {
        Ok(secret) => Ok(Some(secret)),
        Err(NotASecret::Memory) => Err(Error::machine("no locked memory for the escrow key")),
        Err(_) => Ok(None),
    }
}

impl Quorum {
    /// The escrow key.
    pub fn escrow_key(&self) -> &Locked {
        &self.secret
    }
}

/// Every way to choose `k` of `n`, in order. `n` is at most 16.
struct Choices {
    n: usize,
    next: Option<Vec<usize>>,
}

impl Choices {
    fn new(n: usize, k: usize) -> Self {
        Self {
            n,
            next: (k <= n).then(|| (0..k).collect()),
        }
    }
}

impl Iterator for Choices {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let current = self.next.take()?;
        let k = current.len();
        let movable = (0..k).rev().find(|at| current[*at] < self.n - k + at);
        self.next = movable.map(|at| {
            let mut following = current.clone();
            following[at] += 1;
            for later in at + 1..k {
                following[later] = following[later - 1] + 1;
            }
            following
        });
        Some(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(share: &Share) -> Share {
        Share::from_words(&share.words().unwrap()).unwrap()
    }

    /// A share with a valid checksum that was never dealt.
    fn forged(share: &Share) -> Share {
        let mut words = share.words().unwrap();
        words.set(10, words.number(10) ^ 1);
        words.seal(true);
        Share::from_words(&words).unwrap()
    }

    /// Shares in this order, each called by its place among those that were dealt; the liar's is forged.
    fn all_but_one_as_dealt(
        dealt: &[Share],
        order: impl IntoIterator<Item = usize>,
        liar: usize,
    ) -> UntrustedShares {
        let mut shares = UntrustedShares::default();
        for at in order {
            let brought = match at == liar {
                true => forged(&dealt[at]),
                false => again(&dealt[at]),
            };
            shares.add(&at.to_string(), brought).unwrap();
        }
        shares
    }

    #[test]
    fn every_choice_comes_once() {
        let all: Vec<_> = Choices::new(5, 3).collect();
        assert_eq!(all.len(), 10);
        assert_eq!(all[0], [0, 1, 2]);
        assert_eq!(all[9], [2, 3, 4]);
        assert_eq!(Choices::new(2, 3).count(), 0);
    }

    #[test]
    fn a_quorum_recovers_and_fewer_do_not() {
        let dealt = slip39::deal(&[9; 32], 1, &[(3, 5)]).unwrap();
        let mut shares = UntrustedShares::default();
        assert!(shares.standing().is_none());
        for (name, share) in ["a", "b"].iter().zip(&dealt) {
            shares.add(name, again(share)).unwrap();
        }
        assert!(!shares.is_enough());
        assert!(
            shares
                .validate()
                .err()
                .unwrap()
                .line()
                .contains("still needed 1 of 3")
        );
        shares.add("e", again(&dealt[4])).unwrap();
        let quorum = shares.validate().unwrap();
        assert_eq!(quorum.escrow_key()[..], [9; 32]);
        assert!(quorum.dissenters.is_empty());
    }

    #[test]
    fn repeated_and_foreign_shares_are_refused_and_the_good_ones_stay() {
        let (dealt, other) = (
            slip39::deal(&[9; 32], 1, &[(2, 3)]).unwrap(),
            slip39::deal(&[9; 32], 1, &[(2, 3)]).unwrap(),
        );
        let mut shares = UntrustedShares::default();
        shares.add("a", again(&dealt[0])).unwrap();
        assert_eq!(
            shares.add("b", again(&dealt[0])),
            Err(Refused::Repeated { by: "a".into() })
        );
        let than = "a".into();
        assert_eq!(
            shares.add("b", again(&other[1])),
            Err(Refused::OtherSet { than })
        );
        let by = "a".into();
        assert_eq!(
            shares.add("b", forged(&dealt[0])),
            Err(Refused::Contradicts { by })
        );
        shares.add("b", again(&dealt[1])).unwrap();
        assert!(shares.validate().is_ok());
    }

    #[test]
    fn a_dissenting_share_is_named_where_the_others_are_enough() {
        let dealt = slip39::deal(&[9; 32], 1, &[(2, 4)]).unwrap();
        let mut shares = UntrustedShares::default();
        shares.add("a", again(&dealt[0])).unwrap();
        shares.add("liar", forged(&dealt[1])).unwrap();
        assert!(
            shares
                .validate()
                .err()
                .unwrap()
                .line()
                .contains("give no escrow key")
        );
        shares.add("c", again(&dealt[2])).unwrap();
        let quorum = shares.validate().unwrap();
        assert_eq!(quorum.dissenters, ["liar"]);
        assert_eq!(quorum.escrow_key()[..], [9; 32]);
    }
    /// Whoever is wrong is found without deriving a key from every quorum that could be tried.
    #[test]
    fn one_forged_share_among_many_is_named_wherever_it_stands() {
        let dealt = slip39::deal(&[9; 32], 1, &[(4, 8)]).unwrap();
        for liar in [0, 7] {
            let shares = all_but_one_as_dealt(&dealt, 0..dealt.len(), liar);
            let quorum = shares.validate().unwrap();
            assert_eq!(quorum.dissenters, [liar.to_string()]);
            assert_eq!(quorum.escrow_key()[..], [9; 32]);
        }
    }

    /// Shares by group and number, in this order.
    fn brought(dealt: &[Share], which: &[(u8, u8)]) -> UntrustedShares {
        let mut shares = UntrustedShares::default();
        for (group, member) in which {
            let mut all = dealt.iter();
            let found = all.find(|share| (share.group, share.member) == (*group, *member));
            let name = format!("{group}.{member}");
            shares.add(&name, again(found.unwrap())).unwrap();
        }
        shares
    }

    #[test]
    fn groups_come_in_any_order_and_what_is_missing_is_told() {
        let dealt = slip39::deal(&[9; 32], 2, &[(2, 3), (1, 2), (2, 2)]).unwrap();
        let told = |which: &[(u8, u8)]| brought(&dealt, which).standing().unwrap().told();
        let unknown = "has none yet";
        assert_eq!(
            told(&[(0, 1)]),
            format!("2 of 2 groups: group 1 needs 1, group 2 {unknown}, group 3 {unknown}")
        );
        assert_eq!(
            told(&[(2, 0), (0, 1), (1, 1)]),
            "1 of 2 groups: group 1 needs 1, group 2 is complete, group 3 needs 1"
        );
        for few in [&[(0, 0), (0, 1), (0, 2)][..], &[(0, 0), (2, 1), (1, 1)]] {
            let refused = brought(&dealt, few).validate().err().unwrap();
            assert!(
                refused.line().contains("too few shares"),
                "{}",
                refused.line()
            );
        }
        let whole = brought(&dealt, &[(2, 1), (0, 2), (1, 1), (0, 0)])
            .validate()
            .unwrap();
        assert_eq!(whole.escrow_key()[..], [9; 32]);
        assert_eq!(
            whole.names,
            ["0.2", "0.0", "1.1"],
            "of group 3 one alone came"
        );
        assert!(whole.dissenters.is_empty());
    }

    #[test]
    fn every_share_of_every_group_takes_part_in_the_proof() {
        for needed in 1..=3 {
            let sizes = [(2, 3), (2, 2), (3, 5)];
            let dealt = slip39::deal(&[9; 32], needed, &sizes).unwrap();
            let all: Vec<(u8, u8)> = dealt
                .iter()
                .map(|share| (share.group, share.member))
                .collect();
            let shares = brought(&dealt, &all);
            let quorum = shares.validate().unwrap();
            assert_eq!((quorum.names.len(), quorum.dissenters.len()), (10, 0));
            assert_eq!(shares.every_share_recombines(&quorum).unwrap(), 10);
            for liar in 0..dealt.len() {
                let shares = all_but_one_as_dealt(&dealt, 0..dealt.len(), liar);
                let refused = shares.every_share_recombines(&quorum).err();
                assert!(refused.is_some(), "{needed} groups, share {liar}");
            }
        }
    }

    #[test]
    fn a_forged_share_of_a_group_is_named_where_the_others_are_enough() {
        let dealt = slip39::deal(&[9; 32], 2, &[(2, 3), (1, 3), (2, 2)]).unwrap();
        for liar in 0..dealt.len() {
            let shares = all_but_one_as_dealt(&dealt, 0..dealt.len(), liar);
            let quorum = shares.validate().unwrap();
            assert_eq!(quorum.escrow_key()[..], [9; 32], "{liar}");
            let (dissent, unjudged) = match liar {
                6 | 7 => (vec![], vec!["6".to_owned(), "7".to_owned()]), // the two of a group that needs both
                _ => (vec![liar.to_string()], vec![]),
            };
            assert_eq!((quorum.dissenters, quorum.unjudged), (dissent, unjudged));
        }
    }

    /// In a group of which one share is enough no digest says which of two values was dealt; the other groups do.
    #[test]
    fn a_forged_share_never_keeps_a_quorum_out_wherever_it_stands() {
        let dealt = slip39::deal(&[9; 32], 2, &[(1, 2), (2, 3)]).unwrap();
        for order in [[0, 1, 2, 3], [1, 0, 2, 3], [2, 3, 0, 1], [3, 2, 1, 0]] {
            let shares = all_but_one_as_dealt(&dealt, order, 0);
            let quorum = shares.validate().unwrap();
            assert_eq!(quorum.escrow_key()[..], [9; 32], "{order:?}");
            assert_eq!(quorum.dissenters, ["0"], "{order:?}");
        }
    }

    /// Two of four who agree on another polynomial, with a digest of its own.
    #[test]
    fn liars_who_agree_among_themselves_are_named_and_no_one_else() {
        let sizes = [(2, 4), (1, 1)];
        let (dealt, other) = (
            slip39::deal(&[9; 32], 2, &sizes).unwrap(),
            slip39::deal(&[7; 32], 2, &sizes).unwrap(),
        );
        let mut shares = UntrustedShares::default();
        for at in 0..5 {
            let mut share = again(if at < 2 { &other[at] } else { &dealt[at] });
            share.set = dealt[0].set;
            shares.add(&at.to_string(), share).unwrap();
        }
        let quorum = shares.validate().unwrap();
        assert_eq!(quorum.escrow_key()[..], [9; 32]);
        assert_eq!(quorum.dissenters, ["0", "1"]);
        assert!(quorum.unjudged.is_empty());
    }

    #[test]
    fn a_share_that_contradicts_any_other_about_its_group_is_refused_and_names_it() {
        let dealt = slip39::deal(&[9; 32], 2, &[(2, 3), (1, 2)]).unwrap();
        let mut shares = brought(&dealt, &[(1, 0), (0, 0)]);
        let mut lowered = again(&dealt[1]);
        lowered.threshold = 1;
        let than = "0.0".into();
        assert_eq!(
            shares.add("Mallory", lowered),
            Err(Refused::OtherSet { than })
        );
        shares.add("honest", again(&dealt[1])).unwrap();
        assert!(shares.is_enough() && shares.validate().is_ok());
    }

    #[test]
    fn a_share_that_is_put_aside_is_no_longer_there_and_the_others_are() {
        let dealt = slip39::deal(&[9; 32], 1, &[(2, 3)]).unwrap();
        let mut shares = brought(&dealt, &[(0, 0), (0, 1)]);
        shares.remove("0.1");
        assert_eq!(shares.names(), ["0.0"]);
        assert!(!shares.is_enough());
    }

    /// Of three groups one is enough. The first comes whole from another escrow, with a digest of its own.
    #[test]
    fn what_the_most_shares_say_counts_whichever_comes_first() {
        let sizes = [(2, 2), (2, 2), (2, 2)];
        let (dealt, other) = (
            slip39::deal(&[9; 32], 1, &sizes).unwrap(),
            slip39::deal(&[7; 32], 1, &sizes).unwrap(),
        );
        let take = |of_other: usize, count: usize| {
            let mut shares = UntrustedShares::default();
            for at in 0..count {
                let mut share = again(if at < of_other {
                    &other[at]
                } else {
                    &dealt[at]
                });
                share.set = dealt[0].set;
                shares.add(&at.to_string(), share).unwrap();
            }
            shares.validate().unwrap()
        };
        let quorum = take(2, 6);
        assert_eq!(quorum.escrow_key()[..], [9; 32]);
        assert_eq!(quorum.unjudged, ["0", "1"]);
        // where as many say one thing as the other, the package will tell: the first are taken
        assert_eq!(take(2, 4).escrow_key()[..], [7; 32]);
    }
}

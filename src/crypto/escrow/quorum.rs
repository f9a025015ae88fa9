//! From typed shares to an escrow key: byok trusts nothing until everything fits.

use super::slip39::{self, NotASecret, Share};
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
}

impl UntrustedShares {
    /// Takes a share.
    ///
    /// # Errors
    /// Another set, or the same share again; the shares before it stay.
    pub fn add(&mut self, name: &str, share: Share) -> std::result::Result<(), Refused> {
        if let Some((than, first)) = self.shares.first()
            && !share.is_of_set(first)
        {
            return Err(Refused::OtherSet { than: than.clone() });
        }
        let of_number = |(_, taken): &&(String, Share)| taken.member == share.member;
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

    /// How many more shares are needed; not known before the first.
    pub(crate) fn missing(&self) -> Option<usize> {
        let (_, first) = self.shares.first()?;
        Some(usize::from(first.threshold).saturating_sub(self.shares.len()))
    }

    /// How many shares are needed in all; not known before the first.
    pub(crate) fn threshold(&self) -> Option<u8> {
        self.shares.first().map(|(_, first)| first.threshold)
    }

    /// Who has brought a share so far.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.shares.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Finds shares that agree. All shares take part: if the others are enough, a share that is not on their
    /// polynomial is named.
    ///
    /// # Errors
    /// Exit 4 if there are too few, or if no quorum among them gives a secret with its digest.
    pub fn validate(&self) -> Result<Quorum> {
        let Some((_, first)) = self.shares.first() else {
            return Err(Error::mismatch("no share was given"));
        };
        let threshold = usize::from(first.threshold);
        if self.shares.len() < threshold {
            return Err(Error::mismatch(format!(
                "only {} of the {threshold} shares needed",
                self.shares.len()
            ))
            .check("QUORUM")
            .hint("nothing is lost: bring the custodians who are missing"));
        }
        let mut best: Option<(Locked, Vec<usize>)> = None;
        for chosen in Choices::new(self.shares.len(), threshold) {
            let on_it = |agreeing: &[usize]| chosen.iter().all(|at| agreeing.contains(at));
            if best.as_ref().is_some_and(|(_, agreeing)| on_it(agreeing)) {
                continue; // the same polynomial again
            }
            let quorum: Vec<&Share> = chosen.iter().map(|at| &self.shares[*at].1).collect();
            let encrypted = match slip39::encrypted(&quorum) {
                Ok(encrypted) => encrypted,
                Err(NotASecret::Memory) => {
                    return Err(Error::machine("no locked memory for the escrow key"));
                }
                Err(_) => continue,
            };
            let agreeing = self.agreeing(&quorum)?;
            if best
                .as_ref()
                .is_none_or(|(_, before)| before.len() < agreeing.len())
            {
                let whole = agreeing.len() == self.shares.len();
                best = Some((encrypted, agreeing));
                if whole {
                    break;
                }
            }
        }
        let (encrypted, agreeing) = best.ok_or_else(|| {
            Error::mismatch("the shares belong to one set, but together they give no escrow key")
                .check("QUORUM")
                .hint("at least one of them is not the share that was dealt: put one aside, and use another custodian's")
        })?;
        let named = |wanted: bool| {
            let of = self
                .shares
                .iter()
                .enumerate()
                .filter(|(at, _)| agreeing.contains(at) == wanted);
            of.map(|(_, (name, _))| name.clone()).collect()
        };
        Ok(Quorum {
            secret: slip39::decrypt(encrypted, first.set, b"")?,
            names: named(true),
            dissenters: named(false),
        })
    }

    /// Checks that every share takes part in a recombination that gives the same escrow key. Returns the number of
    /// recombinations.
    ///
    /// # Errors
    /// Exit 4, naming the share that does not.
    pub(crate) fn every_share_recombines(&self, quorum: &Quorum) -> Result<usize> {
        let count = self.shares.len();
        let threshold = self
            .shares
            .first()
            .map_or(0, |(_, share)| usize::from(share.threshold));
        for start in 0..count {
            let chosen: Vec<&Share> = (0..threshold)
                .map(|at| &self.shares[(start + at) % count].1)
                .collect();
            let same =
                slip39::combine(&chosen, b"").is_ok_and(|secret| secret[..] == quorum.secret[..]);
            if !same {
                return Err(Error::mismatch(format!(
                    "the share of {} does not give the escrow key together with the others",
                    self.shares[start].0
                ))
                .check("QUORUM"));
            }
        }
        Ok(count)
    }

    fn agreeing(&self, quorum: &[&Share]) -> Result<Vec<usize>> {
        let mut agreeing = Vec::new();
        for (at, (_, share)) in self.shares.iter().enumerate() {
            if slip39::agrees(share, quorum)? {
                agreeing.push(at);
            }
        }
        Ok(agreeing)
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
        let dealt = slip39::deal(&[9; 32], 3, 5).unwrap();
        let mut shares = UntrustedShares::default();
        assert_eq!(shares.missing(), None);
        for (name, share) in ["a", "b"].iter().zip(&dealt) {
            shares.add(name, again(share)).unwrap();
        }
        assert_eq!(shares.missing(), Some(1));
        assert!(
            shares
                .validate()
                .err()
                .unwrap()
                .line()
                .contains("only 2 of the 3 shares needed")
        );
        shares.add("e", again(&dealt[4])).unwrap();
        let quorum = shares.validate().unwrap();
        assert_eq!(quorum.escrow_key()[..], [9; 32]);
        assert!(quorum.dissenters.is_empty());
    }

    #[test]
    fn repeated_and_foreign_shares_are_refused_and_the_good_ones_stay() {
        let (dealt, other) = (
            slip39::deal(&[9; 32], 2, 3).unwrap(),
            slip39::deal(&[9; 32], 2, 3).unwrap(),
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
        let dealt = slip39::deal(&[9; 32], 2, 4).unwrap();
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
        let dealt = slip39::deal(&[9; 32], 4, 8).unwrap();
        for liar in [0, 7] {
            let mut shares = UntrustedShares::default();
            for (at, share) in dealt.iter().enumerate() {
                let brought = if at == liar {
                    forged(share)
                } else {
                    again(share)
                };
                shares.add(&at.to_string(), brought).unwrap();
            }
            let quorum = shares.validate().unwrap();
            assert_eq!(quorum.dissenters, [liar.to_string()]);
            assert_eq!(quorum.escrow_key()[..], [9; 32]);
        }
    }
}

//! `[roles]`: which seats one person may not hold together.

use crate::ground::error::{Error, Result};

/// Two seats that the plan keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    /// Whoever is at the keyboard gets no share.
    OperatorAndCustodian,
    /// Whoever is at the keyboard witnesses nothing.
    OperatorAndWitness,
    /// Whoever has a share witnesses nothing.
    CustodianAndWitness,
    /// Nobody has two shares.
    TwoCustodians,
    /// Nobody has shares of two groups.
    TwoGroups,
}

impl Apart {
    pub(crate) const ALL: [Self; 5] = [
        Self::OperatorAndCustodian,
        Self::OperatorAndWitness,
        Self::CustodianAndWitness,
        Self::TwoCustodians,
        Self::TwoGroups,
    ];

    /// The plan's words for it, which read as what they mean.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OperatorAndCustodian => "operator and custodian",
            Self::OperatorAndWitness => "operator and witness",
            Self::CustodianAndWitness => "custodian and witness",
            Self::TwoCustodians => "two custodians",
            Self::TwoGroups => "custodians of two groups",
        }
    }

    /// Whether it is about custodians, about groups, about witnesses.
    pub(crate) fn needs(self) -> [bool; 3] {
        match self {
            Self::OperatorAndCustodian | Self::TwoCustodians => [true, false, false],
            Self::OperatorAndWitness => [false, false, true],
            Self::CustodianAndWitness => [true, false, true],
            Self::TwoGroups => [true, true, false],
        }
    }

    /// Whether one person may not hold these two seats.
    pub(crate) fn keeps(self, one: Role, other: Role) -> bool {
        use Role::{Custodian, Operator, Witness};
        match (self, one, other) {
            (Self::OperatorAndCustodian, Operator, Custodian(_))
            | (Self::OperatorAndCustodian, Custodian(_), Operator)
            | (Self::OperatorAndWitness, Operator, Witness)
            | (Self::OperatorAndWitness, Witness, Operator)
            | (Self::CustodianAndWitness, Custodian(_), Witness)
            | (Self::CustodianAndWitness, Witness, Custodian(_))
            | (Self::TwoCustodians, Custodian(_), Custodian(_)) => true,
            (Self::TwoGroups, Custodian(Some(one)), Custodian(Some(other))) => one != other,
            _ => false,
        }
    }
}

/// What somebody does in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    /// Is at the keyboard.
    Operator,
    /// Has a share, of this group if there are groups.
    Custodian(Option<&'a str>),
    /// Watches and signs.
    Witness,
}

/// The pairs in `apart`.
///
/// # Errors
/// Exit 2 for a pair that byok does not know, and for none.
pub(super) fn read(apart: &[String]) -> Result<Vec<Apart>> {
    let known = || {
        Apart::ALL
            .map(|pair| format!("{:?}", pair.name()))
            .join(", ")
    };
    let pair = |text: &String| {
        let found = Apart::ALL.into_iter().find(|pair| pair.name() == text);
        found.ok_or_else(|| {
            Error::usage(format!("[roles]: apart {text:?} is not a pair of seats"))
                .hint(format!("the pairs are {}", known()))
        })
    };
    match apart {
        [] => Err(Error::usage("[roles]: apart names no pair of seats")
            .hint(format!("the pairs are {}", known()))),
        pairs => pairs.iter().map(pair).collect(),
    }
}

//! Who must come together to open the escrow package: any so many custodians, or so many of each of so many groups, as
//! SLIP-0039 has them. The one place that says so in words.

use super::slip39::{self, Sizes};

/// Which custodians together are a quorum. Its numbers can be dealt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    needed: u8,
    groups: Vec<Group>,
}

/// Custodians of whom so many are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Empty if there is one group alone.
    pub(crate) name: String,
    /// How many of its shares are needed.
    pub(crate) threshold: u8,
    /// One share each, in this order.
    pub(crate) custodians: Vec<String>,
}

/// One share of a set.
pub(crate) struct Place<'a> {
    /// Its number among all shares, from 1.
    pub(crate) number: u8,
    /// Its group, from 0.
    pub(crate) group: u8,
    /// Its number in its group, from 0.
    pub(crate) member: u8,
    /// Who gets it.
    pub(crate) custodian: &'a str,
    /// The name of its group; empty if there is one alone.
    pub(crate) of: &'a str,
}

impl Place<'_> {
    /// `Dora`, or `Dora, group Audit`.
    pub(crate) fn told(&self) -> String {
        match self.of {
            "" => self.custodian.to_owned(),
            group => format!("{}, group {group}", self.custodian),
        }
    }

    /// The group, if there are several.
    pub(crate) fn group_name(&self) -> Option<String> {
        (!self.of.is_empty()).then(|| self.of.to_owned())
    }
}

impl Group {
    /// `Security (any 2 of 3)`
    pub(crate) fn told(&self) -> String {
        format!(
            "{} ({})",
            self.name,
            any(self.threshold, self.custodians.len())
        )
    }
}

/// `any 2 of 3`, or `2 of 2`.
fn any(needed: u8, of: usize) -> String {
    match usize::from(needed) == of {
        true => format!("{of} of {of}"),
        false => format!("any {needed} of {of}"),
    }
}

impl Policy {
    /// Any `threshold` of the custodians.
    ///
    /// # Errors
    /// The limit that does not hold.
    pub(crate) fn any(threshold: u8, custodians: Vec<String>) -> Result<Self, String> {
        let (name, count) = (String::new(), custodians.len());
        let one = Group {
            name,
            threshold,
            custodians,
        };
        let impossible =
            |why| format!("any {threshold} of {count} custodians is not possible: {why}");
        Self::checked(1, vec![one]).map_err(impossible)
    }

    /// The thresholds of any `needed` of several groups.
    ///
    /// # Errors
    /// The limit that does not hold.
    pub(crate) fn of_groups(needed: u8, groups: Vec<Group>) -> Result<Self, String> {
        match groups.len() {
            0 | 1 => Err(
                "one group is no group: give its threshold and custodians without a name".into(),
            ),
            _ => Self::checked(needed, groups),
        }
    }

    /// `any 3 of 5`, or of groups only how many: `any 1 of 2 groups`.
    pub(crate) fn short(&self) -> String {
        match self.is_grouped() {
            false => self.quorum(),
            true => self.of_groups_told(),
        }
    }

    fn checked(needed: u8, groups: Vec<Group>) -> Result<Self, String> {
        let policy = Self { needed, groups };
        slip39::can_be_dealt(needed, &policy.sizes()).map(|()| policy)
    }

    /// How many groups are needed; 1 if there is one alone.
    pub(crate) fn groups_needed(&self) -> u8 {
        self.needed
    }

    /// All groups, one without a name if there is one alone.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Whether there are several groups, which have names.
    pub(crate) fn is_grouped(&self) -> bool {
        self.groups.len() > 1
    }

    /// What is dealt.
    pub(crate) fn sizes(&self) -> Vec<Sizes> {
        let count = |group: &Group| u8::try_from(group.custodians.len()).unwrap_or(u8::MAX);
        self.groups
            .iter()
            .map(|group| (group.threshold, count(group)))
            .collect()
    }

    /// All shares, in the order in which they are dealt.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let of_group = |(group, of): (u8, &'_ Group)| -> Vec<_> {
            (0..)
                .zip(&of.custodians)
                .map(|(member, _)| (group, member))
                .collect()
        };
        let places = (0..).zip(&self.groups).flat_map(of_group);
        (1..).zip(places).map(|(number, (group, member))| Place {
            number,
            group,
            member,
            custodian: &self.groups[usize::from(group)].custodians[usize::from(member)],
            of: &self.groups[usize::from(group)].name,
        })
    }

    /// Everybody who gets a share.
    pub(crate) fn custodians(&self) -> Vec<String> {
        self.places()
            .map(|place| place.custodian.to_owned())
            .collect()
    }

    /// How many shares there are.
    pub(crate) fn count(&self) -> usize {
        self.groups.iter().map(|group| group.custodians.len()).sum()
    }

    /// The fewest shares that can be enough.
    pub(crate) fn fewest(&self) -> usize {
        let mut thresholds: Vec<usize> = self
            .groups
            .iter()
            .map(|group| group.threshold.into())
            .collect();
        thresholds.sort_unstable();
        thresholds.iter().take(self.needed.into()).sum()
    }

    /// How far shares are from a quorum, so many of each group being there.
    pub(crate) fn standing(&self, brought: impl Fn(u8) -> usize) -> Standing {
        let counted = |(at, group): (u8, &Group)| Counted {
            name: group.name.clone(),
            needed: Some(group.threshold.into()),
            brought: brought(at),
        };
        Standing {
            needed: self.needed.into(),
            groups: (0..).zip(&self.groups).map(counted).collect(),
        }
    }

    /// Whether these custodians are enough.
    pub(crate) fn is_met_by(&self, is_there: impl Fn(&str) -> bool) -> bool {
        let there = |group: u8| {
            let custodians = self.groups[usize::from(group)].custodians.iter();
            custodians.filter(|custodian| is_there(custodian)).count()
        };
        self.standing(there).is_enough()
    }

    /// `any 3 of 5`, or `any 1 of 2 groups: Security (any 2 of 3), Audit (2 of 2)`.
    pub(crate) fn quorum(&self) -> String {
        match &self.groups[..] {
            [one] => format!("any {} of {}", one.threshold, one.custodians.len()),
            groups => {
                let groups: Vec<String> = groups.iter().map(Group::told).collect();
                format!("{}: {}", self.of_groups_told(), groups.join(", "))
            }
        }
    }

    /// `any 1 of 2 groups`
    fn of_groups_told(&self) -> String {
        format!("{} groups", any(self.needed, self.groups.len()))
    }

    /// The same without the groups one by one, for where they stand below.
    pub(crate) fn title(&self) -> String {
        match self.is_grouped() {
            false => self.shares(),
            true => format!("the shares of {}", self.of_groups_told()),
        }
    }

    /// `any 3 of 5 shares`, or `the shares of any 1 of 2 groups: …`.
    pub(crate) fn shares(&self) -> String {
        match self.is_grouped() {
            false => format!("{} shares", self.quorum()),
            true => format!("the shares of {}", self.quorum()),
        }
    }

    /// Everything: `any 2 of 3: A, B, C`, or `any 1 of 2 groups: Security (any 2 of 3): A, B, C; Audit (2 of 2): D, E`.
    pub(crate) fn whole(&self) -> String {
        let of = |group: &Group| format!("{}: {}", group.told(), group.custodians.join(", "));
        let told = match &self.groups[..] {
            [one] => one.custodians.join(", "),
            groups => groups.iter().map(of).collect::<Vec<_>>().join("; "),
        };
        format!("{}: {told}", self.short())
    }

    /// Some of the custodians, with their groups: `A, B, C`, or `Security: A, B; Audit: C`; empty if there is none.
    pub(crate) fn names_where(&self, wanted: impl Fn(&Place) -> bool) -> String {
        let of = |(at, group): (u8, &Group)| {
            let places = self
                .places()
                .filter(|place| place.group == at && wanted(place));
            let names: Vec<&str> = places.map(|place| place.custodian).collect();
            match (&names[..], group.name.as_str()) {
                ([], _) => None,
                (names, "") => Some(names.join(", ")),
                (names, name) => Some(format!("{name}: {}", names.join(", "))),
            }
        };
        let groups: Vec<String> = (0..).zip(&self.groups).filter_map(of).collect();
        groups.join("; ")
    }
}

/// How far shares are from a quorum.
pub(crate) struct Standing {
    /// How many groups are needed.
    pub(crate) needed: usize,
    /// Every group of the set.
    pub(crate) groups: Vec<Counted>,
}

/// The shares of one group that are there.
pub(crate) struct Counted {
    /// Empty if nothing says it.
    pub(crate) name: String,
    /// How many are needed, if that is known.
    pub(crate) needed: Option<usize>,
    /// How many are there.
    pub(crate) brought: usize,
}

impl Counted {
    fn missing(&self) -> Option<usize> {
        Some(self.needed?.saturating_sub(self.brought))
    }

    /// Whether nothing of it is missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing() == Some(0)
    }
}

impl Standing {
    /// Whether enough groups are complete.
    pub(crate) fn is_enough(&self) -> bool {
        self.missing() == 0
    }

    fn missing(&self) -> usize {
        let complete = self
            .groups
            .iter()
            .filter(|group| group.is_complete())
            .count();
        self.needed.saturating_sub(complete)
    }

    /// What is still needed: `1 of 3`, or `1 of 2 groups: Security is complete, Audit needs 1`.
    pub(crate) fn told(&self) -> String {
        let number = |number: Option<usize>| number.map_or("?".to_owned(), |n| n.to_string());
        let of =
            |group: &Counted| format!("{} of {}", number(group.missing()), number(group.needed));
        let told = |(at, group): (usize, &Counted)| {
            let name = match group.name.as_str() {
                "" => format!("group {}", at + 1),
                name => name.to_owned(),
            };
            match group.missing() {
                Some(0) => format!("{name} is complete"),
                Some(missing) => format!("{name} needs {missing}"),
                None => format!("{name} has none yet"),
            }
        };
        match &self.groups[..] {
            [one] => of(one),
            groups => {
                let groups: Vec<String> = groups.iter().enumerate().map(told).collect();
                format!(
                    "{} of {} groups: {}",
                    self.missing(),
                    self.needed,
                    groups.join(", ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, threshold: u8, custodians: &[&str]) -> Group {
        Group {
            name: name.to_owned(),
            threshold,
            custodians: custodians.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn two() -> Policy {
        let security = group("Security", 2, &["A", "B", "C"]);
        Policy::of_groups(2, vec![security, group("Audit", 1, &["D", "E"])]).unwrap()
    }

    #[test]
    fn a_policy_is_told_in_one_way() {
        let any = Policy::any(2, vec!["A".into(), "B".into(), "C".into()]).unwrap();
        assert_eq!(any.shares(), "any 2 of 3 shares");
        assert_eq!(any.names_where(|_| true), "A, B, C");
        let two = two();
        assert_eq!(
            two.shares(),
            "the shares of 2 of 2 groups: Security (any 2 of 3), Audit (any 1 of 2)"
        );
        let not_b = two.names_where(|place| place.custodian != "B");
        assert_eq!(not_b, "Security: A, C; Audit: D, E");
        assert_eq!(any.whole(), "any 2 of 3: A, B, C");
        assert_eq!(
            two.whole(),
            "2 of 2 groups: Security (any 2 of 3): A, B, C; Audit (any 1 of 2): D, E"
        );
        let told: Vec<String> = two.places().map(|place| place.told()).collect();
        assert_eq!(told[3], "D, group Audit");
        let group = |policy: &Policy| policy.places().next().unwrap().group_name();
        assert_eq!((group(&any), group(&two)), (None, Some("Security".into())));
        assert_eq!(
            (any.short(), any.title()),
            ("any 2 of 3".into(), "any 2 of 3 shares".into())
        );
        assert_eq!(
            (two.short(), two.title()),
            ("2 of 2 groups".into(), "the shares of 2 of 2 groups".into())
        );
        assert_eq!(two.custodians(), ["A", "B", "C", "D", "E"]);
        assert_eq!((any.groups_needed(), two.groups_needed()), (1, 2));
        assert_eq!((any.groups().len(), two.groups().len()), (1, 2));
        assert_eq!((two.count(), two.fewest()), (5, 3));
    }

    #[test]
    fn what_is_missing_is_told_by_group() {
        let told = |brought: [usize; 2]| two().standing(|group| brought[usize::from(group)]).told();
        assert_eq!(
            told([0, 0]),
            "2 of 2 groups: Security needs 2, Audit needs 1"
        );
        assert_eq!(
            told([1, 1]),
            "1 of 2 groups: Security needs 1, Audit is complete"
        );
        let policy = two();
        assert!(policy.is_met_by(|name| ["A", "C", "E"].contains(&name)));
        assert!(!policy.is_met_by(|name| ["A", "B", "C"].contains(&name)));
        assert!(!policy.is_met_by(|name| ["A", "D", "E"].contains(&name)));
    }

    #[test]
    fn nobody_alone_opens_anything() {
        let alone = |needed| {
            let groups = vec![
                group("Security", 1, &["A", "B"]),
                group("Audit", 2, &["C", "D"]),
            ];
            Policy::of_groups(needed, groups).err()
        };
        assert!(alone(1).unwrap().contains("one share alone"));
        assert_eq!(alone(2), None);
        for (needed, groups) in [(0, 2), (3, 2), (1, 1), (1, 17)] {
            let groups = vec![group("G", 2, &["A", "B"]); groups];
            assert!(Policy::of_groups(needed, groups).is_err());
        }
        let crowd = vec![group("G", 2, &["A"; 11]); 3];
        assert!(
            Policy::of_groups(2, crowd)
                .unwrap_err()
                .contains("at most 32")
        );
    }
}

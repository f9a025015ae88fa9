//! Escrow by groups, as SLIP-0039 has them: dealt in a ceremony, opened by byok, by the reference implementation and by
//! the script without byok, and dealt anew.

use crate::support;

use std::fs;
use std::path::PathBuf;

use byok::crypto::escrow::slip39::Share;
use byok::crypto::escrow::{UntrustedShares, read_share_file};
use support::escrow::{
    builds_on, choices, files_below, lay, package, reference, reference_recovers, shares, wrapped,
};
use support::verifiers::both;
use support::{Kind, Room, hex, refused, stderr, stdout};

const BOTH: [Kind; 2] = [Kind::SoftHsm, Kind::Kryoptic];

/// Name, threshold and count of each group.
pub type Groups = &'static [(&'static str, usize, usize)];

pub const TWO: (usize, Groups) = (2, &[("Security", 2, 3), ("Audit", 1, 2)]);

/// `[escrow]` of groups whose custodians are called after them.
pub fn table((needed, groups): (usize, Groups), deliver: &str) -> String {
    let group = |(name, threshold, count): &(&str, usize, usize)| {
        let names: Vec<String> = (1..=*count).map(|n| format!("\"{name} {n}\"")).collect();
        let names = names.join(", ");
        format!("  {{ name = \"{name}\", threshold = {threshold}, custodians = [{names}] }},\n")
    };
    let groups: String = groups.iter().map(group).collect();
    format!(
        "[escrow]\ngroups_threshold = {needed}\ngroups = [\n{groups}]\ndeliver = \"{deliver}\"\n"
    )
}

fn room(kind: Kind, policy: (usize, Groups)) -> Option<Room> {
    let mut room = Room::new(kind)?;
    room.plan.more = table(policy, "files:shares");
    Some(room)
}

/// Every minimal quorum, by the numbers of its shares from 0.
fn quorums((needed, groups): (usize, Groups)) -> Vec<Vec<usize>> {
    let first = |group: usize| {
        groups[..group]
            .iter()
            .map(|(_, _, count)| count)
            .sum::<usize>()
    };
    let mut all = Vec::new();
    for chosen in choices(groups.len(), needed) {
        let mut quorums = vec![Vec::new()];
        for group in chosen {
            let (_, threshold, count) = groups[group];
            let with = |quorum: &Vec<usize>| {
                let of_group = choices(count, threshold).into_iter();
                let quorum = quorum.clone();
                let with = move |members: Vec<usize>| {
                    let members = members.iter().map(|member| first(group) + member);
                    quorum.iter().copied().chain(members).collect::<Vec<_>>()
                };
                of_group.map(with).collect::<Vec<_>>()
            };
            quorums = quorums.iter().flat_map(with).collect();
        }
        all.extend(quorums);
    }
    all
}

fn byok_recovers(shares: &[(PathBuf, String)], set: &[usize]) -> Option<String> {
    let mut untrusted = UntrustedShares::default();
    for at in set {
        let share = Share::from_words(&read_share_file(&shares[*at].0).unwrap());
        untrusted.add(&at.to_string(), share.ok().unwrap()).unwrap();
    }
    let quorum = untrusted.validate().ok()?;
    Some(hex(quorum.escrow_key()))
}

/// Every minimal quorum opens the package, in byok and in the reference implementation; with one share fewer in any
/// group it never does.
fn dealt(kind: Kind, policy: (usize, Groups)) {
    let Some(room) = room(kind, policy) else {
        return;
    };
    let transcript = room.run_well();
    let shares = shares(&room.path("shares"));
    let dealt = transcript.event("escrow-dealt");
    assert_eq!(dealt["groups_threshold"], policy.0);
    assert!(dealt["threshold"].is_null());
    let names = policy
        .1
        .iter()
        .flat_map(|(name, _, count)| vec![*name; *count]);
    for (at, group) in names.enumerate() {
        assert_eq!(dealt["shares"][at]["group"], group);
        assert_eq!(dealt["shares"][at]["share"], at + 1);
    }
    assert_eq!(
        transcript.event("escrow-proved")["recombinations"],
        shares.len()
    );
    both(&room.path("records"), &["one"]);

    let Some(python) = reference() else {
        return;
    };
    let quorums = quorums(policy);
    let words =
        |set: &Vec<usize>| -> Vec<&str> { set.iter().map(|at| shares[*at].1.as_str()).collect() };
    let sets: Vec<Vec<&str>> = quorums.iter().map(words).collect();
    let recovered = reference_recovers(&python, &sets);
    let escrow_key = recovered[0].clone();
    assert_eq!(escrow_key.len(), 64, "{escrow_key}");
    let opened =
        support::escrow::openssl_opens_package(&package(&room.path("records/one")), &escrow_key);
    assert_eq!(opened, room.openssl_opens(&wrapped("records/one")));
    let mut fewer = Vec::new();
    for (quorum, by_reference) in quorums.iter().zip(&recovered) {
        assert_eq!(*by_reference, escrow_key, "{quorum:?}");
        assert_eq!(
            byok_recovers(&shares, quorum),
            Some(escrow_key.clone()),
            "{quorum:?}"
        );
        for without in 0..quorum.len() {
            let mut few = quorum.clone();
            few.remove(without);
            assert_eq!(byok_recovers(&shares, &few), None, "{few:?}");
            fewer.push(few);
        }
    }
    let sets: Vec<Vec<&str>> = fewer.iter().map(words).collect();
    let refused = reference_recovers(&python, &sets);
    assert!(
        refused.iter().all(|text| text.starts_with("refused")),
        "{refused:?}"
    );
}

#[test]
fn two_of_two_groups_are_dealt_and_open_the_package() {
    BOTH.into_iter().for_each(|kind| dealt(kind, TWO));
}

#[test]
fn one_of_two_groups_is_dealt_and_opens_the_package() {
    dealt(Kind::SoftHsm, (1, &[("Board", 2, 2), ("IT", 3, 5)]));
}

#[test]
fn three_of_three_groups_are_dealt_and_open_the_package() {
    dealt(Kind::SoftHsm, (3, &[("A", 2, 3), ("B", 2, 3), ("C", 2, 3)]));
}

/// A recovery on another HSM, from share files.
fn recovery(old: &Room) -> Option<Room> {
    let mut new = Room::new(Kind::Kryoptic)?;
    new.use_kms_key(old.kms.clone());
    new.plan.kind = "recover".into();
    new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
    new.plan.top_more = format!(
        "{}reuse_escrow = \"a test\"\n",
        builds_on(old, "records/one")
    );
    Some(new)
}

#[test]
fn a_recovery_says_by_group_what_is_missing_and_takes_shares_in_any_order() {
    let Some(old) = room(Kind::SoftHsm, TWO) else {
        return;
    };
    old.run_well();
    let shares = shares(&old.path("shares"));
    let share = |at: usize| shares[at].1.as_str();
    let Some(new) = recovery(&old) else { return };
    lay(&new.path("brought"), &[share(0), share(1), share(2)]);
    refused(
        &new.run(),
        4,
        &[
            "still needed: 1 of 2 groups: Security is complete, Audit needs 1; not here yet: Audit: Audit 1, Audit 2",
        ],
    );
    fs::remove_dir_all(new.path("records")).unwrap();
    lay(&new.path("brought"), &[share(4), share(2), share(0)]);
    let transcript = new.run_well();
    assert_eq!(
        new.openssl_opens(&wrapped("records/one")),
        old.openssl_opens(&wrapped("records/one"))
    );
    let met = transcript.event("quorum-met");
    assert_eq!(
        met["shares"],
        serde_json::json!(["Security 3", "Security 1", "Audit 2"])
    );
    let checked = new.byok(&["check", "plan.toml"]).output().unwrap();
    let told = "needed: 2 of 2 groups: Security (any 2 of 3): Security 1, Security 2, Security 3; Audit (any 1 of 2): Audit 1, Audit 2";
    assert!(
        stdout(&checked).replace("\n      ", " ").contains(told),
        "{}",
        stdout(&checked)
    );
    let script = new.byok(&["script", "plan.toml"]).output().unwrap();
    assert!(
        stdout(&script).replace('\n', " ").contains(
            "The shares of 2 of 2 groups: Security (any 2 of 3), Audit (any 1 of 2) are enough."
        ),
        "{}",
        stderr(&script)
    );
}

#[test]
fn a_share_of_a_group_is_checked_with_its_record_and_by_itself() {
    let Some(room) = room(Kind::SoftHsm, TWO) else {
        return;
    };
    room.run_well();
    let of_audit = "shares/05-Audit 2.txt";
    let check = |args: &[&str]| {
        let output = room
            .byok(&[&["share", "check", "--share", of_audit], args].concat())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).replace('\n', " ")
    };
    let told = check(&["--record", "records/one"]);
    assert!(
        told.contains("good: this is share 5 of 5, Audit 2, group Audit, of ceremony"),
        "{told}"
    );
    assert!(told.contains("the shares of 2 of 2 groups: Security (any 2 of 3), Audit (any 1 of 2) open the escrow package."), "{told}");
    let told = check(&[]);
    assert!(told.contains("this is share 2 of group 2. An escrow package opens with 2 of the 2 groups; of this group 1 needed."), "{told}");
    let json: serde_json::Value =
        serde_json::from_str(&check(&["--record", "records/one", "--json"])).unwrap();
    assert_eq!(
        (&json["share"], &json["group"]),
        (&5.into(), &"Audit".into())
    );
}

#[test]
fn new_shares_are_dealt_to_the_same_groups_and_paper_and_report_name_them() {
    let Some(mut room) = room(Kind::SoftHsm, TWO) else {
        return;
    };
    room.run_well();
    let plan = room.byok(&["plan", "--new-shares", "records/one"]).output();
    let plan = plan.unwrap();
    assert!(plan.status.success(), "{}", stderr(&plan));
    let text = stdout(&plan);
    assert!(text.contains("groups_threshold = 2\n"), "{text}");
    assert!(
        text.contains(
            "{ name = \"Audit\", threshold = 1, custodians = [\"Audit 1\", \"Audit 2\"] },"
        ),
        "{text}"
    );
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    room.plan.more = table(TWO, "files:anew");
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let transcript = room.transcript("records/two");
    let superseded = transcript.event("escrow-superseded");
    assert_eq!(superseded["custodians"].as_array().unwrap().len(), 5);
    let script = room
        .byok(&["script", "plan.toml", "--out", "script.html"])
        .output()
        .unwrap();
    assert!(script.status.success(), "{}", stderr(&script));
    for page in ["script.html", "records/two/transcript.html"] {
        let page = fs::read_to_string(room.path(page))
            .unwrap()
            .replace('\n', " ");
        for told in [
            "Security (any 2 of 3)",
            "Audit (any 1 of 2)",
            "Audit 2, group Audit",
        ] {
            assert!(page.contains(told), "{told}");
        }
    }
    let files = files_below(&room.path("anew"));
    let first = fs::read_to_string(&files[0]).unwrap();
    assert!(
        first.contains("group Security\nthe shares of 2 of 2 groups: "),
        "{first}"
    );
}

#[test]
fn groups_that_are_not_possible_are_refused_by_name() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let group = |name: &str, threshold: usize, custodians: &str| {
        format!("{{ name = \"{name}\", threshold = {threshold}, custodians = [{custodians}] }}")
    };
    let (a, b) = (group("A", 2, "\"1\", \"2\""), group("B", 1, "\"3\""));
    for (groups, says) in [
        (
            format!("groups_threshold = 1\ngroups = [{a}, {b}]"),
            "one share alone would be the secret itself",
        ),
        (
            format!("groups_threshold = 3\ngroups = [{a}, {b}]"),
            "3 of 2 groups",
        ),
        (
            format!("groups_threshold = 1\ngroups = [{a}]"),
            "one group is no group",
        ),
        (
            format!("groups_threshold = 2\ngroups = [{a}, {a}]"),
            "the group \"A\" is in the plan twice",
        ),
        (
            format!(
                "groups_threshold = 2\ngroups = [{a}, {}]",
                group("B", 1, "\"2\"")
            ),
            "the custodian \"2\" is in the plan twice",
        ),
        (
            format!(
                "groups_threshold = 2\ngroups = [{a}, {}]",
                group("B", 3, "\"3\"")
            ),
            "3 of 1 shares in one group",
        ),
        (
            format!(
                "groups_threshold = 2\ngroups = [{a}, {}]",
                group("B", 1, "\"3, group A\"")
            ),
            "\"3, group A\" cannot be a name where there are groups",
        ),
        (
            format!("threshold = 2\ngroups = [{a}, {b}]"),
            "give threshold and custodians, or groups_threshold and groups",
        ),
        (
            "groups_threshold = 2".into(),
            "give threshold and custodians, or groups_threshold and groups",
        ),
    ] {
        room.plan.more = format!("[escrow]\n{groups}\ndeliver = \"files:shares\"\n");
        refused(&room.run(), 2, &[says]);
        assert_eq!(room.objects(), [""; 0]);
    }
}

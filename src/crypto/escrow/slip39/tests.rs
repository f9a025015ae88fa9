//! The official vectors, if they are at hand, and the laws of sharing.

use super::words::number_of;
use super::*;

/// A mnemonic as words; every word must be in the list.
pub(crate) fn read(mnemonic: &str) -> Words {
    let typed: Vec<&str> = mnemonic.split_whitespace().collect();
    let mut words = Words::blank(typed.len()).unwrap();
    for (at, word) in typed.iter().enumerate() {
        words.set(at, number_of(word.as_bytes()).unwrap());
    }
    words
}

/// The secret, or that there is none.
fn recover(mnemonics: &[String]) -> Option<Vec<u8>> {
    let shares: Vec<Share> = mnemonics
        .iter()
        .map(|m| Share::from_words(&read(m)).ok())
        .collect::<Option<_>>()?;
    let shares: Vec<&Share> = shares.iter().collect();
    combine(&shares, b"TREZOR")
        .ok()
        .map(|secret| secret.to_vec())
}

/// The file is not part of the project; the environment says where it is.
#[test]
fn the_official_vectors_hold() {
    let Some(path) = std::env::var_os("BYOK_TEST_SLIP39_VECTORS") else {
        eprintln!("skipped: BYOK_TEST_SLIP39_VECTORS does not name the official vectors");
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let vectors: Vec<(String, Vec<String>, String, String)> = serde_json::from_str(&text).unwrap();
    assert_eq!(vectors.len(), 45);
    let valid = vectors
        .iter()
        .filter(|(_, _, secret, _)| !secret.is_empty())
        .count();
    assert_eq!(valid, 15);
    for (name, mnemonics, secret, _) in vectors {
        let expected = crate::ground::words::unhex(&secret).filter(|secret| !secret.is_empty());
        assert_eq!(recover(&mnemonics), expected, "{name}");
        for mnemonic in &mnemonics {
            let words = read(mnemonic);
            if let Ok(share) = Share::from_words(&words) {
                let again = share.words().unwrap();
                let same = |at: usize| again.number(at) == words.number(at);
                assert!((0..words.len()).all(same), "{name}: written as it was read");
            }
        }
    }
}

fn secret() -> Vec<u8> {
    (0..32).map(|byte| byte * 7 + 1).collect()
}

/// Every way to choose `k` of `n`.
fn choices(n: usize, k: usize) -> Vec<Vec<usize>> {
    if k == 0 {
        return vec![Vec::new()];
    }
    (k - 1..n)
        .flat_map(|last| {
            choices(last, k - 1).into_iter().map(move |mut chosen| {
                chosen.push(last);
                chosen
            })
        })
        .collect()
}

#[test]
fn every_quorum_brings_the_secret_back_and_fewer_do_not() {
    for (threshold, count) in [(2, 3), (3, 5), (5, 8), (16, 16)] {
        let dealt = deal(&secret(), 1, &[(threshold, count)]).unwrap();
        for chosen in choices(count.into(), threshold.into()) {
            let shares: Vec<&Share> = chosen.iter().map(|at| &dealt[*at]).collect();
            assert_eq!(combine(&shares, b"").unwrap()[..], secret()[..]);
            assert_eq!(combine(&shares[1..], b"").err(), Some(NotASecret::TooFew));
        }
    }
}

#[test]
fn a_share_is_33_words_and_reads_back() {
    for share in deal(&secret(), 1, &[(3, 5)]).unwrap() {
        let words = share.words().unwrap();
        assert_eq!(words.len(), 33);
        let again = Share::from_words(&words).unwrap();
        assert_eq!(
            (again.set, again.member, again.threshold),
            (share.set, share.member, 3)
        );
        assert_eq!(again.value[..], share.value[..]);
    }
}

#[test]
fn shares_of_one_group_begin_with_three_words_alike_and_of_several_with_two() {
    for groups in 1..=16_u8 {
        let sizes = vec![(2, 2); groups.into()];
        let dealt = deal(&secret(), groups.div_ceil(2), &sizes).unwrap();
        let all: Vec<Words> = dealt.iter().map(|share| share.words().unwrap()).collect();
        let same = |at: &usize| {
            all.iter()
                .all(|words| words.number(*at) == all[0].number(*at))
        };
        let alike = (0..).take_while(same).count();
        for words in &all {
            let beginning = std::array::from_fn(|at| words.number(at));
            assert_eq!(words_in_common(beginning), alike, "{groups} groups");
        }
    }
}

#[test]
fn one_changed_word_is_found_by_its_row() {
    let share = &deal(&secret(), 1, &[(2, 2)]).unwrap()[1];
    for row in 1..=33 {
        let mut words = share.words().unwrap();
        words.set(row - 1, words.number(row - 1) ^ 5);
        match Share::from_words(&words) {
            Err(NotAShare::Checksum { changed, .. }) => assert_eq!(changed, [row]),
            // The bit that says which checksum it is stands in word 2.
            other => panic!("row {row}: {other:?}"),
        }
    }
}

#[test]
fn two_exchanged_words_are_found() {
    let share = &deal(&secret(), 1, &[(2, 2)]).unwrap()[0];
    let mut words = share.words().unwrap();
    let (a, b) = (words.number(9), words.number(10));
    words.set(9, b);
    words.set(10, a);
    match Share::from_words(&words) {
        Err(NotAShare::Checksum { exchanged, .. }) => assert_eq!(exchanged, [10]),
        other => assert_eq!(a, b, "{other:?}"),
    }
}

#[test]
fn a_share_is_the_same_as_itself_alone_and_goes_with_its_own_dealing_alone() {
    let deal = || deal(&secret(), 1, &[(2, 3)]).unwrap();
    let mut dealings = [deal(), deal()];
    while dealings[0][0].set == dealings[1][0].set {
        dealings[1] = deal(); // once in 32768 times it has the same identifier
    }
    let all: Vec<(usize, &Share)> = (dealings.iter().enumerate())
        .flat_map(|(dealing, shares)| shares.iter().map(move |share| (dealing, share)))
        .collect();
    for (at, (dealing, share)) in all.iter().enumerate() {
        for (other_at, (other_dealing, other)) in all.iter().enumerate() {
            assert_eq!(share.is_of_set(other), dealing == other_dealing);
            assert_eq!(share.is_same(other), at == other_at);
        }
    }
    let share = &dealings[0][0];
    let changed = |change: fn(&mut Share)| {
        let mut changed = Share::from_words(&share.words().unwrap()).unwrap();
        change(&mut changed);
        (share.is_of_set(&changed), share.is_same(&changed))
    };
    assert_eq!(changed(|_| {}), (true, true));
    assert_eq!(changed(|it| it.member += 1), (true, false));
    assert_eq!(changed(|it| it.value[0] ^= 1), (true, false));
    assert_eq!(changed(|it| it.threshold += 1), (false, false));
    let of_another_group = |it: &mut Share| (it.group, it.threshold) = (1, 3);
    assert_eq!(changed(of_another_group), (true, false));
    assert_eq!(changed(|it| it.set.group_count += 1), (false, false));
}

#[test]
fn people_are_told_where_to_look_and_only_mistyped_words_are_typed_again() {
    let told = |changed: &[usize], exchanged: &[usize]| {
        let (changed, exchanged) = (changed.to_vec(), exchanged.to_vec());
        let why = NotAShare::Checksum { changed, exchanged };
        assert!(why.is_mistyped());
        why.told()
    };
    assert_eq!(
        told(&[], &[]),
        "more than one word is wrong: compare every row with the form"
    );
    assert_eq!(
        told(&[3, 9], &[]),
        "exactly one wrong word would explain it, in row 3 or 9: compare letter by letter"
    );
    assert_eq!(told(&[], &[4]), "rows 4 and 5 exchanged would explain it");
    assert_eq!(
        told(&[2], &[4]),
        "rows 4 and 5 exchanged would explain it, or one wrong word in row 2"
    );
    for (why, told) in [
        (NotAShare::Length, "number of words"),
        (NotAShare::Padding, "not a share that byok deals"),
        (NotAShare::Groups, "not a share that byok deals"),
        (NotAShare::Group, "a group that its own set does not have"),
        (NotAShare::Exponent(3), "its iteration exponent is 3"),
        (NotAShare::Foreign, "not one that byok deals"),
        (NotAShare::Memory, "no locked memory"),
    ] {
        assert!(why.told().contains(told), "{}", why.told());
        assert!(!why.is_mistyped(), "{why:?}");
    }
}

#[test]
fn shares_of_another_set_repeated_ones_and_forged_ones_give_no_secret() {
    let (one, two) = (
        deal(&secret(), 1, &[(2, 3)]).unwrap(),
        deal(&secret(), 1, &[(2, 3)]).unwrap(),
    );
    assert_eq!(
        combine(&[&one[0], &two[1]], b"").err(),
        Some(NotASecret::DifferentSets)
    );
    assert_eq!(
        combine(&[&one[0], &one[0]], b"").err(),
        Some(NotASecret::Repeated)
    );
    assert_eq!(
        combine(&[&one[0], &one[1], &one[2]], b"").err(),
        Some(NotASecret::TooMany)
    );
    assert_eq!(combine(&[], b"").err(), Some(NotASecret::TooFew));
    let mut value = Locked::zeroed(32).unwrap();
    value.copy_from_slice(&one[1].value);
    value[5] ^= 1;
    let forged = Share {
        value,
        ..Share::from_words(&one[1].words().unwrap()).unwrap()
    };
    assert_eq!(
        combine(&[&one[0], &forged], b"").err(),
        Some(NotASecret::Digest)
    );
    let (a, b, c) = (one[0].point(), one[1].point(), one[2].point());
    assert!(is_on(&[a, b], &c).unwrap());
    assert!(!is_on(&[a, c], &forged.point()).unwrap());
}

#[test]
fn impossible_quorums_are_refused() {
    for (threshold, count) in [(0, 3), (1, 3), (4, 3), (2, 17), (17, 17)] {
        assert!(
            deal(&secret(), 1, &[(threshold, count)]).is_err(),
            "{threshold} of {count}"
        );
    }
    for (len, possible) in [
        (14, false),
        (15, false),
        (16, true),
        (17, false),
        (18, true),
    ] {
        assert_eq!(deal(&vec![0; len], 1, &[(2, 3)]).is_ok(), possible, "{len}");
    }
}

/// Any two of two groups, any one of two, any three of three: every minimal quorum, and never one share fewer.
#[test]
fn every_minimal_quorum_of_groups_brings_the_secret_back_and_one_too_few_in_any_group_never() {
    let policies: [(u8, &[Sizes]); 4] = [
        (2, &[(2, 3), (1, 2)]),
        (1, &[(2, 2), (3, 5)]),
        (3, &[(2, 3), (2, 3), (2, 3)]),
        (2, &[(1, 1), (3, 4), (1, 3)]),
    ];
    for (needed, sizes) in policies {
        let dealt = deal(&secret(), needed, sizes).unwrap();
        let of_group = |group: usize| -> Vec<&Share> {
            dealt
                .iter()
                .filter(|share| usize::from(share.group) == group)
                .collect()
        };
        for groups in choices(sizes.len(), needed.into()) {
            let mut quorums: Vec<Vec<&Share>> = vec![Vec::new()];
            for group in groups {
                let (shares, (threshold, count)) = (of_group(group), sizes[group]);
                let chosen = choices(count.into(), threshold.into());
                quorums = quorums
                    .iter()
                    .flat_map(|before| {
                        let with = |chosen: &Vec<usize>| {
                            let mut all = before.clone();
                            all.extend(chosen.iter().map(|at| shares[*at]));
                            all
                        };
                        chosen.iter().map(with).collect::<Vec<_>>()
                    })
                    .collect();
            }
            for quorum in quorums {
                assert_eq!(combine(&quorum, b"").unwrap()[..], secret()[..]);
                for without in 0..quorum.len() {
                    let mut fewer = quorum.clone();
                    fewer.remove(without);
                    assert_eq!(combine(&fewer, b"").err(), Some(NotASecret::TooFew));
                }
            }
        }
    }
}

#[test]
fn a_share_has_as_many_words_as_some_secret_gives() {
    // 20 bits each of parameters and identifier, 30 of checksum; the value is padded to whole words
    let possible: Vec<usize> = (16..64)
        .step_by(2)
        .map(|bytes: usize| 7 + (8 * bytes).div_ceil(10))
        .collect();
    for len in 0..50 {
        let mut words = Words::blank(len).unwrap();
        if len >= 3 {
            words.seal(false);
        }
        let read = Share::from_words(&words);
        match possible.contains(&len) {
            true => assert_eq!(read.unwrap().words().unwrap().len(), len),
            false => assert_eq!(read.err(), Some(NotAShare::Length), "{len}"),
        }
    }
}

#[test]
fn an_identifier_is_15_bits_that_differ() {
    let identifiers: Vec<u16> = (0..12)
        .map(|_| deal(&secret(), 1, &[(2, 2)]).unwrap()[0].set.identifier)
        .collect();
    assert!(identifiers.iter().all(|identifier| *identifier < 1 << 15));
    assert!(identifiers.iter().any(|one| *one != identifiers[0]));
}

#[test]
fn bytes_are_the_same_or_they_are_not() {
    assert!(same(&[1, 2, 3], &[1, 2, 3]) && same(&[], &[]));
    for other in [
        &[1, 2, 2][..],
        &[0, 3, 3],
        &[1, 2],
        &[1, 2, 3, 0],
        &[2, 1, 3],
    ] {
        assert!(!same(&[1, 2, 3], other), "{other:?}");
    }
}

#[test]
fn shares_of_one_group_that_ask_for_different_numbers_are_of_different_sets() {
    let mut shares = deal(&secret(), 1, &[(2, 3)]).unwrap();
    for (share, (group, threshold)) in shares.iter_mut().zip([(0, 1), (1, 2), (1, 3)]) {
        (share.set.group_threshold, share.set.group_count) = (2, 2);
        (share.group, share.threshold) = (group, threshold);
    }
    let all: Vec<&Share> = shares.iter().collect();
    let refused = combine(&all, b"").err();
    assert_eq!(refused, Some(NotASecret::DifferentSets));
}

#[test]
fn what_only_one_share_says_is_held_against_its_own_set_before_anything_is_derived() {
    let dealt = deal(&secret(), 1, &[(2, 2)]).unwrap();
    let altered = |start: usize, count: usize, value: u16| {
        let mut words = dealt[0].words().unwrap();
        words.set_bits(start, count, value);
        words.seal(words.bits(15, 1) == 1);
        words
    };
    let read = |words: &Words| Share::from_words(words).err();
    let as_dealt = |words: &Words| Share::as_dealt(words).err();
    for exponent in 0..16 {
        let words = altered(16, 4, exponent);
        let refused = Some(NotAShare::Exponent(exponent as u8));
        let too_many = exponent > u16::from(MOST_EXPONENT);
        assert_eq!(read(&words), refused.filter(|_| too_many), "{exponent}");
        assert_eq!(as_dealt(&words).is_some(), exponent > 0, "{exponent}");
    }
    for group in 1..16 {
        assert_eq!(read(&altered(20, 4, group)), Some(NotAShare::Group));
    }
    let two_groups = altered(28, 4, 1);
    assert_eq!(read(&two_groups), None);
    for words in [altered(15, 1, 0), altered(36, 4, 0)] {
        assert_eq!(as_dealt(&words), Some(NotAShare::Foreign));
    }
    for words in [two_groups, dealt[0].words().unwrap()] {
        assert_eq!(as_dealt(&words), None);
    }
    assert!(!NotAShare::Foreign.is_mistyped() && !NotAShare::Exponent(1).is_mistyped());
}

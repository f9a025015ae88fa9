//! Every PKCS#11 call may fail: each call of each ceremony, with each fault that a module can have, ends in a
//! state that is safe, said and recoverable. `BYOK_TEST_ALL=1` tries all of them, else a fixed sample;
//! `BYOK_TEST_FAULTS=text` those whose rule holds this text, and says what became of each.

use crate::support;

mod hang;
mod judge;
mod list;
mod scenes;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use judge::Verdict;
use list::{Fault, Sort};
use scenes::{
    GENERATE, GENERATE_AES_ELSEWHERE, GENERATE_ED25519, GENERATE_ELSEWHERE, GENERATE_IN_HOST,
    GENERATE_ON_KRYOPTIC, RECOVER, REIMPORT, Scene, Stage,
};
use support::refused;

/// How many ceremonies are held at the same time.
const AT_ONCE: usize = 2;

fn exhaustively() -> bool {
    std::env::var_os("BYOK_TEST_ALL").is_some()
}

/// What came of each fault.
type Outcome = (Fault, Result<Verdict, String>);

fn all_of(stages: Vec<Stage>, faults: &[Fault]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(faults.len()));
    std::thread::scope(|scope| {
        for mut stage in stages {
            let (next, outcomes) = (&next, &outcomes);
            scope.spawn(move || {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = judge::tried(&mut stage, fault);
                    if let Err(why) = &verdict {
                        eprintln!("UNSAFE {}: {why}", fault.rule); // the rest may take an hour
                    }
                    outcomes.lock().unwrap().push((fault.clone(), verdict));
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

/// Tries the faults of one ceremony: at most so many of them, where not all are asked for.
fn every_fault_is_safe(scene: Scene, most: usize) {
    let stages: Option<Vec<Stage>> = (0..AT_ONCE).map(|_| Stage::new(scene)).collect();
    let Some(stages) = stages else {
        return;
    };
    let all = list::every(&stages[0].calls);
    eprintln!(
        "{}: {} calls, {} faults",
        scene.name,
        stages[0].calls.len(),
        all.len()
    );
    let faults = match (std::env::var("BYOK_TEST_FAULTS"), exhaustively()) {
        (Ok(only), _) => all.into_iter().filter(|f| f.rule.contains(&only)).collect(),
        (Err(_), true) => all,
        (Err(_), false) => list::sample(&all, most),
    };
    told(scene, &all_of(stages, &faults));
}

fn told(scene: Scene, outcomes: &[Outcome]) {
    let count = |wanted: Verdict| {
        let verdicts = outcomes
            .iter()
            .filter_map(|(_, verdict)| verdict.as_ref().ok());
        verdicts.filter(|verdict| **verdict == wanted).count()
    };
    let unsafe_ones: Vec<String> = outcomes
        .iter()
        .filter_map(|(fault, verdict)| verdict.as_ref().err().map(|_| fault.rule.clone()))
        .collect();
    let (survived, refused) = (count(Verdict::Survived), count(Verdict::Refused));
    let beyond = count(Verdict::BeyondTheRoom);
    let tried = survived + refused + unsafe_ones.len();
    println!(
        "faults: {} on {:?}: {tried} faults, {} safe (of these {survived} survived)",
        scene.name,
        scene.kind,
        survived + refused
    );
    let mut sorts: BTreeMap<Sort, usize> = BTreeMap::new();
    for (fault, _) in outcomes.iter().filter(|(_, v)| *v != Ok(Verdict::NoFault)) {
        *sorts.entry(fault.sort).or_default() += 1;
    }
    eprintln!("{sorts:?}; beyond the room: {beyond}");
    if std::env::var_os("BYOK_TEST_FAULTS").is_some() {
        for (fault, verdict) in outcomes {
            eprintln!("{verdict:.20?} {}", fault.rule);
        }
    }
    assert!(unsafe_ones.is_empty(), "unsafe: {unsafe_ones:#?}");
    assert!(beyond <= scene.wraps_for_kms);
}

#[test]
fn every_fault_of_generate_is_safe_on_softhsm() {
    every_fault_is_safe(GENERATE, 30);
}

#[test]
fn every_fault_of_generate_is_safe_on_kryoptic() {
    every_fault_is_safe(GENERATE_ON_KRYOPTIC, 8);
}

#[test]
fn every_fault_of_generate_in_host_is_safe_on_softhsm() {
    every_fault_is_safe(GENERATE_IN_HOST, 8);
}

#[test]
fn every_fault_of_generate_into_three_kmss_is_safe_on_softhsm() {
    every_fault_is_safe(GENERATE_ELSEWHERE, 10);
}

#[test]
fn every_fault_of_generate_of_an_aes_key_for_other_kmss_is_safe_on_softhsm() {
    every_fault_is_safe(GENERATE_AES_ELSEWHERE, 6);
}

#[test]
fn every_fault_of_generate_of_an_ed25519_key_is_safe_on_kryoptic() {
    every_fault_is_safe(GENERATE_ED25519, 6);
}

#[test]
fn every_fault_of_reimport_is_safe_on_softhsm() {
    every_fault_is_safe(REIMPORT, 10);
}

#[test]
fn every_fault_of_recover_is_safe_on_softhsm() {
    every_fault_is_safe(RECOVER, 12);
}

/// A recovery unwraps twice: to look at the key, and under its name. The one that stays is compared too.
#[test]
fn the_key_that_a_recovery_would_leave_is_compared_with_the_one_that_was_lost() {
    let Some(mut stage) = Stage::new(RECOVER) else {
        return;
    };
    let unwraps = stage
        .calls
        .iter()
        .filter(|call| *call == "C_UnwrapKey")
        .count();
    for (unwrap, named) in [(unwraps - 1, 0), (unwraps, 1)] {
        stage.begin_anew();
        let output = stage.run_with(&format!("other-key:C_UnwrapKey:{unwrap}"));
        let says = [
            "step 7 of 13",
            "[SAME-MATERIAL]",
            "this run left no new key in the HSM",
            "records/two.aborted-",
        ];
        refused(&output, 4, &says);
        let aborted = stage.room.beside().pop().unwrap();
        let transcript = stage.room.transcript(&format!("records/{aborted}"));
        assert_eq!(transcript.events("key-intended").len(), named);
        assert_eq!(transcript.events("key-destroyed").len(), named);
        assert!(transcript.events("same-material").is_empty());
        assert_eq!(stage.room.objects(), [""; 0]);
    }
    let output = stage.run();
    assert!(output.status.success(), "{}", support::stderr(&output));
    stage.holds().unwrap();
}

//! Every fault of every call.

use std::collections::BTreeMap;

/// What a call does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// It answers CKR_DEVICE_ERROR.
    Error,
    /// The HSM closed every session before it.
    Lost,
    /// From it on the token is gone.
    Removed,
    /// It says a wrong length.
    Length,
    /// One bit of what it answers is changed.
    Flip,
    /// It answers CKR_DEVICE_ERROR, and from then on no search finds anything.
    Blind,
    /// It finds nothing.
    Unseen,
    /// It answers a handle that was there already.
    Twice,
    /// It makes another key than the wrapped one.
    OtherKey,
    /// It makes a key that may do more than was asked for.
    Weaker,
    /// It tells one attribute as it is not.
    Lie,
}

/// One fault: a rule of the proxy, about the `number`th call of `function`.
#[derive(Clone, Debug)]
pub struct Fault {
    pub sort: Sort,
    pub function: String,
    pub number: u64,
    pub rule: String,
}

/// Attributes that make a key worth less, one for each call in turn.
const WEAKER: [&str; 6] = [
    "CKA_DECRYPT=true",
    "CKA_WRAP=true",
    "CKA_DERIVE=true",
    "CKA_SENSITIVE=false",
    "CKA_MODIFIABLE=true",
    "CKA_UNWRAP=true",
];

/// After which an object may be there that is searched for.
const MAKE_OR_USE: [&str; 5] = [
    "C_GenerateKey",
    "C_UnwrapKey",
    "C_GetAttributeValue",
    "C_WrapKey",
    "C_Sign",
];

/// All of them, in the order of the calls.
pub fn every(calls: &[String]) -> Vec<Fault> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut faults = Vec::new();
    for function in calls {
        let number = counts.entry(function).or_default();
        *number += 1;
        for (sort, rule) in of_call(function, *number) {
            faults.push(Fault {
                sort,
                function: function.clone(),
                number: *number,
                rule,
            });
        }
    }
    faults
}

fn of_call(function: &str, number: u64) -> Vec<(Sort, String)> {
    let at = format!("{function}:{number}");
    let mut rules = vec![
        (Sort::Error, format!("fail:{at}:CKR_DEVICE_ERROR")),
        (Sort::Lost, format!("lose-session:{at}")),
        (Sort::Removed, format!("removed-after:{at}")),
    ];
    if MAKE_OR_USE.contains(&function) {
        let blind = format!("fail:{at}:CKR_DEVICE_ERROR;blind-after:{at}");
        rules.push((Sort::Blind, blind));
    }
    let weaker = WEAKER[number as usize % WEAKER.len()];
    let weaken =
        |rules: &mut Vec<_>| rules.push((Sort::Weaker, format!("weaken-at:{at}:{weaker}")));
    let twice = |rules: &mut Vec<_>| rules.push((Sort::Twice, format!("twice:{at}")));
    match function {
        "C_Encrypt" | "C_Sign" | "C_WrapKey" => {
            rules.push((Sort::Length, format!("length:{at}:-1")));
            rules.push((Sort::Length, format!("length:{at}:1")));
            rules.push((Sort::Flip, format!("flip:{at}")));
        }
        "C_GetAttributeValue" => {
            rules.push((Sort::Length, format!("length:{at}:-1")));
            rules.push((Sort::Lie, format!("lie-at:{at}")));
        }
        "C_FindObjects" => {
            twice(&mut rules);
            rules.push((Sort::Unseen, format!("unseen:{at}")));
        }
        "C_GenerateKey" | "C_GenerateKeyPair" | "C_CreateObject" => {
            twice(&mut rules);
            weaken(&mut rules);
        }
        "C_UnwrapKey" => {
            twice(&mut rules);
            weaken(&mut rules);
            rules.push((Sort::OtherKey, format!("other-key:{at}")));
        }
        _ => {}
    }
    rules
}

/// A fixed sample of about so many, in which every sort occurs, and with enough of them every function: of each
/// function's calls the one in the middle, the sorts in turn.
pub fn sample(all: &[Fault], most: usize) -> Vec<Fault> {
    let lies = [
        Sort::Length,
        Sort::Flip,
        Sort::Blind,
        Sort::Unseen,
        Sort::Twice,
        Sort::OtherKey,
        Sort::Weaker,
        Sort::Lie,
    ];
    let general = [Sort::Error, Sort::Lost, Sort::Removed];
    let mut functions: Vec<&str> = all.iter().map(|fault| fault.function.as_str()).collect();
    functions.sort_unstable();
    functions.dedup();
    let step = functions
        .len()
        .div_ceil(most.saturating_sub(lies.len()).max(1));
    let functions = functions.into_iter().step_by(step).enumerate();
    let of_functions = functions.filter_map(|(at, function)| {
        middle(all, |f| f.function == function && f.sort == general[at % 3])
    });
    let of_sorts = lies
        .iter()
        .filter_map(|sort| middle(all, |f| f.sort == *sort));
    of_functions.chain(of_sorts).cloned().collect()
}

fn middle(all: &[Fault], wanted: impl Fn(&&Fault) -> bool) -> Option<&Fault> {
    let matching: Vec<&Fault> = all.iter().filter(wanted).collect();
    matching.get(matching.len() / 2).copied()
}

//! The attribute table once more, written as people read it, and the judgement.

use super::*;

fn as_asked(rules: &[Rule]) -> Vec<Attribute> {
    template(rules, &[])
}

#[test]
fn a_key_that_became_what_was_asked_passes() {
    let rules = data_key(Spec::DEFAULT, Life::Token);
    assert!(judge(&rules, &as_asked(&rules)).is_ok());
}

#[test]
fn every_single_deviation_is_named() {
    let rules = data_key(Spec::DEFAULT, Life::Token);
    for (at, (flag, wanted)) in rules.iter().enumerate() {
        let mut read = as_asked(&rules);
        read[at] = (flag.make)(!wanted);
        let named = judge(&rules, &read).unwrap_err();
        assert_eq!(
            named,
            format!(
                "{} is {}, not {}",
                flag.name,
                spoken(!wanted),
                spoken(*wanted)
            )
        );
    }
}

#[test]
fn silence_is_trusted_only_where_the_table_says_so() {
    let rules = data_key(Spec::DEFAULT, Life::Token);
    let without = |kind| template(&rules, &[kind]);
    assert_eq!(
        judge(&rules, &without(AttributeType::Sensitive)).unwrap_err(),
        "CKA_SENSITIVE is not reported"
    );
    assert!(judge(&rules, &without(AttributeType::Destroyable)).is_ok());
}

#[test]
fn every_attribute_of_the_table_is_stated() {
    assert_eq!(
        template(&data_key(Spec::DEFAULT, Life::Token), &[]).len(),
        14
    );
    let private = data_key(Spec::P256, Life::Token);
    assert_eq!(template(&private, &[]).len(), 11);
    assert!(
        private
            .iter()
            .any(|(flag, value)| flag.name == "CKA_SIGN" && *value)
    );
}

/// The rules as text: `+TOKEN` is to be TRUE, `-WRAP` FALSE.
fn spelled(rules: &[Rule]) -> String {
    let one = |(flag, value): &Rule| {
        let sign = if *value { '+' } else { '-' };
        format!("{sign}{}", flag.name.strip_prefix("CKA_").unwrap())
    };
    rules.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_data_key_is_what_its_kind_and_its_life_ask() {
    let aes = |life| spelled(&data_key(Spec::DEFAULT, life));
    let common = "+PRIVATE +SENSITIVE +EXTRACTABLE +ENCRYPT -DECRYPT -SIGN -VERIFY -WRAP -UNWRAP -DERIVE \
                  -COPYABLE +DESTROYABLE";
    assert_eq!(aes(Life::Token), format!("+TOKEN {common} -MODIFIABLE"));
    assert_eq!(
        aes(Life::TokenUntilSealed),
        format!("+TOKEN {common} +MODIFIABLE")
    );
    assert_eq!(aes(Life::Session), format!("-TOKEN {common} -MODIFIABLE"));
    let private = spelled(&data_key(Spec::P256, Life::Token));
    assert_eq!(
        private,
        "+TOKEN +PRIVATE +SENSITIVE +EXTRACTABLE -DECRYPT +SIGN -UNWRAP -DERIVE -COPYABLE +DESTROYABLE -MODIFIABLE"
    );
    assert_eq!(spelled(&data_key_public()), "-TOKEN -ENCRYPT +VERIFY -WRAP");
    assert_eq!(spelled(GENERATED), "+LOCAL +ALWAYS_SENSITIVE");
    assert_eq!(spelled(BROUGHT_IN), "-LOCAL");
}

#[test]
fn every_key_that_serves_another_serves_it_alone() {
    let secret = |extractable: char, wrap: char, unwrap: char| {
        format!(
            "-TOKEN +PRIVATE +SENSITIVE {extractable}EXTRACTABLE -ENCRYPT -DECRYPT -SIGN -VERIFY {wrap}WRAP \
             {unwrap}UNWRAP -DERIVE -COPYABLE +DESTROYABLE -MODIFIABLE"
        )
    };
    assert_eq!(spelled(&transport_key()), secret('-', '+', '-'));
    assert_eq!(spelled(&ephemeral_key()), secret('+', '+', '-'));
    assert_eq!(spelled(&entrance_key()), secret('-', '-', '+'));
    assert_eq!(spelled(&escrow_key()), secret('-', '+', '+'));
    assert_eq!(spelled(&wrapping_key()), "-TOKEN +WRAP -ENCRYPT -VERIFY");
    assert_eq!(
        spelled(&gate_private()),
        "-TOKEN +PRIVATE +SENSITIVE -EXTRACTABLE -DECRYPT -SIGN +UNWRAP -DERIVE"
    );
    assert_eq!(spelled(&gate_public()), "-TOKEN -ENCRYPT -VERIFY -WRAP");
}

#[test]
fn a_signing_key_signs_and_stays_where_it_is_to() {
    assert_eq!(
        spelled(&signing_private()),
        "+TOKEN +PRIVATE +SENSITIVE -EXTRACTABLE -DECRYPT +SIGN -UNWRAP -DERIVE -COPYABLE +DESTROYABLE -MODIFIABLE"
    );
    assert_eq!(
        spelled(&signing_public()),
        "+TOKEN -ENCRYPT +VERIFY -WRAP -MODIFIABLE"
    );
}

#[test]
fn a_copy_is_given_back_what_an_object_that_can_be_copied_had_changed() {
    let rules = data_key(Spec::P256, Life::Token);
    assert_eq!(
        spelled(&changeable(&rules)),
        "-TOKEN +PRIVATE +SENSITIVE +EXTRACTABLE -DECRYPT +SIGN -UNWRAP -DERIVE +COPYABLE +DESTROYABLE +MODIFIABLE"
    );
    let given = [
        Attribute::Token(true),
        Attribute::Copyable(false),
        Attribute::Modifiable(false),
    ];
    assert_eq!(left_to_a_copy(&rules), given);
}

#[test]
fn a_template_states_each_rule_but_those_that_the_module_does_not_know() {
    let rules = wrapping_key();
    let stated = [
        Attribute::Token(false),
        Attribute::Wrap(true),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
    ];
    assert_eq!(template(&rules, &[]), stated);
    let omitted = [AttributeType::Wrap, AttributeType::Sign];
    let left = [stated[0].clone(), stated[2].clone(), stated[3].clone()];
    assert_eq!(template(&rules, &omitted), left);
    let asked = [
        AttributeType::Token,
        AttributeType::Wrap,
        AttributeType::Encrypt,
        AttributeType::Verify,
    ];
    assert_eq!(kinds(&rules), asked);
}

fn of(all: &[(&'static str, Option<bool>)]) -> Attributes {
    Attributes(
        all.iter()
            .map(|(name, value)| ((*name).into(), *value))
            .collect(),
    )
}

#[test]
fn what_was_read_back_is_kept_as_it_was_read() {
    let rules = [(TOKEN, true), (WRAP, true), (COPYABLE, false)];
    let read = [Attribute::Wrap(false), Attribute::Token(true)];
    let kept = seen(&rules, &read);
    let wanted = [
        ("CKA_TOKEN", Some(true)),
        ("CKA_WRAP", Some(false)),
        ("CKA_COPYABLE", None),
    ];
    assert_eq!(kept, of(&wanted));
    assert_eq!(
        serde_json::to_string(&kept).unwrap(),
        r#"{"CKA_TOKEN":true,"CKA_WRAP":false,"CKA_COPYABLE":"not reported"}"#
    );
    let judged = judge(&rules, &[Attribute::Wrap(true), Attribute::Token(true)]).unwrap();
    let wanted = [wanted[0], ("CKA_WRAP", Some(true)), wanted[2]];
    assert_eq!(judged, of(&wanted));
    assert_eq!(
        judge(&rules, &read[..1]).unwrap_err(),
        "CKA_TOKEN is not reported, CKA_WRAP is FALSE, not TRUE"
    );
}

#[test]
fn a_key_that_changed_since_is_named_and_one_that_was_sealed_is_not() {
    let of = |extractable, wrap| of(&[("CKA_EXTRACTABLE", extractable), ("CKA_WRAP", wrap)]);
    let before = of(Some(true), Some(false));
    assert_eq!(before.changed_since(&before), None);
    assert_eq!(of(Some(false), Some(false)).changed_since(&before), None);
    let sealed = of(Some(false), Some(false));
    let opened = before.changed_since(&sealed);
    assert_eq!(opened, Some("CKA_EXTRACTABLE"));
    assert_eq!(
        of(None, Some(false)).changed_since(&before),
        Some("CKA_EXTRACTABLE")
    );
    assert_eq!(
        of(Some(true), Some(true)).changed_since(&before),
        Some("CKA_WRAP")
    );
    assert_eq!(
        of(Some(true), None).changed_since(&before),
        Some("CKA_WRAP")
    );
    assert_eq!(
        Attributes(vec![]).changed_since(&before),
        Some("CKA_EXTRACTABLE")
    );
    // what is told now and was not then is no change
    assert_eq!(before.changed_since(&Attributes(vec![])), None);
}

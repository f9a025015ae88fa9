//! Which keys belong to which table of a plan. The structures that read them are asked, so there is only one list.

use serde::de::{self, Deserialize, Deserializer, Error as _, Visitor};
use toml::{Table, Value};

/// A table by its path in the plan, `""` for the top before the first table, and its keys.
pub(super) struct Keys {
    table: &'static str,
    keys: &'static [&'static str],
}

impl Keys {
    /// The keys that this structure reads.
    pub(super) fn of<'de, T: Deserialize<'de>>(table: &'static str) -> Self {
        let mut asked = Asked(&[]);
        let _ = T::deserialize(&mut asked); // it stops when it has named its keys
        Self {
            table,
            keys: asked.0,
        }
    }

    fn told(&self) -> String {
        match self.table {
            "" => "above the first [table] of the plan".to_owned(),
            "key" | "key.import" => format!("in [[{}]]", self.table),
            table => format!("in [{table}]"),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }
}

/// Where each key belongs that is in a table which does not know it, if another table does.
pub(super) fn misplaced(plan: &Table, tables: &[Keys]) -> Vec<String> {
    let mut told = Vec::new();
    look("", plan, tables, &mut told);
    told.dedup();
    told
}

fn look(path: &str, table: &Table, tables: &[Keys], told: &mut Vec<String>) {
    let Some(own) = tables.iter().find(|keys| keys.table == path) else {
        return;
    };
    for (key, value) in table {
        if !own.has(key) {
            told.extend(belongs(key, tables));
            continue;
        }
        let below = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match value {
            Value::Table(inner) => look(&below, inner, tables, told),
            Value::Array(items) => items
                .iter()
                .filter_map(Value::as_table)
                .for_each(|inner| look(&below, inner, tables, told)),
            _ => {}
        }
    }
}

fn belongs(key: &str, tables: &[Keys]) -> Option<String> {
    let known = tables.iter().filter(|keys| keys.has(key));
    let places: Vec<String> = known.map(Keys::told).collect();
    match (key, places.is_empty()) {
        (_, true) => None,
        ("import", _) => Some("`import` is a table of a data key: [[key.import]]".to_owned()),
        _ => Some(format!("`{key}` belongs {}", places.join(", or "))),
    }
}

/// The keys for which a structure asks when it is read.
struct Asked(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Asked {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("there is nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = keys;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

//! Redis replies, converted to the values of this crate.
//!
//! Guarantees: fields stay bytes, in their order and with repeated names, so quarantine receives
//! what another client wrote. A reply of another shape than expected is an error, never a panic.

use anyhow::{Context, bail};
use redis::Value;

use crate::entry::Entry;
use crate::lane::{EntryId, Lane};
use crate::topic::Topic;
use isobar_model::task::Fields;

type Result<T> = anyhow::Result<T>;

pub(super) fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Nil => Ok(Vec::new()),
        other => bail!("expected a list, got {other:?}"),
    }
}

/// A list of exactly `N`.
pub(super) fn array<const N: usize>(value: Value) -> Result<[Value; N]> {
    let items = list(value)?;
    let length = items.len();
    let exact: std::result::Result<[Value; N], _> = items.try_into();
    exact.ok().with_context(|| format!("expected {N} items, got {length}"))
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        other => bail!("expected text, got {other:?}"),
    }
}

pub(super) fn text(value: Value) -> Result<String> {
    Ok(String::from_utf8(bytes(value)?)?)
}

pub(super) fn number(value: &Value) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        other => bail!("expected a number, got {other:?}"),
    }
}

/// A number that is never below zero.
pub(super) fn count(value: &Value) -> Result<u64> {
    Ok(u64::try_from(number(value)?)?)
}

pub(super) fn id(value: Value) -> Result<EntryId> {
    let text = text(value)?;
    text.parse().with_context(|| format!("{text:?} is not a valid entry id"))
}

pub(super) fn ids(value: Value) -> Result<Vec<EntryId>> {
    list(value)?.into_iter().map(id).collect()
}

/// `{id, deliveries, attempts, crashes, fields}` for each entry: the reply of our scripts.
pub(super) fn counted_entries(value: Value, lane: Lane) -> Result<Vec<Entry>> {
    let entry = |value| -> Result<Entry> {
        let [id_value, deliveries, attempts, crashes, fields_value] = array(value)?;
        Ok(Entry {
            lane,
            id: id(id_value)?,
            fields: fields(fields_value)?,
            deliveries: u32::try_from(number(&deliveries)?)?,
            attempts: u32::try_from(number(&attempts)?)?,
            crashes: u32::try_from(number(&crashes)?)?,
        })
    };
    list(value)?.into_iter().map(entry).collect()
}

/// `{id, fields}` for each entry: the reply of `XRANGE`.
pub(super) fn plain_entries(value: Value, lane: Lane, deliveries: u32) -> Result<Vec<Entry>> {
    let entry = |value| -> Result<Entry> {
        let [id_value, fields_value] = array(value)?;
        Ok(Entry {
            lane,
            id: id(id_value)?,
            fields: fields(fields_value)?,
            deliveries,
            attempts: 0,
            crashes: 0,
        })
    };
    list(value)?.into_iter().map(entry).collect()
}

/// Entries by stream: the reply of `XREADGROUP`, empty after its wait. Each entry was just
/// delivered for the first time.
pub(super) fn delivered(value: Value, topic: &Topic) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for stream in list(value)? {
        let [name, stream_entries] = array(stream)?;
        let lane =
            if bytes(name)? == topic.control.as_bytes() { Lane::Control } else { Lane::Tasks };
        entries.extend(plain_entries(stream_entries, lane, 1)?);
    }
    Ok(entries)
}

fn fields(value: Value) -> Result<Fields> {
    let mut items = list(value)?.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let Some(name) = items.next() {
        let value = items.next().context("a field without a value")?;
        pairs.push((bytes(name)?, bytes(value)?));
    }
    Ok(Fields(pairs))
}

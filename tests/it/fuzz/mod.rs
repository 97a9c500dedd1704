//! Input from outside that was right once: cut, doubled and overwritten in places.
//!
//! Nothing that comes in may end a process, and every row of it is accounted for. What fails is
//! printed in full by the test; what was wrong once is kept there.

mod bodies;
mod csv;
mod cursors;
mod entries;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::harness::guard::chosen;

/// What means something to one reader or another.
const TOKENS: [&[u8]; 28] = [
    b"\"",
    b"\"\"",
    b",",
    b";",
    b"\t",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"'",
    b"=1+1",
    b"null",
    b"{}",
    b"[]",
    b"{",
    b"]",
    b":",
    b"-0",
    b"1e999",
    b"NaN",
    b"91.5",
    b"-181",
    b"9223372036854775808",
    "S\u{e3}o \u{1f30d}".as_bytes(),
    b"\\u0000",
    b"true",
];

#[derive(Clone, Debug)]
enum Edit {
    Cut,
    Remove(usize),
    Double(usize),
    Put(Vec<u8>),
    Overwrite(u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        1 => Just(Edit::Cut),
        3 => (1..40_usize).prop_map(Edit::Remove),
        2 => (1..60_usize).prop_map(Edit::Double),
        6 => select(&TOKENS[..]).prop_map(|token| Edit::Put(token.to_vec())),
        1 => (1..9_000_usize).prop_map(|length| Edit::Put(vec![b'[' ; length])),
        3 => any::<u8>().prop_map(Edit::Overwrite),
    ]
}

/// `right` after a few edits.
fn mangled(right: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    vec((any::<Index>(), edit()), 1..6).prop_map(move |edits| {
        let mut bytes = right.clone();
        for (at, edit) in edits {
            let at = at.index(bytes.len() + 1);
            let end = |length: usize| (at + length).min(bytes.len());
            match edit {
                Edit::Cut => bytes.truncate(at),
                Edit::Remove(length) => drop(bytes.drain(at..end(length))),
                Edit::Double(length) => {
                    let again = bytes[at..end(length)].to_vec();
                    bytes.splice(at..at, again);
                }
                Edit::Put(put) => drop(bytes.splice(at..at, put)),
                Edit::Overwrite(byte) => drop(bytes.splice(at..end(1), [byte])),
            }
        }
        bytes
    })
}

/// So many values, the same in each run unless another seed is chosen: a find has to be there when
/// it is looked for.
fn some<T>(count: usize, strategy: &impl Strategy<Value = T>) -> Vec<T> {
    let seed = chosen("ISOBAR_FUZZ_SEED").unwrap_or_default();
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let mut one = || strategy.new_tree(&mut runner).expect("no filter refuses it").current();
    (0..count).map(|_| one()).collect()
}

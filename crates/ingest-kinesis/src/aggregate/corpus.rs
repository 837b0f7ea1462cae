//! The fuzz target's corpus, and mutations of it, in an ordinary test: what `cargo fuzz` does without an
//! end, here with one and always the same.
//!
//! `UPDATE_EXPECT=1` writes the seeds anew; files that fuzzing adds to the corpus stay.

use std::{fs, path::PathBuf};

use crate::aggregate::{
    MESSAGES_MAX, Part,
    fuzzing::{check, framed, message},
    parts,
};

const MUTATIONS: usize = 20_000;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz/kinesis-aggregate")
}

fn part(key: &'static str, data: &'static [u8]) -> Part {
    Part { key: key.into(), data: data.into() }
}

fn seeds() -> Vec<Vec<u8>> {
    let few = [part("a", b"x"), part("b", b"y"), part("a", b"")];
    let long = [part("", &[0xFF; 300]), part("k\u{e9}y", b"{}")];
    let of = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    // As the library writes it: shared keys, hash keys, tags. Then fields that nobody knows, of every kind,
    // and a number of ten bytes.
    let shared: &[u8] = b"\x0a\x01a\x0a\x01b\x12\x0217\x1a\x0c\x08\x00\x10\x00\x1a\x01x\x22\x03tag\x1a\x05\x08\x01\x1a\x01y";
    let unknown: &[u8] =
        b"\x39\x00\x00\x00\x00\x00\x00\x00\x00\x45\x00\x00\x00\x00\x48\x05\x52\x01z\x0a\x01a\x1a\x05\x08\x00\x1a\x01x";
    let huge: &[u8] = b"\x0a\x01a\x1a\x0e\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x01x";
    vec![
        of(1, &message(&few)),
        of(1, &message(&long)),
        of(1, shared),
        of(1, unknown),
        of(1, huge),
        of(1, b""),
        of(0, &framed(&message(&few))),
        of(0, b"{}"),
    ]
}

#[test]
fn the_corpus_and_its_mutations_are_taken_apart_or_refused() {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(folder()).unwrap();
        for (number, bytes) in seeds().into_iter().enumerate() {
            fs::write(folder().join(format!("seed-{number}")), bytes).unwrap();
        }
    }
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for seed in seeds() {
        assert!(corpus.contains(&seed), "the corpus lacks a seed: UPDATE_EXPECT=1 writes it");
    }
    let whole = corpus.iter().filter(|input| check(input)).count();
    assert!(whole >= 5, "only {whole} of the seeds are aggregates");

    // SplitMix64: the same mutations every time.
    let mut state = 0_u64;
    let mut random = move |limit: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    };
    let mut whole = 0;
    for number in 0..MUTATIONS {
        let mut input = corpus[number % corpus.len()].clone();
        for _ in 0..=random(3) {
            let at = random(input.len());
            match random(6) {
                0 if !input.is_empty() => input[at] ^= 1 << random(8),
                1 if !input.is_empty() => input[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                2 => input.truncate(at),
                3 => input.insert(at, random(256) as u8),
                4 if !input.is_empty() => {
                    let to = at + random(input.len() - at);
                    input.extend_from_within(at..to);
                }
                _ => {
                    let other = &corpus[random(corpus.len())];
                    let from = random(other.len());
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
        }
        whole += usize::from(check(&input));
    }
    assert!(whole > MUTATIONS / 100, "only {whole} of the mutations are aggregates");
}

/// The documentation says how many messages one may have.
#[test]
fn an_aggregate_has_so_many_messages_at_most() {
    let of = |count: usize| framed(&message(&vec![part("k", b"x"); count]));
    assert_eq!(parts(&of(MESSAGES_MAX)).unwrap().map(|parts| parts.len()), Some(MESSAGES_MAX));
    let why = parts(&of(MESSAGES_MAX + 1)).unwrap_err();
    assert!(why.contains(&format!("more than {MESSAGES_MAX} messages")), "{why}");
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/streams.md");
    let text = fs::read_to_string(docs).unwrap();
    assert!(text.contains("has more than 10,000 messages") && MESSAGES_MAX == 10_000);
}

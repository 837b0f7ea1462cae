//! What comes in, what is refused, and that one set of values has one form.

use proptest::prelude::*;

use super::*;

fn of(lg_k: i64, values: impl IntoIterator<Item = i64>) -> Sketch {
    let mut sketch = Sketch::new(lg_k).unwrap();
    values.into_iter().for_each(|value| sketch.add_integer(value));
    sketch
}

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap();
    (0..hexadecimal.len()).step_by(2).map(digits).collect()
}

fn merged<'a>(sketches: impl IntoIterator<Item = &'a Sketch>) -> Sketch {
    let mut sketches = sketches.into_iter();
    let mut union = Union::of(sketches.next().unwrap()).unwrap();
    sketches.for_each(|sketch| union.add(sketch, false).unwrap());
    union.sketch()
}

/// Spark 4.2.0: `SELECT hll_sketch_agg(CAST(id AS INT)[, lgK]) FROM range(n)`.
const SPARKS: [(i64, i64, &str); 4] = [
    (12, 0, "0201070c030400080000000000000000000000000000000000000000000000000000000000000000"),
    (12, 1, "0201070c03000108cbd7c20400000000000000000000000000000000000000000000000000000000"),
    (
        15,
        8,
        "0301070f05000009080000000000000081bc5d0600000000000000000000000000000000862ff90d00000000000000000000000000000000cbd7c20400000000000000000000000000000000c1e91705000000000000000000000000000000007581660700000000000000000000000000000000fc2d420a7b65e6082bf2fb06000000000000000000000000",
    ),
    (
        4,
        8,
        "0a0107040000000aadaaaa0400002040000000000040294000000000000000000b0000000000000000010000000103000000000202000000",
    ),
];

#[test]
fn sparks_sketches_are_read_and_ours_are_the_same_in_their_one_form() {
    for (lg_k, count, hexadecimal) in SPARKS {
        let theirs = Sketch::read(&bytes_of(hexadecimal)).unwrap();
        let ours = of(lg_k, 0..count);
        assert_eq!(theirs.estimate(), count);
        assert_eq!(theirs.estimate(), ours.estimate());
        assert_eq!(theirs.canonical(), ours.canonical());
        assert_eq!(i64::from(theirs.lg_k()), lg_k);
    }
}

#[test]
fn the_order_of_values_and_of_merging_is_not_in_the_one_form() {
    // A list, a set, a set that has grown, registers, full registers.
    for (lg_k, count) in
        [(12, 5), (12, 20), (12, 300), (12, 700), (12, 60_000), (4, 3), (4, 9), (21, 2_000)]
    {
        let forwards = of(lg_k, 0..count);
        let backwards = of(lg_k, (0..count).rev());
        let parts: Vec<Sketch> =
            (0..3).map(|part| of(lg_k, (0..count).filter(|value| value % 3 == part))).collect();
        let canonical = forwards.canonical();
        assert_eq!(backwards.canonical(), canonical, "{count} of {lg_k}");
        assert_eq!(merged(&parts).canonical(), canonical, "{count} of {lg_k}");
        assert_eq!(merged(parts.iter().rev()).canonical(), canonical, "{count} of {lg_k}");
        let again = Sketch::read(&canonical).unwrap();
        assert_eq!(again.canonical(), canonical);
        // Merged with itself, a sketch forgets the order too: what the platform's SQL asks for.
        let twice = |sketch: &Sketch| merged([sketch, sketch]).estimate();
        assert_eq!(twice(&forwards), again.estimate());
        assert_eq!(twice(&backwards), again.estimate());
        assert_eq!(twice(&merged(&parts)), again.estimate());
        let off = (again.estimate() - count).abs() as f64 / count as f64;
        let error = 1.04 / f64::from(1 << lg_k).sqrt();
        assert!(off <= 3.0 * error, "{} for {count} of {lg_k}", again.estimate());
    }
}

#[test]
fn room_for_more_is_not_in_the_one_form() {
    let set = of(12, 0..20);
    let mut roomy = set.bytes();
    // Packed, a set looks alike whatever its table has room for.
    roomy[4] = 8;
    assert_eq!(Sketch::read(&roomy).unwrap().canonical(), set.canonical());
}

#[test]
fn registers_are_counted_anew() {
    // Spark's union writes the least register (1) and how many have it where others write the zeros.
    let full = of(4, 0..2_000);
    let mut bytes = full.bytes();
    assert!(bytes[40..].iter().all(|register| *register > 0));
    let estimate = merged([&full, &full]).estimate();
    bytes[5] = 16;
    bytes[6] = 1;
    bytes[32] = 7;
    bytes[16..24].copy_from_slice(&f64::NAN.to_le_bytes());
    let read = Sketch::read(&bytes).unwrap();
    assert_eq!(read.estimate(), estimate);
    assert_eq!(read.canonical(), full.canonical());
}

#[test]
fn empty_texts_are_left_out() {
    let mut sketch = Sketch::new(12).unwrap();
    sketch.add_bytes(b"");
    assert_eq!(sketch.estimate(), 0);
    sketch.add_bytes(b"a");
    sketch.add_bytes("ä".as_bytes());
    sketch.add_bytes(b"a");
    assert_eq!(sketch.estimate(), 2);
}

#[test]
fn sizes_have_bounds_and_are_merged_only_with_their_like() {
    for lg_k in [i64::MIN, -1, 0, 3, 22, 260, i64::MAX] {
        assert_eq!(Sketch::new(lg_k).unwrap_err(), Error::LgK(lg_k));
    }
    let (small, large) = (of(10, 0..2_000), of(12, 0..2_000));
    let mut union = Union::of(&large).unwrap();
    assert_eq!(union.add(&small, false).unwrap_err(), Error::DifferentLgK(12, 10));
    union.add(&small, true).unwrap();
    assert_eq!(union.lg_k(), 10);
    assert_eq!(union.sketch().canonical(), small.canonical());
}

/// A sketch, what is done to it, and what it is told off for.
type Spoilt<'a> = (&'a [u8], Box<dyn Fn(&mut Vec<u8>)>, &'static str);

/// Every way to spoil that a guard of its own stands against.
#[test]
fn what_contradicts_itself_is_refused() {
    let list = of(12, 0..5).bytes();
    let set = of(12, 0..20).bytes();
    let registers = of(4, 0..2_000).bytes();
    let one = bytes_of(SPARKS[1].2);
    let loose = bytes_of(SPARKS[2].2);
    let spoil = |bytes: &[u8], change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        Sketch::read(&bytes).unwrap();
        change(&mut bytes);
        match Sketch::read(&bytes) {
            Err(Error::Spoiled(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let put = |at: usize, value: u8| move |bytes: &mut Vec<u8>| bytes[at] = value;
    let cut = |to: usize| move |bytes: &mut Vec<u8>| bytes.truncate(to);
    let all: Vec<Spoilt<'_>> = vec![
        (&list, Box::new(|bytes| bytes.clear()), "0 bytes, fewer than its head has"),
        (&list, Box::new(cut(7)), "7 bytes, fewer than its head has"),
        (&list, Box::new(cut(8)), "8 bytes, not 28"),
        (&list, Box::new(|bytes| bytes.push(0)), "29 bytes, not 28"),
        (&list, Box::new(put(0, 3)), "its head contradicts itself"),
        (&list, Box::new(put(1, 2)), "its head is another"),
        (&list, Box::new(put(2, 8)), "its head is another"),
        (&list, Box::new(put(3, 3)), "its lgConfigK is 3"),
        (&list, Box::new(put(3, 22)), "its lgConfigK is 22"),
        (&list, Box::new(put(4, 4)), "its head contradicts itself"),
        (&list, Box::new(put(5, 12)), "a list of 5 values"),
        (&list, Box::new(put(6, 0)), "a list of 0 values"),
        (&list, Box::new(put(6, 8)), "a list of 8 values"),
        (&list, Box::new(put(7, 0)), "its registers are not of a byte each"),
        (&list, Box::new(put(7, 11)), "its head contradicts itself"),
        (&list, Box::new(|bytes| bytes.copy_within(8..12, 12)), "a value is in it twice"),
        (&list, Box::new(|bytes| bytes[8..12].fill(0)), "an empty value is in it"),
        (&one, Box::new(put(20, 4)), "it has more values than it counts"),
        (&set, Box::new(put(3, 7)), "its head contradicts itself"),
        (&set, Box::new(put(4, 4)), "its head contradicts itself"),
        (&set, Box::new(put(4, 10)), "its head contradicts itself"),
        (&set, Box::new(put(8, 0)), "a set of 0 values in 32 slots"),
        (&set, Box::new(put(8, 25)), "a set of 25 values in 32 slots"),
        (&set, Box::new(put(8, 19)), "92 bytes, not 88"),
        (&loose, Box::new(put(8, 7)), "8 values, not 7"),
        (
            &loose,
            Box::new(|bytes| {
                let table = bytes.split_off(12);
                bytes.extend_from_slice(&table[4..]);
                bytes.extend_from_slice(&table[..4]);
            }),
            "a value is not where it is looked for",
        ),
        (&registers, Box::new(put(40, 64)), "a register above 63"),
        (&registers, Box::new(cut(55)), "55 bytes, not 56"),
        (&registers, Box::new(|bytes| bytes[8..16].fill(255)), "its estimate is NaN"),
        (&registers, Box::new(put(15, 0xC0)), "its estimate is -"),
        (&registers, Box::new(put(0, 2)), "its head contradicts itself"),
    ];
    for (bytes, change, why) in all {
        let found = spoil(bytes, &*change);
        assert!(found.starts_with(why), "{found} for {why}");
    }
}

/// Everything that callers do with a sketch.
fn exercise(bytes: &[u8]) {
    let Ok(mut sketch) = Sketch::read(bytes) else { return };
    let canonical = sketch.canonical();
    let again = Sketch::read(&canonical).unwrap();
    assert_eq!(again.canonical(), canonical);
    assert!(sketch.estimate() >= 0 && again.estimate() >= 0);
    assert_eq!(Sketch::read(&sketch.bytes()).unwrap().canonical(), canonical);
    let twice = merged([&sketch, &again]);
    assert_eq!(twice.canonical(), canonical);
    for other in [of(4, 0..100), of(12, 100..110), of(12, 0..100), of(12, 0..5_000)] {
        for (first, second) in [(&sketch, &other), (&other, &sketch)] {
            let mut union = Union::of(first).unwrap();
            union.add(second, true).unwrap();
            Sketch::read(&union.sketch().bytes()).unwrap();
        }
    }
    (0..40).for_each(|value| sketch.add_integer(value * 7919));
    Sketch::read(&sketch.bytes()).unwrap();
}

/// A sketch's bytes, or Spark's.
fn written() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (4_i64..=12, 0_i64..40).prop_map(|(lg_k, count)| of(lg_k, 0..count).bytes()),
        (4_i64..=9, 0_i64..900).prop_map(|(lg_k, count)| of(lg_k, 0..count).canonical()),
        (0..SPARKS.len()).prop_map(|at| bytes_of(SPARKS[at].2)),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        exercise(&bytes);
    }

    #[test]
    fn any_head_is_read_or_refused(
        head in (prop::sample::select(vec![2_u8, 3, 10]), 4_u8..12, 0_u8..8, any::<u8>(), 0_u8..9, 0_u8..12),
        rest in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..600),
    ) {
        let (words, lg_k, lg_slots, flags, listed, mode) = head;
        let mut bytes = vec![words, 1, 7, lg_k, lg_slots, flags, listed, mode];
        bytes.extend(rest);
        exercise(&bytes);
    }

    #[test]
    fn spoiled_sketches_are_read_or_refused(
        mut bytes in written(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len() + 1));
        }
        exercise(&bytes);
    }
}

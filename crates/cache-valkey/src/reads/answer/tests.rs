use super::*;

const WHOLE: &[u8] = b"*4\r\n$3\r\na\r\n\r\n$-1\r\n$0\r\n\r\n$2\r\nxy\r\n";

#[test]
fn an_answer_is_the_same_however_it_arrives() {
    for first in 0..WHOLE.len() {
        for second in first..WHOLE.len() {
            let mut answer = Answer::of(4);
            for part in [first, second] {
                let Ok(Progress::Partial(more)) = answer.go_on(&WHOLE[..part]) else {
                    panic!("{first} {second}");
                };
                assert!((1..=WHOLE.len() - part).contains(&more), "{first} {second}");
            }
            // What comes behind it does not matter.
            let mut received = WHOLE.to_vec();
            received.extend_from_slice(b"*1\r\n:1\r\n");
            assert_eq!(answer.go_on(&received).unwrap(), Progress::Whole);
            assert_eq!(answer.end(), WHOLE.len());
            let values: Vec<&[u8]> =
                answer.values().iter().map(|place| &received[place.clone()]).collect();
            assert_eq!(values, [b"a\r\n".as_slice(), b"", b"", b"xy"]);
        }
    }
}

#[test]
fn errors_and_nonsense_are_told_apart() {
    let read = |bytes: &[u8]| Answer::of(1).go_on(bytes).unwrap_err();
    let loading = read(b"-LOADING Valkey is loading the dataset in memory\r\n");
    assert!(matches!(loading, CacheError::Refused { is_full: false, .. }), "{loading:?}");
    for odd in [
        b"+OK\r\n".as_slice(),
        b"*-1\r\n",
        b"*0\r\n",
        b"*x\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$-2\r\n",
        b"*1\r\n$99999999999\r\n",
        b"\r\n",
    ] {
        assert!(matches!(read(odd), CacheError::Unknown(_)), "{odd:?}");
    }
}

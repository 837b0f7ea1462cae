//! Parents as the standard writes them, and as it does not.

use super::{call, parse_parent, request, traceparent};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[test]
fn a_parent_is_read_as_the_standard_writes_it() {
    let sampled = |text: &str| parse_parent(text).map(|parent| parent.flags.is_sampled());
    assert_eq!(sampled(&format!("00-{TRACE}-{SPAN}-01")), Some(true));
    assert_eq!(sampled(&format!("00-{TRACE}-{SPAN}-00")), Some(false));
    // Flags of a later version beside it.
    assert_eq!(sampled(&format!("00-{TRACE}-{SPAN}-03")), Some(true));
    assert_eq!(sampled(&format!("01-{TRACE}-{SPAN}-01-more")), Some(true));
    let parent = parse_parent(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
    assert_eq!((parent.trace.to_string(), parent.span.to_string()), (TRACE.into(), SPAN.into()));
}

#[test]
fn what_is_not_well_formed_is_no_parent() {
    for text in [
        String::new(),
        "00".to_owned(),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("01-{TRACE}-{SPAN}-01more"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00_{TRACE}_{SPAN}_01"),
        format!("00-{TRACE}-{SPAN}-+1"),
        format!("00-{}é-{SPAN}-01", &TRACE[2..]),
    ] {
        assert!(parse_parent(&text).is_none(), "{text}");
    }
}

/// Nobody has turned traces on in this process.
#[test]
fn without_traces_nobody_is_asked_anything() {
    assert!(request(|_| unreachable!()).is_none());
    let mut span = call(|| unreachable!());
    span.failed(|| unreachable!());
    assert!(traceparent().is_none());
}

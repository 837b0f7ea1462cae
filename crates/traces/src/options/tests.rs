//! The section, the variables, and which of them counts.

use super::{Options, Protocol, Target};
use crate::Error;

const ENDPOINT: &str = "http://collector:4317";

fn target(options: &Options, variables: &[(&str, &str)]) -> Result<Option<Target>, Error> {
    options.target(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn of_environment(variables: &[(&str, &str)]) -> Target {
    target(&Options::default(), variables).unwrap().unwrap()
}

fn here() -> Options {
    Options { otlp_endpoint: Some(ENDPOINT.to_owned()), ..Options::default() }
}

#[test]
fn traces_are_off_until_a_collector_is_named() {
    assert!(target(&Options::default(), &[]).unwrap().is_none());
    let named = ("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT);
    assert_eq!(of_environment(&[named]).endpoint, ENDPOINT);
    assert_eq!(target(&here(), &[]).unwrap().unwrap().sample_ratio, 0.01);
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert!(target(&here(), &[off]).unwrap().is_none());
    }
}

#[test]
fn the_section_stands_above_the_environment() {
    let others = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_SERVICE_NAME", "other"),
    ];
    let of_variables = of_environment(&others);
    // One for this signal alone is taken as it is.
    assert_eq!(of_variables.endpoint, "http://other:1");
    assert_eq!((of_variables.protocol, of_variables.sample_ratio), (Protocol::Http, 1.0));
    assert_eq!(of_variables.service_name.as_deref(), Some("other"));
    let options = Options {
        protocol: Some(Protocol::Grpc),
        sample_ratio: Some(0.5),
        service_name: Some("mine".to_owned()),
        ..here()
    };
    let mine = target(&options, &others).unwrap().unwrap();
    assert_eq!((mine.endpoint.as_str(), mine.protocol), (ENDPOINT, Protocol::Grpc));
    assert_eq!((mine.sample_ratio, mine.service_name.as_deref()), (0.5, Some("mine")));
}

#[test]
fn traces_have_a_path_of_their_own_over_http() {
    let spoken = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
    assert_eq!(of_environment(&[spoken, named]).endpoint, "http://collector:4318/v1/traces");
    let mine = target(&here(), &[spoken]).unwrap().unwrap();
    assert_eq!(mine.endpoint, format!("{ENDPOINT}/v1/traces"));
}

#[test]
fn samplers_that_users_know() {
    let ratio = |sampler: &str, argument: &str| {
        let variables = [("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        target(&here(), &variables).map(|target| target.unwrap().sample_ratio)
    };
    assert_eq!(ratio("parentbased_always_on", "").unwrap(), 1.0);
    assert_eq!(ratio("always_off", "").unwrap(), 0.0);
    assert_eq!(ratio("parentbased_traceidratio", "0.25").unwrap(), 0.25);
    assert_eq!(ratio("traceidratio", "2").unwrap_err().field, "OTEL_TRACES_SAMPLER_ARG");
    assert_eq!(ratio("traceidratio", "half").unwrap_err().field, "OTEL_TRACES_SAMPLER_ARG");
    assert_eq!(ratio("jaeger_remote", "").unwrap_err().field, "OTEL_TRACES_SAMPLER");
}

#[test]
fn mistakes_name_their_field() {
    let field = |options: Options| target(&options, &[]).unwrap_err().field;
    let wrong = |endpoint: &str| Options { otlp_endpoint: Some(endpoint.to_owned()), ..here() };
    for endpoint in ["collector:4317", "https://collector:4317", "http://"] {
        assert_eq!(field(wrong(endpoint)), "otlp_endpoint", "{endpoint}");
    }
    assert_eq!(field(Options { sample_ratio: Some(1.5), ..here() }), "sample_ratio");
    assert_eq!(field(Options { sample_ratio: Some(f64::NAN), ..here() }), "sample_ratio");
    assert_eq!(field(Options { queue_spans_max: 0, ..here() }), "queue_spans_max");
    assert_eq!(field(Options { export_ms_max: 0, ..here() }), "export_ms_max");
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
        let error = target(&Options::default(), &[(name, "collector:4317")]).unwrap_err();
        assert_eq!(error.field, name, "{error}");
    }
    let absent = Options { headers_file: Some("/nosuch/headers".into()), ..here() };
    assert_eq!(field(absent), "headers_file");
}

#[test]
fn headers_come_from_a_file_and_are_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let options = Options { headers_file: Some(file.clone()), ..here() };
    std::fs::write(&file, "# a collector's key\nX-Key: sesame:1\n\nother: 2\n").unwrap();
    let found = target(&options, &[]).unwrap().unwrap();
    let wanted = [("x-key", "sesame:1"), ("other", "2")];
    assert_eq!(found.headers, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(!format!("{found:?}").contains("sesame"));
    std::fs::write(&file, "\nsesame\n").unwrap();
    let error = target(&options, &[]).unwrap_err();
    assert!(error.why.contains("line 2") && !error.why.contains("sesame"), "{error}");
    std::fs::write(&file, "not a name: sesame\n").unwrap();
    let refused = crate::exporter(&target(&options, &[]).unwrap().unwrap()).unwrap_err();
    assert!(refused.field == "headers_file" && !refused.why.contains("sesame"), "{refused}");
}

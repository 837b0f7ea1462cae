//! What every registry must do: adapters run this suite against an empty registry of theirs.
//!
//! It panics with what was expected, like a test.
#![allow(clippy::expect_used)] // A suite that tests call.

pub mod orders;
pub mod partitions;

use std::sync::Arc;

use trivium_model::{
    FeatureService, FeatureView, ServiceRef, Timestamp, ViewRef,
    config::{parse_service, parse_view},
};

use crate::{
    Apply, AuditAction, AuditFilter, Error, Registry, Revision, SnapshotWatch, WatchOptions,
};

/// Runs every case, each against an empty registry.
pub async fn run_all<F, Fresh>(mut fresh: F)
where
    F: FnMut() -> Fresh,
    Fresh: Future<Output = Arc<dyn Registry>>,
{
    starts_empty(&*fresh().await).await;
    keeps_texts_byte_for_byte(&*fresh().await).await;
    answers_for_every_revision(&*fresh().await).await;
    remembers_layouts(&*fresh().await).await;
    refuses_stale_plans(&*fresh().await).await;
    refuses_what_can_never_work(&*fresh().await).await;
    filters_the_audit_log(&*fresh().await).await;
    lets_one_of_many_win(fresh().await).await;
    is_followed(fresh().await).await;
}

/// A direct view `flights/<name>@<version>` with these features, as (name, type, default).
pub fn view(
    name: &str,
    version: u32,
    features: &[(&str, &str, Option<&str>)],
) -> (FeatureView, String, Option<String>) {
    let features: Vec<String> = features
        .iter()
        .map(|(name, data_type, default)| {
            let default = default.map(|json| format!(", \"default\": {json}")).unwrap_or_default();
            format!(
                "    {{ \"name\": \"{name}\", \"type\": {data_type}, \"description\": \"Ä – 特徴.\"{default} }}"
            )
        })
        .collect();
    let text = format!(
        r#"{{
  "namespace": "flights", "name": "{name}", "version": {version}, "lane": "direct",
  "description": "A view.",
  "owner": {{ "team": "ops", "contact": "ops@example.com" }},
  "urgency_tier": 2,
  "entities": [ {{ "name": "carrier", "type": "string" }} ],
  "event_timestamp": "event_ts",
  "features": [
{}
  ],
  "online": true
}}
"#,
        features.join(",\n")
    );
    let view = parse_view(&format!("flights/{name}.v{version}.json"), &text)
        .expect("the suite's views are right");
    (view, text, None)
}

/// A service `flights/<name>@1` that reads these features.
pub fn service(name: &str, features: &[&str]) -> (FeatureService, String) {
    let features: Vec<String> = features.iter().map(|feature| format!("\"{feature}\"")).collect();
    let text = format!(
        r#"{{ "namespace": "flights", "name": "{name}", "version": 1, "description": "A model.",
  "owner": {{ "team": "ops", "contact": "ops@example.com" }},
  "features": [ {} ] }}"#,
        features.join(", ")
    );
    let service = parse_service(&format!("flights/{name}.v1.service.json"), &text)
        .expect("the suite's services are right");
    (service, text)
}

/// An apply of these views, with one audit line a view.
pub fn change(base: u64, views: Vec<(FeatureView, String, Option<String>)>) -> Apply {
    let audit = views
        .iter()
        .map(|(view, ..)| AuditAction {
            action: "create".to_owned(),
            subject: view.reference().to_string(),
            detail: "new version".to_owned(),
        })
        .collect();
    Apply {
        base: Revision(base),
        author: "Zoë <zoe@example.com>".to_owned(),
        reason: "because: 'quotes', \"quotes\"; -- ünïcode\nand two lines".to_owned(),
        at: Timestamp(1_388_534_400_000_001),
        views,
        services: Vec::new(),
        audit,
    }
}

fn view_ref(text: &str) -> ViewRef {
    text.parse().expect("a view reference")
}

async fn starts_empty(registry: &dyn Registry) {
    assert_eq!(registry.head().await.expect("head"), Revision(0));
    let snapshot = registry.snapshot(None).await.expect("snapshot");
    assert_eq!(snapshot, crate::Snapshot::default());
    let missing = registry.view_history(&view_ref("flights/a@1")).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let service: ServiceRef = "flights/a@1".parse().expect("a service reference");
    let missing = registry.service_history(&service).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let filter = AuditFilter { limit: 10, ..AuditFilter::default() };
    assert_eq!(registry.audit(&filter).await.expect("audit"), []);
}

async fn keeps_texts_byte_for_byte(registry: &dyn Registry) {
    let (definition, mut text, _) = view(
        "all",
        1,
        &[
            ("nan", "\"float64\"", Some("\"NaN\"")),
            ("minus_infinity", "\"float32\"", Some("\"-Infinity\"")),
            ("minus_zero", "\"float64\"", Some("-0.0")),
            ("large", "\"int64\"", Some("\"-9223372036854775808\"")),
            (
                "exact",
                r#"{"decimal": {"precision": 38, "scale": 2}}"#,
                Some("\"-999999999999999999999999999999999999.99\""),
            ),
            ("raw", "\"bytes\"", Some("\"AP8=\"")),
            ("words", r#"{"list": "string"}"#, Some(r#"["", null, "\u0000\ud83d\ude00"]"#)),
        ],
    );
    text.push_str("\r\n\t \n");
    let sql = "SELECT 'a\u{0}b', 'é😀' -- no newline at the end".to_owned();
    let mut apply = change(0, vec![(definition.clone(), text.clone(), Some(sql.clone()))]);
    let (reader, reader_text) = service("model", &["all@1:nan"]);
    apply.services.push((reader.clone(), reader_text.clone()));
    assert_eq!(registry.apply(apply.clone()).await.expect("apply"), Revision(1));

    let stored = registry.view_history(&definition.reference()).await.expect("history");
    let [stored] = stored.as_slice() else {
        assert_eq!(stored.len(), 1);
        return;
    };
    assert_eq!(stored.config_text, text);
    assert_eq!(stored.sql_text.as_ref(), Some(&sql));
    // NaN is not equal to itself; its debug form is.
    assert_eq!(format!("{:?}", stored.view), format!("{definition:?}"));
    assert_eq!(
        (stored.revision, &stored.author, stored.at, &stored.reason),
        (Revision(1), &apply.author, apply.at, &apply.reason)
    );
    let stored = registry.service_history(&reader.reference()).await.expect("history");
    assert_eq!(stored.len(), 1);
    assert_eq!((&stored[0].service, &stored[0].config_text), (&reader, &reader_text));
    let snapshot = registry.snapshot(None).await.expect("snapshot");
    assert_eq!(snapshot.readers(&definition.reference()).count(), 1);
}

async fn answers_for_every_revision(registry: &dyn Registry) {
    let forms: Vec<_> = (0..4)
        .map(|count| {
            let mut features = vec![("a", "\"int64\"", None)];
            features
                .extend(["b", "c", "d"].iter().take(count).map(|name| (*name, "\"int64\"", None)));
            view("grows", 1, &features)
        })
        .collect();
    for (base, form) in (0..).zip(&forms) {
        let mut views = vec![form.clone()];
        if base == 2 {
            views.push(view("other", 3, &[("x", "\"bool\"", None)]));
        }
        let revision = registry.apply(change(base, views)).await.expect("apply");
        assert_eq!(revision, Revision(base + 1));
    }
    let grows = view_ref("flights/grows@1");
    for at in 0..=4u64 {
        let snapshot = registry.snapshot(Some(Revision(at))).await.expect("snapshot");
        assert_eq!(snapshot.revision, Revision(at));
        let features = snapshot.view(&grows).map_or(0, |stored| stored.view.features.len());
        assert_eq!(features as u64, at, "features at revision {at}");
        assert_eq!(snapshot.view(&view_ref("flights/other@3")).is_some(), at >= 3);
        assert_eq!(snapshot.layouts.get(&grows).map_or(0, Vec::len) as u64, at);
    }
    assert_eq!(
        registry.snapshot(None).await.expect("head"),
        registry.snapshot(Some(Revision(4))).await.expect("4")
    );
    let later = registry.snapshot(Some(Revision(5))).await;
    assert!(matches!(later, Err(Error::NotFound(_))), "{later:?}");
    let history = registry.view_history(&grows).await.expect("history");
    let revisions: Vec<u64> = history.iter().map(|stored| stored.revision.0).collect();
    assert_eq!(revisions, [1, 2, 3, 4]);
    for (stored, (_, text, _)) in history.iter().zip(&forms) {
        assert_eq!(stored.config_text, *text);
    }
}

async fn remembers_layouts(registry: &dyn Registry) {
    let narrow = || view("row", 1, &[("a", "\"int32\"", None)]);
    let wide = || view("row", 1, &[("a", "\"int64\"", None)]);
    let worded = || view("row", 1, &[("a", "\"int64\"", Some("5"))]);
    for (base, form) in [narrow(), wide(), worded(), narrow()].into_iter().enumerate() {
        registry.apply(change(base as u64, vec![form])).await.expect("apply");
    }
    let reference = view_ref("flights/row@1");
    let layouts = async |at| {
        let snapshot = registry.snapshot(Some(Revision(at))).await.expect("snapshot");
        let layouts = snapshot.layouts.get(&reference).cloned().unwrap_or_default();
        layouts.iter().map(|row| row[0].data_type.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(layouts(1).await, ["int32"]);
    assert_eq!(layouts(2).await, ["int32", "int64"]);
    // Another default makes no other row.
    assert_eq!(layouts(3).await, ["int32", "int64"]);
    assert_eq!(layouts(4).await, ["int64", "int32"], "the current one is last");
}

async fn refuses_stale_plans(registry: &dyn Registry) {
    let first = change(0, vec![view("a", 1, &[("x", "\"int64\"", None)])]);
    registry.apply(first.clone()).await.expect("apply");
    let before = registry.snapshot(None).await.expect("snapshot");
    for base in [0, 2, u64::MAX - 1, u64::MAX >> 1] {
        let mut stale = change(base, vec![view("b", 1, &[("x", "\"int64\"", None)])]);
        stale.base = Revision(base);
        match registry.apply(stale).await {
            Err(Error::Conflict { planned, current }) => {
                assert_eq!((planned, current), (Revision(base), Revision(1)));
            }
            // A revision that cannot be stored may be called invalid.
            Err(Error::Invalid(_)) if base > 2 => {}
            other => assert!(matches!(other, Err(Error::Conflict { .. })), "{base}: {other:?}"),
        }
    }
    assert_eq!(registry.snapshot(None).await.expect("snapshot"), before);
    let all = AuditFilter { limit: 10, ..AuditFilter::default() };
    assert_eq!(registry.audit(&all).await.expect("audit").len(), 1);
}

async fn refuses_what_can_never_work(registry: &dyn Registry) {
    let good = || change(0, vec![view("a", 1, &[("x", "\"int64\"", None)])]);
    let nothing = Apply { views: Vec::new(), ..good() };
    let twice = Apply { views: [good().views, good().views].concat(), ..good() };
    let nobody = Apply { author: " \t".to_owned(), ..good() };
    let long_author = Apply { author: "a".repeat(crate::port::AUTHOR_BYTES_MAX + 1), ..good() };
    let control = Apply { author: "a\nb".to_owned(), ..good() };
    let long_reason = Apply { reason: "a".repeat(crate::port::REASON_BYTES_MAX + 1), ..good() };
    for bad in [nothing, twice, nobody, long_author, control, long_reason] {
        let refused = registry.apply(bad).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    assert_eq!(registry.head().await.expect("head"), Revision(0));
    let longest = Apply {
        author: "a".repeat(crate::port::AUTHOR_BYTES_MAX),
        reason: "é".repeat(crate::port::REASON_BYTES_MAX / 2),
        ..good()
    };
    registry.apply(longest).await.expect("the limits themselves are fine");
}

async fn filters_the_audit_log(registry: &dyn Registry) {
    for base in 0..5u64 {
        let name = if base % 2 == 0 { "even" } else { "odd" };
        let mut apply = change(
            base,
            vec![
                view(name, 1, &[("x", "\"int64\"", Some(&base.to_string()))]),
                view("both", 1, &[("x", "\"int64\"", Some(&base.to_string()))]),
            ],
        );
        apply.reason = format!("step {base}");
        registry.apply(apply).await.expect("apply");
    }
    let lines = async |subject: Option<&str>, since: u64, limit: u32| {
        let filter =
            AuditFilter { subject: subject.map(str::to_owned), since: Revision(since), limit };
        let entries = registry.audit(&filter).await.expect("audit");
        entries
            .iter()
            .map(|entry| format!("{}.{} {}", entry.revision.0, entry.ordinal, entry.action.subject))
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(None, 0, 100).await.len(), 10);
    assert_eq!(
        lines(None, 0, 3).await,
        ["1.0 flights/even@1", "1.1 flights/both@1", "2.0 flights/odd@1"]
    );
    assert_eq!(
        lines(Some("flights/even@1"), 0, 100).await,
        ["1.0 flights/even@1", "3.0 flights/even@1", "5.0 flights/even@1"]
    );
    assert_eq!(lines(Some("flights/even@1"), 4, 100).await, ["5.0 flights/even@1"]);
    assert_eq!(lines(Some("flights/even@1"), 0, 0).await, Vec::<String>::new());
    assert_eq!(lines(Some("flights/eve_@1"), 0, 100).await, Vec::<String>::new());
    assert_eq!(lines(Some("' OR ''='"), 0, 100).await, Vec::<String>::new());
    assert_eq!(lines(None, 6, 100).await, Vec::<String>::new());
    assert_eq!(lines(None, u64::MAX, 100).await, Vec::<String>::new());
    let filter = AuditFilter { since: Revision(3), limit: 1, ..AuditFilter::default() };
    let entry = registry.audit(&filter).await.expect("audit").remove(0);
    assert_eq!((entry.reason.as_str(), entry.action.action.as_str()), ("step 2", "create"));
}

async fn lets_one_of_many_win(registry: Arc<dyn Registry>) {
    const WRITERS: u64 = 8;
    const ROUNDS: u64 = 5;
    for round in 0..ROUNDS {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let registry = Arc::clone(&registry);
                tokio::spawn(async move {
                    let views = ["a", "b", "c"].map(|name| {
                        let mark = (round * WRITERS + writer).to_string();
                        view(name, 1, &[("x", "\"int64\"", Some(&mark))])
                    });
                    registry.apply(change(round, views.to_vec())).await
                })
            })
            .collect();
        let mut won = 0;
        for writer in writers {
            match writer.await.expect("no panic") {
                Ok(revision) => {
                    assert_eq!(revision, Revision(round + 1));
                    won += 1;
                }
                Err(Error::Conflict { planned, current }) => {
                    assert_eq!((planned, current), (Revision(round), Revision(round + 1)));
                }
                Err(other) => assert!(matches!(other, Error::Conflict { .. }), "{other}"),
            }
        }
        assert_eq!(won, 1, "exactly one apply wins against revision {round}");
        // All three views come from one writer.
        let snapshot = registry.snapshot(None).await.expect("snapshot");
        let marks: Vec<_> =
            snapshot.views.values().map(|stored| stored.view.features[0].default.clone()).collect();
        assert_eq!(marks.len(), 3);
        assert!(marks.iter().all(|mark| *mark == marks[0]), "{marks:?}");
    }
    assert_eq!(registry.head().await.expect("head"), Revision(ROUNDS));
}

async fn is_followed(registry: Arc<dyn Registry>) {
    let watch = SnapshotWatch::new(Arc::clone(&registry), WatchOptions::default())
        .await
        .expect("the first snapshot");
    let mut subscriber = watch.subscribe();
    assert_eq!(watch.current().revision, Revision(0));
    watch.refresh().await.expect("refresh");
    assert!(!subscriber.has_changed().expect("open"), "nothing new, nobody is told");
    registry
        .apply(change(0, vec![view("a", 1, &[("x", "\"int64\"", None)])]))
        .await
        .expect("apply");
    watch.refresh().await.expect("refresh");
    assert!(subscriber.has_changed().expect("open"));
    assert_eq!(subscriber.borrow_and_update().views.len(), 1);
    assert_eq!(watch.problem(), None);
}

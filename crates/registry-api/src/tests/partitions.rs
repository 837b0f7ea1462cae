use trivium_model::Timestamp;
use trivium_registry::conformance::{change, partitions::record, view};

use super::*;
use crate::partitions::{PartitionShape, PartitionsAnswer};

async fn kept() -> RegistryApi {
    let registry = Arc::new(MemoryRegistry::new());
    let daily = view("daily", 1, &[("delay", "\"float64\"", None)]);
    registry.apply(change(0, vec![daily])).await.unwrap();
    api(Arc::clone(&registry) as Arc<dyn Registry>).with_partitions(registry)
}

fn body(days: impl IntoIterator<Item = i64>) -> Json {
    let partitions: Vec<PartitionShape> =
        days.into_iter().map(|day| record(day, 1).into()).collect();
    json!({ "partitions": partitions, "author": "Ann" })
}

#[tokio::test]
async fn partitions_are_recorded_and_listed() {
    let api = kept().await;
    let router = router(&api);
    let recorded = (StatusCode::OK, json!({ "outcomes": ["RECORDED", "RECORDED", "RECORDED"] }));
    assert_eq!(post(&router, "/v1/partitions", &body([0, 2, 1])).await, recorded);
    let again = (StatusCode::OK, json!({ "outcomes": ["UNCHANGED"] }));
    assert_eq!(post(&router, "/v1/partitions", &body([0])).await, again);

    let path = "/v1/partitions?view=flights/daily@1&limit=2";
    let (status, page) = get(&router, path).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let page: PartitionsAnswer = serde_json::from_value(page).unwrap();
    let next = page.next.clone().unwrap();
    let (_, rest) = get(&router, &format!("{path}&after={next}")).await;
    let rest: PartitionsAnswer = serde_json::from_value(rest).unwrap();
    assert_eq!(rest.next, None);
    let found: Vec<PartitionShape> = page.partitions.into_iter().chain(rest.partitions).collect();
    assert_eq!(found.len(), 3);
    for (one, day) in found.into_iter().zip([2, 1, 0]) {
        assert_eq!((one.author.as_str(), one.at_micros), ("Ann", NOW.0));
        assert_eq!(one.into_record("").unwrap(), record(day, 1));
    }
    let range = "/v1/partitions?view=flights/daily@1&from=1970-01-02&to=1970-01-03T00:00:00Z";
    let (_, range) = get(&router, range).await;
    assert_eq!(range["partitions"].as_array().unwrap().len(), 1, "{range}");
    assert_eq!(range["partitions"][0]["start_micros"], 86_400_000_000i64);
}

#[tokio::test]
async fn grpc_records_and_lists_the_same() {
    let api = kept().await;
    let router = router(&api);
    post(&router, "/v1/partitions", &body([0, 1, 2])).await;
    let list = wire::ListPartitionsRequest {
        view: "flights/daily@1".to_owned(),
        limit: 2,
        ..Default::default()
    };
    let page = api.list_partitions(tonic::Request::new(list.clone())).await.unwrap().into_inner();
    assert_eq!(page.partitions.len(), 2);
    let next = wire::ListPartitionsRequest { after: page.next, ..list };
    let rest = api.list_partitions(tonic::Request::new(next)).await.unwrap().into_inner();
    assert_eq!((rest.partitions.len(), rest.next.as_str()), (1, ""));

    // What was listed can be recorded elsewhere, and is the same there.
    let other = kept().await;
    let request =
        wire::RecordPartitionsRequest { partitions: rest.partitions, author: "Bert".to_owned() };
    let answer = other.record_partitions(tonic::Request::new(request)).await.unwrap();
    assert_eq!(answer.into_inner().outcomes, [1]);
    let filter = trivium_registry::PartitionFilter {
        view: "flights/daily@1".parse().unwrap(),
        from: Some(Timestamp(0)),
        to: None,
        after: None,
        all_revisions: false,
        limit: 10,
    };
    let (found, _) = other.list_partitions_of(filter).await.unwrap();
    assert_eq!(found[0].partition, record(0, 1));
    assert_eq!(found[0].author, "Bert");
}

/// Records of the greatest length: clients of gRPC take messages of 4 MiB.
#[tokio::test]
async fn pages_are_no_longer_than_clients_take() {
    let api = kept().await;
    let long = |day| {
        let tables =
            (0..9_000).map(|n| format!("a_table_with_a_name_of_some_length_{day}_{n:060}"));
        let mut long = record(day, 1);
        long.tables = tables.collect();
        assert!(long.to_text().unwrap().len() > 800 << 10);
        long
    };
    let days: Vec<i64> = (0..7).collect();
    for day in &days {
        api.record(&[long(*day)], "Ann").await.unwrap();
    }
    let mut list = wire::ListPartitionsRequest {
        view: "flights/daily@1".to_owned(),
        limit: 100,
        ..Default::default()
    };
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = api.list_partitions(tonic::Request::new(list.clone())).await.unwrap();
        let page = page.into_inner();
        let bytes = prost::Message::encoded_len(&page);
        assert!(!page.partitions.is_empty() && bytes < 4 << 20, "{bytes}");
        pages += 1;
        found.extend(page.partitions.into_iter().map(|one| one.start_micros / 86_400_000_000));
        if page.next.is_empty() {
            break;
        }
        list.after = page.next;
    }
    found.reverse();
    assert_eq!((found, pages), (days, 4), "two of them to a page, and none left out");
}

#[tokio::test]
async fn wrong_requests_say_what_is_wrong() {
    let api = kept().await;
    let router = router(&api);
    let mut unknown = body([0]);
    unknown["partitions"][0]["view"] = "flights/daily@9".into();
    let mut misnamed = body([0]);
    misnamed["partitions"][0]["view"] = "daily".into();
    let mut hash = body([0]);
    hash["partitions"][0]["content_hash"] = "0".into();
    let mut extra = body([0]);
    extra["partitions"][0]["colour"] = 1.into();
    let mut nobody = body([0]);
    nobody["author"] = "".into();
    for (wrong, status, field) in [
        (unknown, 404, ""),
        (misnamed, 400, "partitions[0].view"),
        (hash, 400, ""),
        (extra, 400, "partitions[0].colour"),
        (nobody, 400, ""),
        (body(0..101), 400, ""),
    ] {
        let (found, answer) = post(&router, "/v1/partitions", &wrong).await;
        assert_eq!(found.as_u16(), status, "{answer}");
        assert_eq!(answer["field"], field, "{answer}");
    }
    for (query, status, field) in [
        ("", 400, "view"),
        ("?view=flights/daily@9", 404, ""),
        ("?view=flights/daily@1&limit=101", 400, "limit"),
        ("?view=flights/daily@1&limit=0", 400, "limit"),
        ("?view=flights/daily@1&after=x", 400, "after"),
        ("?view=flights/daily@1&after=1.02", 400, "after"),
        ("?view=flights/daily@1&from=yesterday", 400, "from"),
        ("?view=flights/daily@1&all_revisions=1", 400, "all_revisions"),
        ("?view=flights/daily@1&page=1", 400, "page"),
    ] {
        let (found, answer) = get(&router, &format!("/v1/partitions{query}")).await;
        assert_eq!(
            (found.as_u16(), answer["field"].as_str().unwrap()),
            (status, field),
            "{answer}"
        );
    }
    assert_eq!(
        get(&router, "/v1/partitions?view=flights/daily@1").await.1["partitions"],
        json!([])
    );
    let keeper = super::router(&super::api(Arc::new(MemoryRegistry::new())));
    assert_eq!(post(&keeper, "/v1/partitions", &body([0])).await.0, StatusCode::NOT_IMPLEMENTED);
}

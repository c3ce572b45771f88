//! Tables that a configuration declares: events of a shop, a bank, a player land exactly once, too.

use ingest::config::TopicRule;
use lake::{Catalog, DeclaredTables};
use serde_json::json;

use super::kit::{Lakeside, Row, Source, fields};

fn declared() -> Catalog {
    let tables: DeclaredTables = serde_json::from_value(json!({"orders": {
        "about": "An item of an order a row.",
        "sort": ["customer"],
        "columns": {
            "order_id": {"type": "bigint", "required": true},
            "customer": {"type": "string", "required": true},
            "sku": "string",
            "price": "double",
            "pieces": "int",
            "gift": "boolean",
            "due": "date",
            "paid_at": "timestamp",
            "options": "json",
            "shop": "string",
            "arrived": "timestamp",
            "version": "int",
        },
    }}))
    .unwrap();
    Catalog::declared(&tables).unwrap()
}

async fn landed(messages: &[(&str, &str)]) -> Lakeside {
    let lakeside = Lakeside::of(&declared()).await;
    let mut rule = TopicRule::new("shop/+/orders", "json");
    (rule.site, rule.device) = (Some("{1}".into()), Some("/customer/id".into()));
    let settings = json!({
        "table": "orders",
        "rows": "/items",
        "time": "/ordered_at",
        "columns": {
            "order_id": "/id", "customer": "/customer/id", "shop": "{1}", "arrived": "{received}", "version": "3",
            "pieces": "/n",
        },
    });
    rule.settings = settings.as_object().unwrap().clone();
    let mut ingest = lakeside.ingest(|config| config.topics.push(rule)).await;
    let mut source = Source::new("gw");
    ingest.send(source.frame(messages)).await;
    ingest.landed(&source).await;
    ingest.stop().await;
    lakeside
}

fn shown(rows: &[Row]) -> Vec<[&str; 12]> {
    let names = [
        "order_id", "customer", "sku", "price", "pieces", "gift", "due", "paid_at", "shop",
        "version", "event_ts", "flags",
    ];
    rows.iter().map(|row| fields(row, names)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_items_is_a_row_an_item() {
    let order = r#"{"id":7,"customer":{"id":"c1","vip":true},"ordered_at":"2026-07-31T12:00:00+02:00","due":"2026-08-03",
        "items":[{"sku":"a","price":1.50,"n":2,"gift":true,"options":{"color":"red"},"note":"left hand"},
                 {"sku":"b","price":"2.5","n":"3","paid_at":1785500000000,"gift":"no","options":[1]}],"coupon":"X"}"#;
    let lakeside = landed(&[("shop/vienna/orders", order)]).await;
    let rows = lakeside.rows("orders").await;
    let event = "2026-07-31T10:00:00Z";
    assert_eq!(
        shown(&rows),
        [
            ["7", "c1", "a", "1.5", "2", "true", "2026-08-03", "-", "vienna", "3", event, "-"],
            [
                "7",
                "c1",
                "b",
                "2.5",
                "3",
                "-",
                "2026-08-03",
                "2026-07-31T12:13:20Z",
                "vienna",
                "3",
                event,
                "not_converted"
            ],
        ]
    );
    assert_eq!(
        fields(&rows[0], ["options", "site", "device_id", "arrived"]),
        [r#"{"color":"red"}"#, "vienna", "c1", "2026-08-01T00:00:00Z"]
    );
    // Whatever has no column is kept: of an item in its row, of the message in the first.
    let kept: serde_json::Value = serde_json::from_str(&rows[0]["extra"]).unwrap();
    assert_eq!(kept["note"], "left hand");
    assert_eq!((&kept["coupon"], &kept["customer"]["vip"]), (&json!("X"), &json!(true)));
    assert_eq!(rows[1]["extra"], r#"{"gift":"no"}"#);
    assert!(lakeside.rows("dead_letters").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv4_what_must_be_there_and_is_not_is_a_dead_letter_that_names_the_pointer() {
    let lakeside = landed(&[
        ("shop/vienna/orders", r#"{"customer":{"id":"c1"},"items":[{"sku":"a"}]}"#),
        ("shop/vienna/orders", r#"{"id":"many","customer":{"id":"c1"},"items":[{"sku":"a"}]}"#),
        ("shop/vienna/orders", r#"{"id":1,"customer":{"id":"c1"},"items":{}}"#),
        ("shop/vienna/orders", r#"{"id":1,"items":[{"sku":"a"}]}"#),
        ("shop/vienna/orders", r#"{"id":1"#),
        ("shop/vienna/orders", r#"{"id":2,"customer":{"id":"c2"},"items":[{"sku":"b"},7]}"#),
    ])
    .await;
    let dead = lakeside.rows("dead_letters").await;
    let codes: Vec<_> = dead.iter().map(|row| row["reason_code"].as_str()).collect();
    let expected =
        ["value_missing", "value_missing", "value_missing", "device_missing", "json_truncated"];
    assert_eq!(codes, expected);
    for (row, says) in dead.iter().zip(["`/id`", "`/id`", "`/items`", "device"]) {
        assert!(row["reason"].contains(says), "{}", row["reason"]);
    }
    // An element that is no object has the members around it.
    assert_eq!(lakeside.rows("orders").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_time_that_cannot_be_is_kept_as_it_came() {
    let order = r#"{"id":1,"customer":{"id":"c"},"ordered_at":"1970-01-02T00:00:00Z","items":[{"sku":"a"}]}"#;
    let lakeside = landed(&[("shop/vienna/orders", order)]).await;
    let rows = lakeside.rows("orders").await;
    assert_eq!(fields(&rows[0], ["event_ts", "flags"]), ["2026-08-01T00:00:00Z", "time_absurd"]);
    assert!(
        rows[0]["extra"].contains(r#""ordered_at":"1970-01-02T00:00:00Z""#),
        "{}",
        rows[0]["extra"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_what_a_message_says_once_of_many_rows_is_looked_up_once_and_has_a_limit() {
    // Without a member of its own each element takes what the message says: by a search for each of them this would take hours.
    let items = vec!["{}"; 90_000].join(",");
    let many = format!(r#"{{"customer":{{"id":"c"}},"id":1,"items":[{items}]}}"#);
    let long = "x".repeat(100_000);
    let wide = format!(r#"{{"customer":{{"id":"c"}},"id":1,"sku":"{long}","items":[{items}]}}"#);
    let lakeside = landed(&[("shop/vienna/orders", &many), ("shop/vienna/orders", &wide)]).await;
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(fields(&dead[0], ["reason_code", "source_offset"]), ["too_many_values", "1"]);
    let rows = lakeside.rows("orders").await;
    let first = rows.iter().filter(|row| row["source_offset"] == "0").count();
    assert_eq!(first, 90_000);
    assert!(rows.len() - first < 100, "{}", rows.len() - first);
}

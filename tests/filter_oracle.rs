//! SQL92 as RocketMQ's own filter answers it: every row of the table it made (see `filter_oracle/README.md`).

use castmq::filter::sql::Selector;
use castmq::protocol::properties::{NAME_END, VALUE_END};

const TABLE: &str = include_str!("data/sql92.tsv");

fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let unescaped = std::iter::from_fn(|| match chars.next()? {
        '\\' => Some(match chars.next()? {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0C',
            other => other,
        }),
        other => Some(other),
    });
    unescaped.collect()
}

fn property_text(properties: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in properties.split('&').filter_map(|property| property.split_once('=')) {
        text.extend([name.as_bytes(), &[NAME_END], value.as_bytes(), &[VALUE_END]].concat());
    }
    text
}

fn answer(expression: &str, properties: &[u8]) -> &'static str {
    match Selector::parse(expression).map(|selector| selector.evaluate(properties)) {
        Err(_) => "refused",
        Ok(Err(_)) => "fails",
        Ok(Ok(None)) => "null",
        Ok(Ok(Some(true))) => "true",
        Ok(Ok(Some(false))) => "false",
    }
}

#[test]
fn every_answer_is_that_of_the_original() {
    let rows: Vec<Vec<&str>> =
        TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    assert!(rows.len() > 2_000, "{} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let [expression, properties, theirs] = row[..] else { return Some(format!("no row: {row:?}")) };
            let theirs = theirs.split(':').next().unwrap_or_default();
            let ours = answer(&unescape(expression), &property_text(&unescape(properties)));
            (ours != theirs).then(|| format!("{expression} | {properties}: {ours}, theirs {theirs}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

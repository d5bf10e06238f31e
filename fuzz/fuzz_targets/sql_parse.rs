//! Any text as an expression and any bytes as properties: neither reading nor asking may fail otherwise than
//! by an error that points into the text.
#![no_main]

use castmq::filter::sql::Selector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (expression, properties) = input;
    match Selector::parse(expression) {
        Ok(selector) => {
            assert_eq!(selector.evaluate(properties).is_ok(), selector.clone().evaluate(properties).is_ok());
        }
        Err(error) => assert!((1..=expression.chars().count() + 1).contains(&error.at), "{error}"),
    }
});

//! The files under `config/` say what the declarations say. After a change of a declaration,
//! `BLESS=1 cargo test documented` writes them anew.

use std::path::{Path, PathBuf};

use super::{
    BrokerConfig, CastmqConfig, Config, Effect, Key, NamesrvConfig,
    layers::{Layers, Target},
    value::expand_home,
};

/// Keys whose default the machine gives: the files show them, commented out.
const OF_THE_MACHINE: &[&str] = &["broker_name", "broker_ip1", "broker_ip2"];

fn documented<C: Config>(config: &C, indent: &str) -> String {
    let mut text = String::new();
    let mut section = "";
    for key in C::keys() {
        if key.section != section {
            section = key.section;
            text += &format!("\n{indent}// ---- {section} ----\n");
        }
        text.push('\n');
        for line in comment(key) {
            text += &format!("{indent}// {line}\n");
        }
        let value = key.text(config).map_or_else(|| "None".to_owned(), |value| ron_value(&value));
        let by_machine = OF_THE_MACHINE.contains(&key.field) && key.text(config) == key.text(&C::default());
        let line = if by_machine {
            format!("// {}: \"...\",", key.field)
        } else {
            format!("{}: {value},", key.field)
        };
        text += &format!("{indent}{line}\n");
    }
    text
}

fn comment<C>(key: &Key<C>) -> Vec<String> {
    let effect = match key.effect {
        Effect::Live => "Changes at run time.",
        Effect::AtStart => "Changes at the next start.",
        Effect::NotYet => "CastMQ does not use it yet.",
    };
    let mut lines: Vec<String> = key.doc.iter().map(|line| line.trim().to_owned()).collect();
    lines.push(format!("[{}] Takes {}. {effect}", key.name, key.allowed()));
    lines
}

fn ron_value(text: &str) -> String {
    let bare =
        text.parse::<bool>().is_ok() || text.parse::<u64>().is_ok_and(|number| number.to_string() == text);
    if bare {
        return text.to_owned();
    }
    match Path::new(text).strip_prefix(expand_home("${user.home}")) {
        Ok(below_home) => format!("{:?}", Path::new("${user.home}").join(below_home)),
        Err(_) => format!("{text:?}"),
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

fn says(name: &str, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file(name), text).unwrap();
    }
    let written = std::fs::read_to_string(file(name)).unwrap();
    assert!(written == text, "config/{name} is not what the keys say: run BLESS=1 cargo test documented");
}

fn holds_the_defaults<C: Target + Clone + Default + PartialEq + std::fmt::Debug>(name: &str) {
    let mut layers = Layers::over(C::default());
    layers.file(&file(name)).unwrap();
    let loaded = layers.settled().unwrap();
    assert_eq!(loaded.unused, [""; 0]);
    assert_eq!(loaded.config, Layers::over(C::default()).settled().unwrap().config);
}

const RULES: &str = "\
// Every key, with its default. A file may leave out any of them. Names are RocketMQ's in snake_case; the
// name in [brackets] is the one for RocketMQ's own .conf and .properties files, which work as well.
// The environment overrides the file (CASTMQ_LISTEN_PORT=...), the command line overrides both.
";

#[test]
fn broker_ron_documents_every_key_of_a_broker() {
    let keys = documented(&BrokerConfig::default(), "    ");
    says(
        "broker.ron",
        &format!(
            "// Configuration of a broker: mqbroker -c config/broker.ron\n{RULES}(\n{}\n)\n",
            keys.trim_matches('\n')
        ),
    );
    holds_the_defaults::<BrokerConfig>("broker.ron");
}

#[test]
fn namesrv_ron_documents_every_key_of_a_nameserver() {
    let keys = documented(&NamesrvConfig::default(), "    ");
    says(
        "namesrv.ron",
        &format!(
            "// Configuration of a nameserver: mqnamesrv -c config/namesrv.ron\n{RULES}(\n{}\n)\n",
            keys.trim_matches('\n')
        ),
    );
    holds_the_defaults::<NamesrvConfig>("namesrv.ron");
}

#[test]
fn castmq_ron_documents_every_key_of_both() {
    let config = CastmqConfig::default();
    let indent = "        ";
    let namesrv = documented(&config.namesrv, indent);
    let broker = documented(&config.broker, indent);
    let text = format!(
        "// Configuration of nameserver and broker in one process: castmq -c config/castmq.ron\n{RULES}\
         // In the environment a key means both parts if both have it, but CASTMQ_LISTEN_PORT means the broker.\n\
         (\n    // The nameserver's part.\n    namesrv: (\n{}\n    ),\n\n\
         \x20   // The broker's part. Its default nameserver is the one above.\n    broker: (\n{}\n    ),\n)\n",
        namesrv.trim_matches('\n'),
        broker.trim_matches('\n'),
    );
    says("castmq.ron", &text);
    holds_the_defaults::<CastmqConfig>("castmq.ron");
}

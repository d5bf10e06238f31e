//! Layers, errors, listings and run-time changes, as a user meets them.

use std::{path::PathBuf, time::Duration};

use clap::{CommandFactory, Parser};

use super::{
    args::{BrokerArgs, CastmqArgs, NamesrvArgs, Program},
    *,
};

fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load<P: Program>(words: &[&str], variables: &[(&str, &str)]) -> Result<Loaded<P::Config>, ConfigError> {
    let words = std::iter::once("program").chain(words.iter().copied());
    P::try_parse_from(words).unwrap().load(&environment(variables))
}

fn broker_from(name: &str, text: &str) -> Result<Loaded<BrokerConfig>, String> {
    let (_dir, path) = file(name, text);
    let shown = path.display().to_string();
    load::<BrokerArgs>(&["-c", &shown], &[]).map_err(|error| error.to_string().replace(&shown, name))
}

fn error_from(name: &str, text: &str) -> String {
    broker_from(name, text).unwrap_err()
}

#[test]
fn command_line_over_environment_over_file_over_default() {
    let (_dir, path) = file("broker.conf", "namesrvAddr=file:1\nbrokerName=file\nlistenPort=30911\n");
    let path = path.to_str().unwrap();
    let variables =
        [("NAMESRV_ADDR", "env:1"), ("CASTMQ_BROKER_NAME", "env"), ("CASTMQ_BROKER_IP1", "10.0.0.1")];
    let config = load::<BrokerArgs>(&["-c", path, "-n", "line:1"], &variables).unwrap().config;
    assert_eq!(config.namesrv_addr.0, ["line:1"]);
    assert_eq!(config.broker_name, "env");
    assert_eq!(config.broker_ip1, "10.0.0.1");
    assert_eq!(config.listen_port, 30911);
    assert_eq!(config.ha_listen_port, 30912);
    assert_eq!(config.broker_cluster_name, "DefaultCluster");
    let config = load::<BrokerArgs>(&["-c", path], &variables).unwrap().config;
    assert_eq!(config.namesrv_addr.0, ["env:1"]);
}

#[test]
fn a_rocketmq_file_works_and_unused_keys_are_collected() {
    let text = "\
        brokerClusterName = DefaultCluster\nbrokerName = broker-a\nbrokerId = 0\ndeleteWhen = 04\n\
        fileReservedTime = 48\nbrokerRole = ASYNC_MASTER\nflushDiskType = SYNC_FLUSH\n\
        sendMessageThreadPoolNums=64\nuseReentrantLockWhenPutMessage=true\nkvConfigPath=/kv\nmailboxCapacity=1000\n";
    let loaded = broker_from("broker.conf", text).unwrap();
    assert_eq!(
        loaded.unused,
        ["sendMessageThreadPoolNums", "useReentrantLockWhenPutMessage", "kvConfigPath"]
    );
    assert_eq!(loaded.config.flush_disk_type, FlushDiskType::SyncFlush);
    assert_eq!(loaded.config.file_reserved_time.duration(), Duration::from_secs(48 * 3600));
    assert_eq!(loaded.config.mailbox_capacity, 1000);
}

#[test]
fn ron_takes_both_spellings_none_and_extra_commas() {
    let text =
        "(\n broker_name: \"a\", // me\n listenPort: 1234, store_path_commit_log: None, trace_on: false,\n)";
    let loaded = broker_from("broker.ron", text).unwrap();
    assert_eq!((loaded.config.broker_name.as_str(), loaded.config.listen_port), ("a", 1234));
    assert!(!loaded.config.trace_on);
    assert_eq!(broker_from("empty.ron", "()").unwrap().config.listen_port, 10911);
    let unused = broker_from("broker.ron", "(slave_read_enable: true, send_message_thread_pool_nums: 4)");
    assert_eq!(unused.unwrap().unused, ["slave_read_enable", "send_message_thread_pool_nums"]);
}

#[test]
fn errors_name_place_key_value_and_what_is_allowed() {
    assert_eq!(
        error_from("broker.conf", "# c\nlistenPort=99999"),
        "broker.conf, line 2: listenPort = \"99999\" is not allowed: it takes a whole number from 0 to 65535"
    );
    assert_eq!(
        error_from("broker.ron", "(\n  broker_name: \"a\",\n  flush_disk_type: \"SYNC\",\n)"),
        "broker.ron, line 3: flushDiskType = \"SYNC\" is not allowed: it takes ASYNC_FLUSH or SYNC_FLUSH"
    );
    assert_eq!(
        error_from("broker.conf", "brokerNam=a"),
        "broker.conf, line 1: unknown key brokerNam, did you mean brokerName?"
    );
    assert_eq!(
        error_from("broker.ron", "(\n listen_prt: 1)"),
        "broker.ron, line 2: unknown key listen_prt, did you mean listen_port?"
    );
    assert_eq!(
        error_from("broker.conf", "fileReservedTime=2d"),
        "broker.conf, line 1: fileReservedTime = \"2d\" is not allowed: \
         it takes a whole number of h from 0 to 2147483647"
    );
    assert!(error_from("broker.ron", "(\n broker_id: 1 listen_port: 2)").starts_with("broker.ron, line 2: "));
    assert!(error_from("broker.ron", "(\n listen_port: [1, 2])").starts_with("broker.ron, line 2: "));
    assert!(error_from("broker.conf", "a=\\u12").starts_with("broker.conf, line 1: \\u must"));
    let error = load::<BrokerArgs>(&["-c", "/does/not/exist.conf"], &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the configuration file /does/not/exist.conf"), "{error}");
    let error = load::<BrokerArgs>(&[], &[("CASTMQ_LISTEN_PORT", "x")]).unwrap_err().to_string();
    assert!(error.starts_with("environment variable CASTMQ_LISTEN_PORT: listenPort = \"x\""), "{error}");
    let error = load::<BrokerArgs>(&["-n", "nowhere"], &[]).unwrap_err().to_string();
    assert!(error.starts_with("option -n: namesrvAddr = \"nowhere\""), "{error}");
}

#[test]
fn foreign_variables_with_our_prefix_are_no_errors() {
    let variables =
        [("CASTMQ_SERVICE_HOST", "10.1.1.1"), ("CASTMQ_PORT", "tcp://10.1.1.1:1"), ("NAMESRV_ADDR", "")];
    let loaded = load::<BrokerArgs>(&[], &variables).unwrap();
    assert_eq!(loaded.unused, ["CASTMQ_SERVICE_HOST", "CASTMQ_PORT"]);
    let loaded = load::<NamesrvArgs>(&["-n", "a:1"], &[("NAMESRV_ADDR", "b:1")]).unwrap();
    assert_eq!((loaded.unused.len(), loaded.config.listen_port), (0, 9876));
}

#[test]
fn role_and_id_must_go_together() {
    assert_eq!(broker_from("b.conf", "brokerId=3\n").unwrap().config.broker_id, 0);
    assert_eq!(broker_from("b.conf", "brokerId=3\nbrokerRole=SLAVE").unwrap().config.broker_id, 3);
    assert_eq!(
        error_from("b.conf", "brokerRole=SLAVE"),
        "brokerRole is SLAVE: set brokerId to a number above 0"
    );
    assert!(error_from("b.conf", "maxIndexNum=100000000\nmaxHashSlotNum=100000000").contains("2 GiB"));
}

#[test]
fn paths_follow_the_home_and_the_root() {
    let config = broker_from("b.conf", "storePathRootDir=${user.home}/a").unwrap().config;
    assert!(config.store_path_root_dir.ends_with("a") && !config.store_path_root_dir.starts_with("$"));
    assert_eq!(config.commit_log_dir(), config.store_path_root_dir.join("commitlog"));
    assert!(error_from("b.conf", "storePathCommitLog=/a,/b").contains("not supported"));
}

#[test]
fn castmq_is_a_whole_cluster_on_this_machine() {
    let config = load::<CastmqArgs>(&[], &[("NAMESRV_ADDR", "elsewhere:1")]).unwrap().config;
    assert_eq!(config.broker.namesrv_addr.0, ["127.0.0.1:9876"]);
    assert_eq!(config.broker.broker_ip1, "127.0.0.1");
    assert_eq!(config.broker.store_path_root_dir, PathBuf::from(DATA_DIR));
    let words = ["--store", "/d", "--namesrv-port", "19876", "--broker-port", "20911"];
    let config = load::<CastmqArgs>(&words, &[]).unwrap().config;
    assert_eq!(config.broker.namesrv_addr.0, ["127.0.0.1:19876"]);
    assert_eq!((config.broker.listen_port, config.broker.ha_listen_port), (20911, 20912));
    assert_eq!(config.broker.commit_log_dir(), PathBuf::from("/d/commitlog"));
    assert_eq!(config.namesrv.kv_config_path, PathBuf::from("/d/namesrv/kvConfig.json"));
    let config = load::<CastmqArgs>(&["--namesrv-port", "0"], &[]).unwrap().config;
    assert_eq!(config.broker.namesrv_addr.0, ["127.0.0.1:0"], "the port that the system gives");
}

#[test]
fn one_properties_file_serves_both_parts_of_castmq() {
    let (_dir, path) = file(
        "both.conf",
        "listenPort=1\nbindAddress=127.0.0.2\nkvConfigPath=/kv.json\nbrokerIP1=10.0.0.9\nuseTLS=true\n",
    );
    let loaded = load::<CastmqArgs>(&["-c", path.to_str().unwrap()], &[]).unwrap();
    let CastmqConfig { namesrv, broker } = loaded.config;
    assert_eq!((namesrv.listen_port, broker.listen_port), (9876, 1));
    assert_eq!(namesrv.bind_address, broker.bind_address);
    assert_eq!(broker.namesrv_addr.0, ["127.0.0.2:9876"]);
    assert_eq!(namesrv.kv_config_path, PathBuf::from("/kv.json"));
    assert_eq!(broker.broker_ip1, "10.0.0.9");
    assert_eq!(loaded.unused, ["useTLS"]);
    let (_dir, path) =
        file("both.ron", "(namesrv: (listen_port: 2), broker: (listen_port: 3, listen_prt: 4))");
    let error = load::<CastmqArgs>(&["-c", path.to_str().unwrap()], &[]).unwrap_err().to_string();
    assert!(error.contains("unknown key listen_prt, did you mean listen_port?"), "{error}");
}

#[test]
fn listings_are_sorted_properties_that_read_back() {
    let config = load::<BrokerArgs>(&["-n", "a:1;b:2"], &[]).unwrap().config;
    let text = config.properties_text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.is_sorted());
    assert!(lines.contains(&"namesrvAddr=a:1;b:2") && lines.contains(&"haListenPort=10912"));
    assert!(!text.contains("storePathCommitLog"), "a key that is not set is not listed");
    assert_eq!(broker_from("again.conf", &text).unwrap().config, config);
    assert!(config.important_text().lines().count() < lines.len());
    assert!(config.important_text().lines().all(|line| lines.contains(&line)));
}

#[test]
fn p_and_m_ask_for_a_listing() {
    let listing = |words: &[&str]| {
        let args = BrokerArgs::try_parse_from(std::iter::once(&"mqbroker").chain(words)).unwrap();
        args.listing(&BrokerConfig::default())
    };
    assert_eq!(listing(&[]), None);
    assert_eq!(listing(&["-p"]), Some(BrokerConfig::default().properties_text()));
    assert_eq!(listing(&["--printImportantConfig"]), Some(BrokerConfig::default().important_text()));
}

#[test]
fn every_binary_tells_version_and_protocol() {
    for command in [BrokerArgs::command(), NamesrvArgs::command(), CastmqArgs::command()] {
        command.clone().debug_assert();
        let version = command.render_version();
        assert_eq!(version, concat!("castmq ", env!("CARGO_PKG_VERSION"), " (RocketMQ 5.4.0 protocol)\n"));
    }
}

#[test]
fn run_time_changes_take_live_keys_only() {
    let mut config = BrokerConfig::default();
    assert_eq!(config.apply("maxMessageSize", "1024"), Ok(Applied::Used));
    assert_eq!(config.max_message_size, Bytes(1024));
    assert_eq!(config.apply("sendMessageThreadPoolNums", "4"), Ok(Applied::NotUsed));
    assert_eq!(config.apply("listenPort", "10911"), Ok(Applied::Used), "no change is no error");
    let refused = [
        config.apply("listenPort", "1").unwrap_err().to_string(),
        config.apply("brokerConfigPath", "/etc/passwd").unwrap_err().to_string(),
        config.apply("config_black_list", "").unwrap_err().to_string(),
        config.apply("maxMessageSize", "1").unwrap_err().to_string(),
    ];
    assert_eq!(
        refused,
        [
            "listenPort cannot change at run time: set it to \"1\" in the configuration file and restart",
            "brokerConfigPath cannot change at run time: configBlackList names it",
            "configBlackList cannot change at run time: configBlackList names it",
            "maxMessageSize = \"1\" is not allowed: it takes a whole number of bytes from 10 to 1073741824",
        ]
    );
}

#[test]
fn a_request_changes_all_its_keys_or_none() {
    let mut config = NamesrvConfig::default();
    assert_eq!(config.apply_properties("enableTopicList=false\nuseTLS=true\n").unwrap(), ["useTLS"]);
    assert!(!config.enable_topic_list);
    let before = config.clone();
    let error = config.apply_properties("enableTopicList=true\nkvConfigPath=/x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "requested change, line 2: kvConfigPath cannot change at run time: configBlackList names it"
    );
    assert_eq!(config, before);
}

#[test]
fn serde_reads_with_the_same_checks() {
    let config: BrokerConfig = serde_json::from_str(r#"{"listen_port": 7, "namesrvAddr": "a:1"}"#).unwrap();
    assert_eq!((config.listen_port, config.ha_listen_port), (7, 8));
    assert!(serde_json::from_str::<BrokerConfig>(r#"{"listen_port": 70000}"#).is_err());
}

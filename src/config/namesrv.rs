//! The keys of a nameserver.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use super::{
    error::ConfigError,
    key::{
        Allowed::{Any, Between, NotEmpty},
        INT_MAX, config,
    },
    value::{Bytes, Millis, Seconds, expand_home},
};

config! {
    /// What a nameserver is told.
    pub struct NamesrvConfig;

    section "Identity";

    /// Name of the environment. Nothing depends on it; tools show it.
    product_env_name "productEnvName": String = "center".to_owned(), Any, NotYet;
    /// A switch of RocketMQ's own tests.
    cluster_test "clusterTest": bool = false, Any, NotYet;

    section "Network";

    /// TCP port for clients and brokers. 0: any free one.
    listen_port "listenPort": u16 = 9876, Between(0, 65535), AtStart, important;
    /// Local address to listen on; 0.0.0.0 is all.
    bind_address "bindAddress": IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED), Any, AtStart, important;
    /// Close a connection on which nothing was read or written, or a frame has not arrived whole, for this long.
    server_channel_max_idle_time_seconds "serverChannelMaxIdleTimeSeconds": Seconds
        = Seconds(120), Between(1, INT_MAX), AtStart;
    /// Most connections at a time; further ones are closed at once.
    max_connections "maxConnections": u32 = 20000, Between(1, 1_000_000), AtStart;
    /// Most bytes that all connections together may keep: requests, answers, unfinished frames. Beyond it those that
    /// keep more than 16 KiB are read no further.
    max_connection_memory "maxConnectionMemory": Bytes = Bytes(512 << 20), Between(1 << 20, 1 << 40), AtStart;
    /// Threads that serve connections. 0: one for each core.
    remoting_threads "remotingThreads": u32 = 0, Between(0, 1024), AtStart;
    /// Most messages that wait for one actor; a full mailbox pushes back to its senders.
    mailbox_capacity "mailboxCapacity": u32 = 16384, Between(16, 1 << 20), AtStart;

    section "Files";

    /// File of the key-value configuration (order topics among it).
    kv_config_path "kvConfigPath": PathBuf = expand_home("${user.home}/namesrv/kvConfig.json"), Any, AtStart, important;
    /// Where RocketMQ keeps keys changed at run time, if no file was given with -c.
    config_store_path "configStorePath": PathBuf
        = expand_home("${user.home}/namesrv/namesrv.properties"), Any, AtStart;
    /// RocketMQ's own directory (also the variable ROCKETMQ_HOME). CastMQ needs none.
    rocketmq_home "rocketmqHome": Option<PathBuf> = None, Any, NotYet;

    section "Routes";

    /// How often to look for brokers that fell silent.
    scan_not_active_broker_interval "scanNotActiveBrokerInterval": Millis
        = Millis(5000), Between(1, INT_MAX), AtStart;
    /// Add the ORDER_TOPIC_CONFIG entry of a topic to its route.
    order_message_enable "orderMessageEnable": bool = false, Any, Live;
    /// Answer a broker's registration with the table of order topics.
    return_order_topic_config_to_broker "returnOrderTopicConfigToBroker": bool = true, Any, Live;
    /// Serve the list of all topics (code 206).
    enable_all_topic_list "enableAllTopicList": bool = true, Any, Live;
    /// Serve the lists of topics by cluster, unit and system (codes 224, 311 to 313).
    enable_topic_list "enableTopicList": bool = true, Any, Live;
    /// When a broker registers, forget those of its topics that it no longer names.
    delete_topic_with_broker_registration "deleteTopicWithBrokerRegistration": bool = false, Any, Live;
    /// Present the smallest slave as master of a broker without one, if the broker asked for that.
    support_acting_master "supportActingMaster": bool = false, Any, Live;
    /// Tell the brokers of a group when their smallest broker id changes.
    notify_min_broker_id_changed "notifyMinBrokerIdChanged": bool = false, Any, Live;

    section "Start";

    /// Refuse to serve routes until waitSecondsForService have passed: brokers may not have registered yet.
    need_wait_for_service "needWaitForService": bool = false, Any, AtStart;
    /// How long to refuse them.
    wait_seconds_for_service "waitSecondsForService": Seconds = Seconds(45), Between(0, INT_MAX), AtStart;

    section "Administration";

    /// Keys that nobody may change at run time, separated by `;`. These three and rocketmqHome always count.
    config_black_list "configBlackList": String
        = "configBlackList;configStorePath;kvConfigPath".to_owned(), NotEmpty, AtStart;
}

impl NamesrvConfig {
    /// No key depends on another.
    fn settle_together(&mut self) -> Result<(), ConfigError> {
        Ok(())
    }
}

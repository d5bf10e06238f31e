//! The keys of a broker and of its store.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use super::{
    error::ConfigError,
    host::{host_name, local_ipv4},
    key::{
        Allowed::{Any, Between, NotEmpty, OnePath},
        INT_MAX, config,
    },
    value::{
        Addresses, BrokerRole, Bytes, DelayLevels, FlushDiskType, Hours, HoursOfDay, Millis, Pages, Percent,
        Seconds, expand_home,
    },
};

config! {
    /// What a broker is told.
    pub struct BrokerConfig;

    section "Identity";

    /// Name of this broker; a master and its slaves share it. Default: the name of the machine.
    broker_name "brokerName": String = host_name(), NotEmpty, AtStart, important;
    /// Name of the cluster that this broker belongs to.
    broker_cluster_name "brokerClusterName": String = "DefaultCluster".to_owned(), NotEmpty, AtStart, important;
    /// 0 is a master; a slave has its own number from 1.
    broker_id "brokerId": u64 = 0, Any, AtStart, important;
    /// Address that clients are told to connect to. Default: the one with which this machine talks to others.
    broker_ip1 "brokerIP1": String = local_ipv4(), NotEmpty, AtStart, important;
    /// Address that slaves are told to connect to. Default: as for brokerIP1.
    broker_ip2 "brokerIP2": String = local_ipv4(), NotEmpty, AtStart, important;
    /// Nameservers to register with, `host:port` separated by `;` (also -n and the variable NAMESRV_ADDR).
    namesrv_addr "namesrvAddr": Addresses = Addresses::default(), Any, AtStart, important;
    /// Region, written into messages and trace.
    region_id "regionId": String = "DefaultRegion".to_owned(), Any, AtStart;
    /// RocketMQ's own directory (also the variable ROCKETMQ_HOME). CastMQ needs none.
    rocketmq_home "rocketmqHome": Option<PathBuf> = None, Any, NotYet;

    section "Network";

    /// TCP port for clients. 0: any free one. Old clients' "VIP" port is this one - 2.
    listen_port "listenPort": u16 = 10911, Between(0, 65535), AtStart, important;
    /// Local address to listen on; 0.0.0.0 is all.
    bind_address "bindAddress": IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED), Any, AtStart, important;
    /// TCP port for slaves. 0: listenPort + 1.
    ha_listen_port "haListenPort": u16 = 0, Between(0, 65535), AtStart;
    /// Close a connection on which nothing was read or written, or a frame has not arrived whole, for this long.
    server_channel_max_idle_time_seconds "serverChannelMaxIdleTimeSeconds": Seconds
        = Seconds(120), Between(1, INT_MAX), AtStart;
    /// Forget a client that sent no heartbeat for this long.
    channel_expired_timeout "channelExpiredTimeout": Millis = Millis(120_000), Between(1, INT_MAX), Live;
    /// Most connections at a time; further ones are closed at once.
    max_connections "maxConnections": u32 = 20000, Between(1, 1_000_000), AtStart;
    /// Most bytes that all connections together may keep: requests, answers, unfinished frames. Beyond it those that
    /// keep more than 16 KiB are read no further.
    max_connection_memory "maxConnectionMemory": Bytes = Bytes(512 << 20), Between(1 << 20, 1 << 40), AtStart;
    /// Threads that serve connections. 0: half as many as cores, or with up to two cores none of their own.
    remoting_threads "remotingThreads": u32 = 0, Between(0, 1024), AtStart;
    /// Most messages that wait for one actor; a full mailbox pushes back to its senders.
    mailbox_capacity "mailboxCapacity": u32 = 16384, Between(16, 1 << 20), AtStart;

    section "Registration";

    /// How often to register with every nameserver. As in RocketMQ, below 10000 counts as 10000 and above
    /// 60000 as 60000.
    register_name_server_period "registerNameServerPeriod": Millis = Millis(30_000), Between(1, INT_MAX), AtStart;
    /// Longest wait for a nameserver's answer.
    register_broker_timeout_mills "registerBrokerTimeoutMills": Millis = Millis(24_000), Between(1, INT_MAX), AtStart;
    /// Register even if nothing changed since the last time.
    force_register "forceRegister": bool = true, Any, Live;
    /// Compress the registration.
    compressed_register "compressedRegister": bool = false, Any, Live;

    section "Topics and groups";

    /// What all topics of this broker allow at most: 2 write, 4 read, 6 both.
    broker_permission "brokerPermission": u32 = 6, Between(0, 7), Live, important;
    /// Queues of a topic that a first message creates.
    default_topic_queue_nums "defaultTopicQueueNums": u32 = 8, Between(1, 65_535), Live;
    /// Create a topic when its first message comes.
    auto_create_topic_enable "autoCreateTopicEnable": bool = true, Any, Live, important;
    /// Create a consumer group when its first member comes.
    auto_create_subscription_group "autoCreateSubscriptionGroup": bool = true, Any, Live, important;
    /// Let clients create topics after the model of the topic named like the cluster.
    cluster_topic_enable "clusterTopicEnable": bool = true, Any, AtStart;
    /// Let clients create topics after the model of the topic named like the broker.
    broker_topic_enable "brokerTopicEnable": bool = true, Any, AtStart;
    /// Keep clients from changing system topics.
    validate_system_topic_when_update_topic "validateSystemTopicWhenUpdateTopic": bool = true, Any, Live;
    /// Let clients and this broker write message traces.
    trace_on "traceOn": bool = true, Any, Live;
    /// Create the topic for message traces at start.
    trace_topic_enable "traceTopicEnable": bool = false, Any, AtStart;
    /// Name of the topic for message traces.
    msg_trace_topic_name "msgTraceTopicName": String = "RMQ_SYS_TRACE_TOPIC".to_owned(), NotEmpty, AtStart;
    /// Queues of the topic from which the revival of popped messages works.
    revive_queue_num "reviveQueueNum": u32 = 8, Between(1, 1024), AtStart;

    section "Sending";

    /// Longest body of a message.
    max_message_size "maxMessageSize": Bytes = Bytes(4_194_304), Between(10, 1 << 30), Live;
    /// Delay of each delay level, level 1 first; units s, m, h, d.
    message_delay_level "messageDelayLevel": DelayLevels = DelayLevels::default(), Any, AtStart;
    /// How often to save how far each delay level has come.
    flush_delay_offset_interval "flushDelayOffsetInterval": Millis = Millis(10_000), Between(1, INT_MAX), AtStart;

    /// Store replies to requests, beside handing them to the requester.
    store_reply_message_enable "storeReplyMessageEnable": bool = true, Any, Live;

    section "Consuming";

    /// Hold a pull that finds nothing until a message comes.
    long_polling_enable "longPollingEnable": bool = true, Any, Live;
    /// How long to hold it if longPollingEnable is false.
    short_polling_time_mills "shortPollingTimeMills": Millis = Millis(1000), Between(1, INT_MAX), Live;
    /// Tell the members of a group at once when one comes or goes.
    notify_consumer_ids_changed_enable "notifyConsumerIdsChangedEnable": bool = true, Any, Live;
    /// Serve pulls of the lite consumer (code 361).
    lite_pull_message_enable "litePullMessageEnable": bool = true, Any, Live;
    /// Serve subscriptions by SQL92 expression.
    enable_property_filter "enablePropertyFilter": bool = false, Any, Live;
    /// Most messages in one answer, if they are in memory.
    max_transfer_count_on_message_in_memory "maxTransferCountOnMessageInMemory": u32 = 32, Between(1, INT_MAX), Live;
    /// Most bytes in one answer, if the messages are in memory.
    max_transfer_bytes_on_message_in_memory "maxTransferBytesOnMessageInMemory": Bytes
        = Bytes(262_144), Between(1, INT_MAX), Live;
    /// Most messages in one answer, if they must be read from disk.
    max_transfer_count_on_message_in_disk "maxTransferCountOnMessageInDisk": u32 = 8, Between(1, INT_MAX), Live;
    /// Most bytes in one answer, if the messages must be read from disk.
    max_transfer_bytes_on_message_in_disk "maxTransferBytesOnMessageInDisk": Bytes
        = Bytes(65_536), Between(1, INT_MAX), Live;
    /// What lies this share of the memory behind the log's end, and had to be read from disk, counts as on disk.
    access_message_in_memory_max_ratio "accessMessageInMemoryMaxRatio": Percent = Percent(40), Between(0, 100), Live;
    /// Measure how far a group lies behind in the log on each pull.
    disk_fall_recorded "diskFallRecorded": bool = true, Any, Live;
    /// Most messages found for one key or time range.
    default_query_max_num "defaultQueryMaxNum": u32 = 32, Between(1, INT_MAX), Live;
    /// How often to save the offsets of consumers.
    flush_consumer_offset_interval "flushConsumerOffsetInterval": Millis = Millis(5000), Between(1, INT_MAX), AtStart;

    section "Store";

    /// Directory of all data.
    store_path_root_dir "storePathRootDir": PathBuf = expand_home("${user.home}/store"), OnePath, AtStart, important;
    /// Directory of the commit log. Default: `commitlog` in storePathRootDir.
    store_path_commit_log "storePathCommitLog": Option<PathBuf> = None, OnePath, AtStart, important;
    /// Size of one file of the commit log; a store keeps the size with which it was created.
    mapped_file_size_commit_log "mappedFileSizeCommitLog": Bytes = Bytes(1 << 30), Between(4096, INT_MAX), AtStart;
    /// Size of one file of a consume queue, rounded up to a multiple of 20.
    mapped_file_size_consume_queue "mappedFileSizeConsumeQueue": Bytes = Bytes(6_000_000), Between(20, INT_MAX), AtStart;
    /// Keep an index of message keys.
    message_index_enable "messageIndexEnable": bool = true, Any, AtStart;
    /// Hash slots of one index file.
    max_hash_slot_num "maxHashSlotNum": u32 = 5_000_000, Between(1, 100_000_000), AtStart;
    /// Entries of one index file. The file has 40 + 4 * slots + 20 * entries bytes, at most 2 GiB.
    max_index_num "maxIndexNum": u32 = 20_000_000, Between(2, 100_000_000), AtStart;
    /// Check the CRC of each message when the log is recovered.
    check_crc_on_recover "checkCRCOnRecover": bool = true, Any, AtStart;

    section "Flushing";

    /// ASYNC_FLUSH: a message is acknowledged in memory; SYNC_FLUSH: on the device.
    flush_disk_type "flushDiskType": FlushDiskType = FlushDiskType::AsyncFlush, Any, AtStart, important;
    /// Longest wait for a synchronous flush before the sender is told FLUSH_DISK_TIMEOUT.
    sync_flush_timeout "syncFlushTimeout": Millis = Millis(5000), Between(1, INT_MAX), Live;
    /// Asynchronous: how often to flush the commit log.
    flush_interval_commit_log "flushIntervalCommitLog": Millis = Millis(500), Between(1, INT_MAX), AtStart, important;
    /// Asynchronous: flush only from this much on.
    flush_commit_log_least_pages "flushCommitLogLeastPages": Pages = Pages(4), Between(0, INT_MAX), AtStart;
    /// Asynchronous: flush even less than that this often.
    flush_commit_log_thorough_interval "flushCommitLogThoroughInterval": Millis
        = Millis(10_000), Between(1, INT_MAX), AtStart;
    /// How often to flush the consume queues.
    flush_interval_consume_queue "flushIntervalConsumeQueue": Millis = Millis(1000), Between(1, INT_MAX), AtStart;
    /// Flush a consume queue only from this much on.
    flush_consume_queue_least_pages "flushConsumeQueueLeastPages": Pages = Pages(2), Between(0, INT_MAX), AtStart;
    /// Flush consume queues and checkpoint even below that this often.
    flush_consume_queue_thorough_interval "flushConsumeQueueThoroughInterval": Millis
        = Millis(60_000), Between(1, INT_MAX), AtStart;
    /// ASYNC_FLUSH: messages wait in memory of the process and are written (committed) to the commit log together.
    /// They are acknowledged before, read after, and lost by a kill in between.
    transient_store_pool_enable "transientStorePoolEnable": bool = false, Any, AtStart;
    /// Files of the commit log that may have something uncommitted at a time. Each takes memory for that alone,
    /// up to its size.
    transient_store_pool_size "transientStorePoolSize": u32 = 5, Between(1, 1024), AtStart;
    /// When there are so many already: refuse messages (SYSTEM_BUSY) instead of committing before more are taken.
    fast_fail_if_no_buffer_in_store_pool "fastFailIfNoBufferInStorePool": bool = false, Any, AtStart;
    /// How often to commit what waits.
    commit_interval_commit_log "commitIntervalCommitLog": Millis = Millis(200), Between(1, INT_MAX), AtStart;
    /// Commit at once from this much on.
    commit_commit_log_least_pages "commitCommitLogLeastPages": Pages = Pages(4), Between(0, INT_MAX), AtStart;
    /// Commit even less than that this often.
    commit_commit_log_thorough_interval "commitCommitLogThoroughInterval": Millis
        = Millis(200), Between(1, INT_MAX), AtStart;
    /// Touch every page of a new file as soon as it is there. CastMQ always does so a few MiB ahead of the writer.
    warm_maped_file_enable "warmMapedFileEnable": bool = false, Any, AtStart;
    /// SYNC_FLUSH: force the pages that are touched so to the device whenever there are so many.
    flush_least_pages_when_warm_maped_file "flushLeastPagesWhenWarmMapedFile": Pages
        = Pages(4096), Between(1, INT_MAX), AtStart;

    section "Cleaning";

    /// How long to keep a file of the commit log after its last message.
    file_reserved_time "fileReservedTime": Hours = Hours(72), Between(0, INT_MAX), Live, important;
    /// Hours of the day in which old files are deleted.
    delete_when "deleteWhen": HoursOfDay = HoursOfDay(vec![4]), Any, Live, important;
    /// From this share of the disk on, delete old files at any hour.
    disk_max_used_space_ratio "diskMaxUsedSpaceRatio": Percent = Percent(75), Between(10, 95), Live;
    /// From this share of the disk on, delete the oldest files whatever their age.
    disk_space_clean_forcibly_ratio "diskSpaceCleanForciblyRatio": Percent = Percent(85), Between(30, 99), Live;
    /// From this share of the disk on, refuse new messages. RocketMQ takes more than 90 for 90.
    disk_space_warning_level_ratio "diskSpaceWarningLevelRatio": Percent = Percent(90), Between(35, 99), Live;
    /// Allow to delete files before their time when the disk is full.
    clean_file_forcibly_enable "cleanFileForciblyEnable": bool = true, Any, Live;
    /// How often to look for files to delete.
    clean_resource_interval "cleanResourceInterval": Millis = Millis(10_000), Between(1, INT_MAX), AtStart;
    /// Pause between two deleted files of the commit log.
    delete_commit_log_files_interval "deleteCommitLogFilesInterval": Millis = Millis(100), Between(0, INT_MAX), Live;
    /// Most files deleted in one round.
    delete_file_batch_max "deleteFileBatchMax": u32 = 10, Between(1, INT_MAX), Live;

    section "Replication";

    /// ASYNC_MASTER, SYNC_MASTER (acknowledges once inSyncReplicas copies exist) or SLAVE.
    broker_role "brokerRole": BrokerRole = BrokerRole::AsyncMaster, Any, AtStart, important;
    /// Copies that a SYNC_MASTER waits for, its own among them: 1 waits for no slave.
    in_sync_replicas "inSyncReplicas": u32 = 1, Between(1, 64), NotYet;
    /// Longest wait for slaves before the sender is told FLUSH_SLAVE_TIMEOUT.
    slave_timeout "slaveTimeout": Millis = Millis(3000), Between(1, INT_MAX), NotYet;
    /// Send lagging consumers to a slave.
    slave_read_enable "slaveReadEnable": bool = false, Any, NotYet;
    /// Address of the master's port for slaves; by default the nameserver tells it.
    ha_master_address "haMasterAddress": Option<String> = None, Any, NotYet;
    /// Say something to a slave at least this often.
    ha_send_heartbeat_interval "haSendHeartbeatInterval": Millis = Millis(5000), Between(1, INT_MAX), NotYet;
    /// Close the connection of a slave that said nothing for this long.
    ha_housekeeping_interval "haHousekeepingInterval": Millis = Millis(20_000), Between(1, INT_MAX), NotYet;
    /// Most bytes of the log in one frame to a slave.
    ha_transfer_batch_size "haTransferBatchSize": Bytes = Bytes(32_768), Between(1, INT_MAX), NotYet;

    section "Transactions";

    /// Refuse transactional messages.
    reject_transaction_message "rejectTransactionMessage": bool = false, Any, Live;
    /// Ask a producer about a half message from this age on.
    transaction_time_out "transactionTimeOut": Millis = Millis(6000), Between(0, INT_MAX), Live;
    /// Discard a half message after asking this often.
    transaction_check_max "transactionCheckMax": u32 = 15, Between(1, INT_MAX), Live;
    /// How often to look for half messages.
    transaction_check_interval "transactionCheckInterval": Millis = Millis(30_000), Between(1, INT_MAX), Live;

    /// Write down which half messages have ended at least this often.
    transaction_op_batch_interval "transactionOpBatchInterval": Millis = Millis(3000), Between(1, INT_MAX), Live;
    /// Write it down earlier from about this length of the text on.
    transaction_op_msg_max_size "transactionOpMsgMaxSize": Bytes = Bytes(4096), Between(16, 1 << 20), Live;

    section "Timer messages";

    /// Accept messages for an arbitrary time, and deliver those that wait.
    timer_wheel_enable "timerWheelEnable": bool = true, Any, AtStart;
    /// Width of one slot of the timer wheel; a store keeps the width with which it was created. Messages are
    /// delivered to the millisecond all the same.
    timer_precision_ms "timerPrecisionMs": Millis = Millis(1000), Between(1, INT_MAX), AtStart;
    /// Longest time ahead. RocketMQ's default is 259200, three days; CastMQ's is no limit.
    timer_max_delay_sec "timerMaxDelaySec": Seconds = Seconds(INT_MAX), Between(1, INT_MAX), Live;
    /// A message that lies further ahead than so many slots is stored anew at the end of them, or after two thirds
    /// of fileReservedTime, so that it is not deleted.
    timer_roll_window_slot "timerRollWindowSlot": u32 = 172_800, Between(2, INT_MAX), AtStart;
    /// From so many messages in one slot on refuse some more, from twice as many on all. By default none.
    timer_congest_num_each_slot "timerCongestNumEachSlot": u32 = i32::MAX as u32, Between(1, INT_MAX), Live;
    /// How often to save how far the timer wheel is.
    timer_flush_interval_ms "timerFlushIntervalMs": Millis = Millis(1000), Between(1, INT_MAX), AtStart;
    /// Size of one file of the timer log; a store keeps the size with which it was created.
    mapped_file_size_timer_log "mappedFileSizeTimerLog": Bytes = Bytes(104_857_600), Between(4096, INT_MAX), AtStart;
    /// Let producers take back timer messages.
    recall_message_enable "recallMessageEnable": bool = false, Any, Live;

    section "Administration";

    /// Keys that nobody may change at run time, separated by `;`. These two and rocketmqHome always count.
    config_black_list "configBlackList": String
        = "configBlackList;brokerConfigPath".to_owned(), NotEmpty, AtStart;
}

/// Length of a unit of the consume queue: its files hold whole ones.
const CONSUME_QUEUE_UNIT: u64 = 20;

/// Id of every master.
const MASTER_ID: u64 = 0;

impl BrokerConfig {
    /// Directory of the commit log.
    pub fn commit_log_dir(&self) -> PathBuf {
        self.store_path_commit_log.clone().unwrap_or_else(|| self.store_path_root_dir.join("commitlog"))
    }

    /// As RocketMQ does at start: a master has id 0, a slave must have another; the port for slaves
    /// follows the one for clients.
    fn settle_together(&mut self) -> Result<(), ConfigError> {
        match self.broker_role {
            BrokerRole::AsyncMaster | BrokerRole::SyncMaster => self.broker_id = MASTER_ID,
            BrokerRole::Slave if self.broker_id == MASTER_ID => {
                return Err(ConfigError::Conflict("brokerRole is SLAVE: set brokerId to a number above 0"));
            }
            BrokerRole::Slave => {}
        }
        if self.ha_listen_port == 0 && self.listen_port != 0 {
            self.ha_listen_port = self.listen_port.checked_add(1).unwrap_or_default();
        }
        let queue_file = self.mapped_file_size_consume_queue.0;
        self.mapped_file_size_consume_queue = Bytes(queue_file.next_multiple_of(CONSUME_QUEUE_UNIT));
        if self.index_file_size() > INT_MAX {
            return Err(ConfigError::Conflict(
                "maxHashSlotNum and maxIndexNum: an index file must stay below 2 GiB",
            ));
        }
        Ok(())
    }

    /// Header, 4 bytes a slot, 20 bytes an entry (fact sheet: store 5).
    fn index_file_size(&self) -> u64 {
        40 + 4 * u64::from(self.max_hash_slot_num) + 20 * u64::from(self.max_index_num)
    }
}
